"""
Dispatcher: the loop that starts builds.

::

    wakeup ──► choice: which request, on which slave? ──► runner starts its build ──► … until nothing can start ─┐
       ▲                                                                                                         │
       '──── a request came, a build ended, a slave attached, a back-off is over, or it is time to look again ◄──┘

The loop sleeps until a change.  Conditions that change without a signal (free space on the disk, the answer of a
``canStartBuild``) are checked again after a time.
"""

from collections.abc import Sequence
from itertools import chain, islice

from attrs import define, field, frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ...deferreds import background, next_turn
from ...model.time_limit import OverdueError
from ...model.wait_reasons import WaitReason
from .builder_queue import WaitingRequest
from .choice import LOOK_FOR_ROOM, BuildChoice
from .hold import Hold
from .live_changes import LiveChanges
from .queue import Queue
from .runner import BuildRunner
from .running_builds import RunningBuilds
from .wakeup import Wakeup


@frozen
class WaitingPlace:
    """
    A place in the list of waiting requests: behind *request*, whose *position* was that, from 1.
    """

    request: int
    position: int


@define(eq=False)
class Dispatcher:
    """
    Starts the builds that `BuildChoice` chooses, from `start` to `stop`, and knows why each other request waits.
    """

    _queue: Queue
    _choice: BuildChoice
    _runner: BuildRunner
    _running: RunningBuilds
    _hold: Hold
    _wakeup: Wakeup
    _clock: IReactorTime
    _live: LiveChanges
    _log: Logger = field(factory=Logger)
    _loop: Deferred[None] | None = None

    def start(self) -> None:
        """
        Open the queue.
        """
        self._loop = Deferred.fromCoroutine(self._run())
        background(self._loop.addErrback(lambda failure: failure.trap(CancelledError)), self._log, "the queue")

    def stop(self) -> None:
        """
        Start no more builds; running builds continue.
        """
        if self._loop is not None:
            self._loop.cancel()

    def why(self, request: int) -> WaitReason | None:
        """
        Why *request* waits; None when it does not.
        """
        beginning = (each.reason for each in self._beginning() if each.request.id == request)
        return self._queue.why(request) or next(beginning, None)

    def waiting(self, most: int, after: WaitingPlace | None = None) -> tuple[int, Sequence[WaitingRequest]]:
        """
        At most *most* of the requests that wait, the one to build next first, and the position of the first of them.
        In front of position 1 are those whose builds are being recorded.  *after*: only those behind that place.
        """
        if after is None:
            beginning = self._beginning()
            return 1 - len(beginning), [*beginning, *islice(self._choice.expected_order(), most)]
        order = self._choice.expected_order()
        passed = list(islice(order, after.position))
        ids = [waiting.request.id for waiting in passed]
        # The queue may have moved meanwhile: rather the same requests again than some never.
        before = ids.index(after.request) + 1 if after.request in ids else max(0, after.position - 1)
        return before + 1, list(islice(chain(passed[before:], order), most))

    def _beginning(self) -> Sequence[WaitingRequest]:
        hold_reason = self._hold.reason()
        beginning = self._running.beginning()
        for each in beginning:
            each.own = hold_reason or each.own
        return beginning

    async def _run(self) -> None:
        while True:
            # Created before the queue is examined, so that a change meanwhile wakes the loop.
            changed = self._wakeup.next()
            try:
                for waiting, slave in self._choice.choose():
                    self._runner.start(waiting, slave)
            except (Exception, OverdueError):  # noqa: BLE001 - a defect of ours: it must not end the queue for ever
                self._log.failure("looking at the queue failed; it is tried again in {wait} s", wait=LOOK_FOR_ROOM)
                self._wakeup.set_after(LOOK_FOR_ROOM)
            # Whatever woke the loop has changed what the farm shows, or the decision has.
            self._live.note()
            await changed
            # Several changes in one iteration of the reactor lead to one decision.
            await next_turn(self._clock)
