"""
The locks of the steps of one build.
"""

from collections.abc import Callable, Iterable

from attrs import field, frozen
from twisted.internet.defer import Deferred

from ...model import wait_reasons
from ...model.locks import LockUse
from ...model.wait_reasons import WaitReason
from .lock_lines import LockOwner
from .locks import LockObstacle, Locks


@frozen
class BuildLocks:
    """
    The locks that the steps of one build hold or wait for.

    *_request*: the request of the build.  *_label*: returns the name of a request's build, for people.
    """

    _locks: Locks = field(factory=Locks)
    _request: int = 0
    _label: Callable[[int], str] = "request {}".format

    def wait(self, step: int, uses: Iterable[LockUse]) -> Deferred[None]:
        """
        A Deferred that fires when *step* holds *uses*.  Cancelling it ends the waiting.
        """
        return self._locks.wait(LockOwner(self._request, step), uses)

    def reason(self, step: int) -> WaitReason | None:
        """
        Why *step* waits for a lock; None if it does not wait.
        """
        return reason(self._locks.obstacle(LockOwner(self._request, step)), self._label)

    def leave(self, step: int) -> None:
        """
        Release the locks of *step*, which has ended.
        """
        self._locks.leave(LockOwner(self._request, step))

    def shared(self) -> None:
        """
        Called when the build begins to wait for other builds, which share its locks from now on.
        """
        self._locks.serve()


def reason(obstacle: LockObstacle | None, label: Callable[[int], str]) -> WaitReason | None:
    """
    *obstacle* as a reason for people to wait.  *label*: returns the name of a request's build.
    """
    if obstacle is None:
        return None
    return wait_reasons.lock(str(obstacle.lock), [label(each) for each in obstacle.requests], held=obstacle.held)
