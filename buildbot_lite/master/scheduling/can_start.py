"""
What ``canStartBuild`` says, without anybody waiting for it.

::

    allowed? ──► it answers at once: that is the answer
         │
         └─────► it must be awaited: nobody knows yet ──► its answer, or a minute without one (which counts as no)
                                                               │ kept for ten seconds, and the queue looks again
         ┌─────────────────────────────────────────────────────┘
    allowed? ──► as it said

So a function that takes its time holds up nothing but its own builder's requests, of which a bounded number are asked
about at a time.
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

LONGEST_ASKING = 60.0
"""Seconds that a ``canStartBuild`` may take."""
GOOD_FOR = 10.0
"""Seconds for which an answer that had to be awaited is not asked for again."""
COMPLAIN_EVERY = 600.0
"""Seconds between two lines of the log about one builder's that fails."""
MOST_ASKED = 50
"""Requests of one builder that are asked about at a time."""


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
    Of each request, what is being asked and what was said.  *changed*: called when there is an answer.
    """

    _log = Logger()

    def __init__(self, *, clock: IReactorTime, changed: Callable[[], None]) -> None:
        self._clock = clock
        self._changed = changed
        self._asked: dict[int, _PendingAnswer] = {}
        self._of: Counter[str] = Counter()
        self._said: dict[int, dict[str, _Answer]] = {}
        self._complaints: dict[str, TokenBucket] = {}

    def allowed(self, builder: BuilderConfig, slave: BuildSlave, request: Request) -> bool | None:
        """
        Whether *request* may be built on *slave*; None: it is being asked, or will be when others have been.
        """
        if builder.can_start_build is None:
            return True
        if (said := self._fresh(request.id, slave.name)) is not None:
            return said
        if request.id in self._asked or self._of[builder.name] >= MOST_ASKED:
            return None
        try:
            answer: Any = builder.can_start_build(builder, slave, request)
        except Exception:  # noqa: BLE001 - the user's function
            self._complain(builder.name, Failure())
            return False
        if not inspect.isawaitable(answer):
            return bool(answer)
        self._await(builder.name, slave.name, request.id, answer)
        return self._fresh(request.id, slave.name)

    def knows(self, request: int) -> bool:
        """
        Whether something was said of it that had to be awaited.
        """
        return request in self._said

    def forget(self, request: int) -> None:
        """
        It waits no more.
        """
        self._said.pop(request, None)
        if asked := self._take(request):
            asked.answer.cancel()

    def _fresh(self, request: int, slave: str) -> bool | None:
        said = self._said.get(request, {}).get(slave)
        return said.answer if said is not None and self._clock.seconds() - said.at < GOOD_FOR else None

    def _take(self, request: int) -> _PendingAnswer | None:
        asked = self._asked.pop(request, None)
        if asked is not None:
            self._of[asked.builder] -= 1
        return asked

    def _await(self, builder: str, slave: str, request: int, answer: Awaitable[Any]) -> None:
        asked = self._asked[request] = _PendingAnswer(builder, slave, Deferred.fromCoroutine(_truth_of(answer)))
        self._of[builder] += 1

        def late() -> None:
            self._log.warn(
                "canStartBuild of {builder} has not answered for {wait:.0f} s; request {request} waits",
                builder=builder,
                wait=LONGEST_ASKING,
                request=request,
            )
            said(False)
            asked.answer.cancel()

        timer = self._clock.callLater(LONGEST_ASKING, late)

        def said(result: bool | Failure) -> None:
            if timer.active():
                timer.cancel()
            if self._asked.get(request) is not asked:
                return  # too late, or the request is gone
            self._take(request)
            if isinstance(result, Failure):
                self._complain(builder, result)
            yes = result is True
            self._said.setdefault(request, {})[slave] = _Answer(yes, self._clock.seconds())
            self._changed()

        asked.answer.addBoth(said)  # type: ignore[unused-awaitable]  # it is told of both

    def _complain(self, builder: str, failure: Failure) -> None:
        # It is asked for every request, whenever anything changes.
        if self._complaints.setdefault(builder, once_every(COMPLAIN_EVERY, self._clock.seconds)).take():
            self._log.failure("canStartBuild of {builder} failed; the request waits", failure, builder=builder)


async def _truth_of(answer: Awaitable[Any]) -> bool:
    return bool(await answer)
