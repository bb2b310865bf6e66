"""
The turn in which one answer is made, and what it waits for meanwhile without taking anybody else's.

::

    its turn ──► makes the answer ──► waits for the master, or for news ──► another turn ──► goes on
                 hangs up: goes on    hangs up: ends there
"""

from collections.abc import Awaitable
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred

from .fair_places import Occupant
from .fair_turns import FairTurns

T = TypeVar("T")


class HeldTurn:
    """
    A turn of *occupant* among *turns*, which has begun.  Once it is over (`end`), nothing takes another.
    """

    def __init__(self, turns: FairTurns, occupant: Occupant) -> None:
        self._turns = turns
        self.occupant = occupant
        self._is_held = True
        self._is_over = False
        self._is_wanted = True
        self._awaited: Deferred[Any] | None = None

    async def outside(self, awaited: Deferred[T] | Awaitable[T]) -> T:
        """
        What *awaited* becomes: in this turn, if it is there at once; otherwise in a later one, and others have theirs
        meanwhile.  `CancelledError` as soon as `abandon` is called.  Without a turn, if this one is not held any more.
        """
        work = _deferred(awaited)
        if not self._is_held or (work.called and not work.paused):
            return await work
        self._leave()
        try:
            result = await self._or_abandoned(work)
        except CancelledError:
            raise
        # Not if the coroutine is closed: nothing would end the turn then.
        except Exception:
            await self._again()
            raise
        await self._again()
        return result

    async def _again(self) -> None:
        if not self._is_over:
            await self._or_abandoned(self._turns.begin(self.occupant))
            self._is_held = True
        if self._is_over:
            self._leave()

    async def _or_abandoned(self, awaited: Deferred[T]) -> T:
        self._awaited = awaited
        if not self._is_wanted:
            awaited.cancel()
        try:
            return await awaited
        finally:
            self._awaited = None

    def abandon(self) -> None:
        """
        Nobody wants the answer any more: what it waits for outside of its turn, now or later, is cancelled.  What it
        has begun in its turn goes on until then.
        """
        self._is_wanted = False
        if self._awaited is not None:
            self._awaited.cancel()

    def end(self) -> None:
        """
        The turn is over for good: also what still waits outside of it takes no other.
        """
        self._is_over = True
        self._leave()

    def _leave(self) -> None:
        if self._is_held:
            self._is_held = False
            self._turns.end(self.occupant)


def _deferred(awaited: Deferred[T] | Awaitable[T]) -> Deferred[T]:
    async def of() -> T:
        return await awaited

    return awaited if isinstance(awaited, Deferred) else Deferred.fromCoroutine(of())
