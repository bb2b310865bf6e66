"""
Budgets for the time that methods of change sources and of steps take in the reactor's thread.

This code of the configuration runs in the thread in which the farm does everything else.  Each turn, from one wait to
the next, may take `LONGEST_CALL`.  All code of one owner, a source or the steps of a builder, has a budget of time, and
waits when it is used up::

    turn ──► turn ──► 5 s are used up ──► wait until there is time again ──► turn ──► …
                                          0.1 s are added each second, and 0.3 s for all owners together

So what is slow takes long, but everything else goes on.  Calls of the master's own functions
are neither interrupted nor counted (`model.time_limit.unlimited`).

The turns of steps are run by `builds.step_time`.
"""

import inspect
from collections.abc import Callable, Generator
from functools import partial
from types import coroutine
from typing import Any
from weakref import WeakValueDictionary

from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from ...model import user_functions
from ...model.time_limit import OverdueError, call_within, in_turns, limited_time
from ...model.token_bucket import TokenBucket
from ...model.user_functions import LONGEST_CALL, SHARE, overdue

SHARE_OF_ALL = 0.3
"""The share of the time that the code of all owners that have used up their time may take together."""
QUICK = 0.005
"""Seconds; shorter turns are not counted, so that many builds in succession do not slow each other down."""


class CodeTime:
    """
    The time budgets of all owners.  *meter*: returns the seconds of the clock that measures turns.
    """

    def __init__(self, clock: IReactorTime, *, meter: Callable[[], float] = limited_time) -> None:
        self._clock = clock
        self._meter = meter
        self._all = TokenBucket(clock.seconds, 2 * LONGEST_CALL, SHARE_OF_ALL)
        # One budget for all who hold that of an owner; a full one that nobody holds is like a new one.
        self._owners: WeakValueDictionary[str, OwnersTime] = WeakValueDictionary()
        self._short: set[OwnersTime] = set()

    def of(self, owner: str) -> "OwnersTime":
        """
        The time budget of *owner*.
        """
        found = self._owners.get(owner)
        if found is None:
            self._short.difference_update([each for each in self._short if not each.is_short])
            found = self._owners[owner] = OwnersTime(self._clock, self._meter, self._all, self._short)
        return found


class OwnersTime:
    """
    The time budget of one owner.  *of_all*: the budget of all owners together.  *short*: gets those that are not full.
    """

    def __init__(
        self, clock: IReactorTime, meter: Callable[[], float], of_all: TokenBucket, short: "set[OwnersTime]"
    ) -> None:
        self._clock = clock
        self._meter = meter
        self._all = of_all
        self._short = short
        self._own = TokenBucket(clock.seconds, LONGEST_CALL, SHARE)

    @property
    def is_short(self) -> bool:
        """
        Whether the budget is not full.
        """
        return self._own.left < LONGEST_CALL

    async def run(self, what: str, function: Callable[..., Any], *args: Any) -> Any:
        """
        Call *function*, await its result if it is awaitable, and return it.  `UserFunctionOverdueError` if a turn takes
        too long.  *what*: the place of the function in the configuration, for the error.
        """
        call = partial(self._turn, what, function)
        if (waiting := self.pause()) is not None:
            await waiting
        result = call(_unwound(function), *args)
        try:
            if inspect.iscoroutine(result) or inspect.isgenerator(result):
                return await in_turns(result, call, self.pause)
            return await result if inspect.isawaitable(result) else result
        except OverdueError as error:
            # Twisted has made a failure of it, because it came in a callback of a Deferred.
            raise overdue(function, what, LONGEST_CALL).with_traceback(error.__traceback__) from None

    def pause(self) -> Deferred[None] | None:
        """
        The Deferred for which the code waits before its next turn; None if it has time left.
        """
        own = self._own.wait
        # An owner that has used less than half of its budget does not wait for the others.
        wait = max(own, self._all.wait) if self._own.left < LONGEST_CALL / 2 else own
        return deferLater(self._clock, wait) if wait else None

    def _turn(self, what: str, function: Callable[..., Any], turn: Callable[..., Any], *args: Any) -> Any:
        limit, began = user_functions.LONGEST_CALL, self._meter()
        try:
            return call_within(limit, turn, *args)
        except OverdueError as error:
            raise overdue(function, what, limit).with_traceback(error.__traceback__) from None
        finally:
            self.spend(self._meter() - began)

    def spend(self, seconds: float) -> None:
        """
        A turn took *seconds*.
        """
        if seconds > QUICK:
            self._own.spend(seconds)
            self._all.spend(seconds)
            self._short.add(self)


# All functions that `inlineCallbacks` makes have this code.
_INLINED = inspect.unwrap(defer.inlineCallbacks, stop=lambda _: True)(lambda: (yield None)).__code__
# Raised by `returnValue`, which Twisted has deprecated.
_RETURNED: Any = getattr(defer, "_DefGen_Return", StopIteration)


def _unwound(function: Callable[..., Any]) -> Callable[..., Any]:
    """
    *function*; for one that `inlineCallbacks` made, a coroutine function that does the same, because Twisted would run
    the turns of the original.
    """
    if getattr(function, "__code__", None) is not _INLINED:
        return function
    return partial(_inlined, function)


@coroutine
def _inlined(function: Any, *args: Any) -> Generator[Any, Any, Any]:
    owner = () if inspect.isfunction(function) else (function.__self__,)
    try:
        return (yield from function.__wrapped__(*owner, *args))
    except _RETURNED as ended:
        return ended.value
