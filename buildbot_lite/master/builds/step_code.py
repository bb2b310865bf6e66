"""
The coroutine of a step, and how it is stopped.

::

    running ──► ended
       │ stop()
       ▼
    its commands were interrupted ──► none runs any more ──► cancelled ──► abandoned
                                 10 s                   10 s          10 s

A step may wait for anything, also for a Deferred that never fires.  When it is stopped, its commands are interrupted
first; a step that waits for a command ends with the command.  Then its coroutine is cancelled, and a coroutine that
ignores that is abandoned.  So a build that is stopped always ends.
"""

from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

T = TypeVar("T")

STAGE_TIMEOUT = 10.0
"""Seconds between two stages of stopping a step."""


class StepCode(Generic[T]):
    """
    The running coroutine *work*.  *busy*: returns whether commands of the step run.
    """

    def __init__(
        self, work: Coroutine[Deferred[Any], Any, T], *, clock: IReactorTime, busy: Callable[[], bool]
    ) -> None:
        self._clock = clock
        self._busy = busy
        self._timer: IDelayedCall | None = None
        self._outcome: Deferred[T] = Deferred()
        self._running = Deferred.fromCoroutine(work)
        self._running.addBoth(self._ended)  # type: ignore[unused-awaitable]  # *outcome* is what is waited for

    def when_ended(self) -> Deferred[T]:
        """
        A Deferred that fires with the result of the coroutine, or fails with `CancelledError` if it was stopped and
        ignored that.  May be called once.
        """
        return self._outcome

    def stop(self) -> None:
        """
        Make the coroutine end.  The caller has interrupted the step's commands.
        """
        if self._timer is None and not self._outcome.called:
            self._timer = self._clock.callLater(STAGE_TIMEOUT, self._cancel)

    def _cancel(self) -> None:
        if self._busy():
            self._timer = self._clock.callLater(STAGE_TIMEOUT, self._cancel)
        else:
            self._timer = self._clock.callLater(STAGE_TIMEOUT, self._abandon)
            self._running.cancel()

    def _abandon(self) -> None:
        self._outcome.errback(CancelledError())

    def _ended(self, result: T | Failure) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._outcome.called:
            return  # it was abandoned
        if isinstance(result, Failure):
            self._outcome.errback(result)
        else:
            self._outcome.callback(result)
