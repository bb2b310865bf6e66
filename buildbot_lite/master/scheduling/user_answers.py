"""
Answers of the functions of a master.cfg that decide about the queue.

::

    answer? ──► the function returns a value: that is the answer
         │
         └────► it returns an awaitable: not known yet ──► its result, or none within a minute; kept for ten seconds
                                                                  │ and the queue is looked at again
         ┌────────────────────────────────────────────────────────┘
    answer? ──► the kept answer

So the queue never waits for a function.  One that fails is logged, and counts as one that does not answer.  A bounded
number of calls of one function are pending at a time.
"""

import inspect
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeAlias

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ...model.token_bucket import TokenBucket, once_every

LONGEST_CALL = 60.0
"""Seconds that a function may take."""
GOOD_FOR = 10.0
"""Seconds for which an awaited answer is kept."""
COMPLAIN_EVERY = 600.0
"""Seconds between two lines of log about one function that fails."""
MOST_PENDING = 50
"""Calls of one function that may be pending at a time."""

PENDING: Any = object()
"""The answer while a function has not answered."""
FAILED: Any = object()
"""The answer of a function that failed."""

_Question: TypeAlias = tuple[str, Hashable]


@frozen
class _KeptAnswer:
    answer: Any
    at: float


class UserAnswers:
    """
    The pending calls and the kept answers.  *changed*: called when an awaited answer arrives.
    """

    _log = Logger()

    def __init__(self, *, clock: IReactorTime, changed: Callable[[], None]) -> None:
        self._clock = clock
        self._changed = changed
        self._pending: dict[_Question, Deferred[Any]] = {}
        self._pending_of: Counter[str] = Counter()
        self._kept: dict[_Question, dict[Hashable, _KeptAnswer]] = {}
        self._complaints: dict[str, TokenBucket] = {}

    def answer(self, what: str, call: Callable[[], Any], about: Hashable = None, variant: Hashable = None) -> Any:
        """
        The result of *call*, or `PENDING`, or `FAILED`.

        *what*: the name of the function in the log.  *about*: the subject of the question; one call about a subject is
        pending at a time.  *variant*: distinguishes several answers about one subject.
        """
        question = what, about
        if (kept := self._fresh(question, variant)) is not None:
            return kept.answer
        if question in self._pending or self._pending_of[what] >= MOST_PENDING:
            return PENDING
        try:
            result = call()
        except Exception:  # noqa: BLE001 - the user's function
            self._complain(what, Failure())
            return FAILED
        if not inspect.isawaitable(result):
            return result
        self._await(question, variant, result)
        kept = self._fresh(question, variant)
        return PENDING if kept is None else kept.answer

    def knows(self, what: str, about: Hashable) -> bool:
        """
        Whether an awaited answer has arrived.
        """
        return (what, about) in self._kept

    def forget(self, what: str, about: Hashable) -> None:
        """
        Drop the answers, and cancel the pending call.
        """
        self._kept.pop((what, about), None)
        if (pending := self._take((what, about))) is not None:
            pending.cancel()

    def _fresh(self, question: _Question, variant: Hashable) -> _KeptAnswer | None:
        kept = self._kept.get(question, {}).get(variant)
        return kept if kept is not None and self._clock.seconds() - kept.at < GOOD_FOR else None

    def _take(self, question: _Question) -> Deferred[Any] | None:
        pending = self._pending.pop(question, None)
        if pending is not None:
            self._pending_of[question[0]] -= 1
        return pending

    def _await(self, question: _Question, variant: Hashable, result: Awaitable[Any]) -> None:
        what = question[0]
        pending = self._pending[question] = Deferred.fromCoroutine(_awaited(result))
        self._pending_of[what] += 1

        def late() -> None:
            self._log.warn("{what} has not answered for {wait:.0f} s", what=what, wait=LONGEST_CALL)
            # Before the cancellation, which the function may ignore.
            answered(FAILED)
            pending.cancel()

        timer = self._clock.callLater(LONGEST_CALL, late)

        def answered(answer: Any) -> None:
            if timer.active():
                timer.cancel()
            if self._pending.get(question) is not pending:
                return  # the answer is too late, or no longer needed
            self._take(question)
            if isinstance(answer, Failure):
                self._complain(what, answer)
                answer = FAILED
            self._keep(question, variant, answer)
            self._changed()

        pending.addBoth(answered)  # type: ignore[unused-awaitable]  # handles both outcomes

    def _keep(self, question: _Question, variant: Hashable, answer: Any) -> None:
        # In the order of their last answers, so that the stale ones are in front.
        kept = self._kept.pop(question, {})
        self._kept[question] = {**kept, variant: _KeptAnswer(answer, self._clock.seconds())}
        while self._is_stale(oldest := next(iter(self._kept))):
            del self._kept[oldest]

    def _is_stale(self, question: _Question) -> bool:
        return all(self._fresh(question, variant) is None for variant in self._kept[question])

    def _complain(self, what: str, failure: Failure) -> None:
        # This method is called at each change of the farm, so the log is limited.
        if self._complaints.setdefault(what, once_every(COMPLAIN_EVERY, self._clock.seconds)).take():
            self._log.failure("{what} failed", failure, what=what)


async def _awaited(answer: Awaitable[Any]) -> Any:
    return await answer
