"""
The locks of the steps of one build.
"""

from collections.abc import Callable, Iterable

from attrs import field, frozen
from twisted.internet.defer import Deferred

from ...model import wait_reasons
from ...model.locks import LockUse
from ...model.wait_reasons import WaitReason
from .locks import LockObstacle, LockOwner, Locks


@frozen
class BuildLocks:
    """
    What the steps of the build of *request* hold.  *label*: a request's build, for people.
    """

    _locks: Locks = field(factory=Locks)
    _request: int = 0
    _label: Callable[[int], str] = "request {}".format

    def wait(self, step: int, uses: Iterable[LockUse]) -> Deferred[None]:
        """
        Fires when the step holds *uses*.  Cancel it to stop waiting.
        """
        return self._locks.wait(LockOwner(self._request, step), uses)

    def reason(self, step: int) -> WaitReason | None:
        """
        What the step waits for; None when it does not.
        """
        return reason(self._locks.obstacle(LockOwner(self._request, step)), self._label)

    def leave(self, step: int) -> None:
        """
        The step has ended.
        """
        self._locks.leave(LockOwner(self._request, step))

    def shared(self) -> None:
        """
        The build waits for others from now on, which share what it holds.
        """
        self._locks.serve()


def reason(obstacle: LockObstacle | None, label: Callable[[int], str]) -> WaitReason | None:
    """
    *obstacle* for people.
    """
    if obstacle is None:
        return None
    return wait_reasons.lock(str(obstacle.lock), [label(each) for each in obstacle.requests], held=obstacle.held)
