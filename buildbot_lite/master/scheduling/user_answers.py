"""
Answers of the functions of a master.cfg that decide about the queue.

::

    answer? ──► the function returns a value: that is the answer
         │
         └────► it returns an awaitable: not known yet ──► its result, or none within a minute; kept for ten seconds
                                                                  │ and the queue is looked at again
         ┌────────────────────────────────────────────────────────┘
    answer? ──► the kept answer

So the queue never waits for a function.  One that fails is logged, and counts as one that does not answer.
"""

import inspect
from collections.abc import Awaitable, Callable, Hashable
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ...model.token_bucket import TokenBucket, once_every
from .can_start import COMPLAIN_EVERY, GOOD_FOR, LONGEST_CALL

PENDING: Any = object()
"""The answer while a function has not answered."""
FAILED: Any = object()
"""The answer of a function that failed."""


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
        self._pending: set[Hashable] = set()
        self._kept: dict[Hashable, _KeptAnswer] = {}
        self._complaints: dict[str, TokenBucket] = {}

    def answer(self, what: str, call: Callable[[], Any], about: Hashable = None) -> Any:
        """
        The result of *call*, or `PENDING`, or `FAILED`.

        *what*: the function, in sentences of the log; with *about*, that for which it is asked.
        """
        key = (what, about)
        kept = self._kept.get(key)
        if kept is not None and self._clock.seconds() - kept.at < GOOD_FOR:
            return kept.answer
        if key in self._pending:
            return PENDING
        try:
            result = call()
        except Exception:  # noqa: BLE001 - the user's function
            self._complain(what, Failure())
            return FAILED
        if not inspect.isawaitable(result):
            return result
        self._await(what, key, result)
        kept = self._kept.get(key)
        return PENDING if kept is None or key in self._pending else kept.answer

    def _await(self, what: str, key: Hashable, result: Awaitable[Any]) -> None:
        self._pending.add(key)

        def answered(answer: Any) -> None:
            self._pending.discard(key)
            if isinstance(answer, Failure):
                self._complain(what, answer)
                answer = FAILED
            now = self._clock.seconds()
            self._kept = {each: kept for each, kept in self._kept.items() if now - kept.at < GOOD_FOR}
            self._kept[key] = _KeptAnswer(answer, now)
            self._changed()

        waiting = Deferred.fromCoroutine(_awaited(result)).addTimeout(LONGEST_CALL, self._clock)
        waiting.addBoth(answered)  # type: ignore[unused-awaitable]  # handles both outcomes

    def _complain(self, what: str, failure: Failure) -> None:
        # It is called whenever anything changes.
        if self._complaints.setdefault(what, once_every(COMPLAIN_EVERY, self._clock.seconds)).take():
            self._log.failure("{what} failed", failure, what=what)


async def _awaited(answer: Awaitable[Any]) -> Any:
    return await answer
