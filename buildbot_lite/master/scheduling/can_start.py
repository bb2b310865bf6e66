"""
Answers of ``canStartBuild``: the user's function that decides whether a request may be built on a slave.

::

    allowed? ──► the function returns a value: that is the answer
         │
         └─────► it returns an awaitable: unknown ──► its result, or no result within a minute (counts as no)
                                                               │ kept for ten seconds; the queue looks again
         ┌─────────────────────────────────────────────────────┘
    allowed? ──► the kept answer

So the queue never waits for the function.  A slow one delays only the requests of its own builder, and a bounded number
of calls are pending at a time.
"""

import inspect
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ...model.token_bucket import TokenBucket, once_every
from ...storage.records.requests import Request
from ..config.objects import BuilderConfig, BuildSlave

LONGEST_CALL = 60.0
"""Seconds that a ``canStartBuild`` may take."""
GOOD_FOR = 10.0
"""Seconds for which an awaited answer is kept."""
COMPLAIN_EVERY = 600.0
"""Seconds between two lines of log about the failing function of one builder."""
MOST_PENDING = 50
"""Calls for the requests of one builder that may be pending at a time."""


@frozen
class _Answer:
    answer: bool
    at: float


@frozen(eq=False)
class _PendingAnswer:
    builder: str
    slave: str
    answer: Deferred[bool]


class CanStartAnswers:
    """
    The pending calls and the kept answers, by request.  *changed*: called when an awaited answer arrives.
    """

    _log = Logger()

    def __init__(self, *, clock: IReactorTime, changed: Callable[[], None]) -> None:
        self._clock = clock
        self._changed = changed
        self._pending: dict[int, _PendingAnswer] = {}
        self._pending_of: Counter[str] = Counter()
        self._answers: dict[int, dict[str, _Answer]] = {}
        self._complaints: dict[str, TokenBucket] = {}

    def allowed(self, builder: BuilderConfig, slave: BuildSlave, request: Request) -> bool | None:
        """
        Whether *request* may be built on *slave*; None while the answer is pending, or too many others are.
        """
        if builder.can_start_build is None:
            return True
        if (answer := self._fresh(request.id, slave.name)) is not None:
            return answer
        if request.id in self._pending or self._pending_of[builder.name] >= MOST_PENDING:
            return None
        try:
            result: Any = builder.can_start_build(builder, slave, request)
        except Exception:  # noqa: BLE001 - the user's function
            self._complain(builder.name, Failure())
            return False
        if not inspect.isawaitable(result):
            return bool(result)
        self._await(builder.name, slave.name, request.id, result)
        return self._fresh(request.id, slave.name)

    def knows(self, request: int) -> bool:
        """
        Whether an awaited answer about *request* has arrived.
        """
        return request in self._answers

    def forget(self, request: int) -> None:
        """
        Drop the answers about *request*, which has left the queue, and cancel its pending call.
        """
        self._answers.pop(request, None)
        if pending := self._take(request):
            pending.answer.cancel()

    def _fresh(self, request: int, slave: str) -> bool | None:
        kept = self._answers.get(request, {}).get(slave)
        return kept.answer if kept is not None and self._clock.seconds() - kept.at < GOOD_FOR else None

    def _take(self, request: int) -> _PendingAnswer | None:
        pending = self._pending.pop(request, None)
        if pending is not None:
            self._pending_of[pending.builder] -= 1
        return pending

    def _await(self, builder: str, slave: str, request: int, answer: Awaitable[Any]) -> None:
        pending = self._pending[request] = _PendingAnswer(builder, slave, Deferred.fromCoroutine(_truth_of(answer)))
        self._pending_of[builder] += 1

        def late() -> None:
            self._log.warn(
                "canStartBuild of {builder} has not answered for {wait:.0f} s; request {request} waits",
                builder=builder,
                wait=LONGEST_CALL,
                request=request,
            )
            answered(False)
            pending.answer.cancel()

        timer = self._clock.callLater(LONGEST_CALL, late)

        def answered(result: bool | Failure) -> None:
            if timer.active():
                timer.cancel()
            if self._pending.get(request) is not pending:
                return  # too late, or the request is gone
            self._take(request)
            if isinstance(result, Failure):
                self._complain(builder, result)
            self._answers.setdefault(request, {})[slave] = _Answer(result is True, self._clock.seconds())
            self._changed()

        pending.answer.addBoth(answered)  # type: ignore[unused-awaitable]  # handles both outcomes

    def _complain(self, builder: str, failure: Failure) -> None:
        # It is called for every request, whenever anything changes.
        if self._complaints.setdefault(builder, once_every(COMPLAIN_EVERY, self._clock.seconds)).take():
            self._log.failure("canStartBuild of {builder} failed; the request waits", failure, builder=builder)


async def _truth_of(answer: Awaitable[Any]) -> bool:
    return bool(await answer)
