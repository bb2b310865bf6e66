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
number of calls of one function are pending at a time.  A function that answers at once is `limited` in time, and all of
them together have a second in each decision.
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
from ...model.user_functions import error_text

LONGEST_CALL = 60.0
"""Seconds that a function may take."""
GOOD_FOR = 10.0
"""Seconds for which an awaited answer is kept."""
COMPLAIN_EVERY = 600.0
"""Seconds between two lines of log about one function that fails."""
MOST_PENDING = 50
"""Calls of one function that may be pending at a time."""

MOST_SPENT = 1.0
"""Seconds that the functions may take in one decision about the queue; the calls that are left are made later."""
SLOW = 0.05
"""Seconds; the answer of a call that took longer is kept, as an awaited one is."""

PENDING: Any = object()
"""The answer while a function has not answered."""
FAILED: Any = object()
"""The answer of a function that failed."""

_Variant: TypeAlias = tuple[str, Hashable]
"""The function, and which of its answers about one thing."""


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
        self._pending: dict[Hashable, dict[str, Deferred[Any]]] = {}
        self._pending_of: Counter[str] = Counter()
        self._kept: dict[Hashable, dict[_Variant, _KeptAnswer]] = {}
        self._complaints: dict[str, TokenBucket] = {}
        self._spent = 0.0
        self._put_off = False

    def begin(self) -> None:
        """
        A decision about the queue begins.
        """
        self._spent, self._put_off = 0.0, False

    @property
    def again(self) -> float | None:
        """
        Seconds after which postponed calls are to be made; None: there are none.  It equals the time that the functions
        have just taken, so that they have at most half of the master's time.
        """
        return self._spent if self._put_off else None

    def answer(self, what: str, call: Callable[[], Any], about: Hashable = None, variant: Hashable = None) -> Any:
        """
        The result of *call*, or `PENDING`, or `FAILED`.

        *what*: the name of the function in the log.  *about*: the subject of the question; one call about a subject is
        pending at a time.  *variant*: distinguishes several answers about one subject.
        """
        if (kept := self._fresh(about, (what, variant))) is not None:
            return kept.answer
        if what in self._pending.get(about, ()) or self._pending_of[what] >= MOST_PENDING:
            return PENDING
        if self._spent >= MOST_SPENT:
            self._put_off = True
            return PENDING
        began = self._clock.seconds()
        try:
            result = call()
        except Exception:  # noqa: BLE001 - the user's function
            self._complain(what, Failure())
            result = FAILED
        took = self._clock.seconds() - began
        self._spent += took
        if inspect.isawaitable(result):
            self._await(about, (what, variant), result)
            kept = self._fresh(about, (what, variant))
            return PENDING if kept is None else kept.answer
        if took > SLOW:
            self._keep(about, (what, variant), result)
        return result

    def knows(self, what: str, about: Hashable) -> bool:
        """
        Whether an answer is kept.
        """
        return any(of == what for of, _ in self._kept.get(about, ()))

    def forget(self, about: Hashable) -> None:
        """
        Drop the answers about something, and cancel the pending calls.
        """
        self._kept.pop(about, None)
        for what in tuple(self._pending.get(about, ())):
            self._take(about, what).cancel()

    def _fresh(self, about: Hashable, variant: _Variant) -> _KeptAnswer | None:
        kept = self._kept.get(about, {}).get(variant)
        return kept if kept is not None and self._clock.seconds() - kept.at < GOOD_FOR else None

    def _take(self, about: Hashable, what: str) -> Deferred[Any]:
        self._pending_of[what] -= 1
        pending = self._pending[about].pop(what)
        if not self._pending[about]:
            del self._pending[about]
        return pending

    def _await(self, about: Hashable, variant: _Variant, result: Awaitable[Any]) -> None:
        what = variant[0]
        pending = Deferred.fromCoroutine(_awaited(result))
        self._pending.setdefault(about, {})[what] = pending
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
            if self._pending.get(about, {}).get(what) is not pending:
                return  # the answer is too late, or no longer needed
            self._take(about, what)  # type: ignore[unused-awaitable]  # it is *pending*
            if isinstance(answer, Failure):
                self._complain(what, answer)
                answer = FAILED
            self._keep(about, variant, answer)
            self._changed()

        pending.addBoth(answered)  # type: ignore[unused-awaitable]  # handles both outcomes

    def _keep(self, about: Hashable, variant: _Variant, answer: Any) -> None:
        # In the order of their last answers, so that the stale ones are in front.
        kept = self._kept.pop(about, {})
        self._kept[about] = {**kept, variant: _KeptAnswer(answer, self._clock.seconds())}
        while self._is_stale(oldest := next(iter(self._kept))):
            del self._kept[oldest]

    def _is_stale(self, about: Hashable) -> bool:
        return all(self._fresh(about, variant) is None for variant in self._kept[about])

    def _complain(self, what: str, failure: Failure) -> None:
        # This method is called at each change of the farm, so the log is limited.
        if self._complaints.setdefault(what, once_every(COMPLAIN_EVERY, self._clock.seconds)).take():
            self._log.failure("{what} failed: {why}", failure, what=what, why=error_text(failure.value))


async def _awaited(answer: Awaitable[Any]) -> Any:
    return await answer
