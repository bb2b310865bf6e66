"""
The turn in which one answer is made, and what it waits for meanwhile without taking anybody else's.

::

    held ◄── its next turn begins ── outside ── end ──► over
      ├────── waits for something ─────►                  ▲
      └────────────────────── end ────────────────────────┘

What hangs up goes on in its turn, and ends where it waits outside.
"""

from collections.abc import Awaitable
from enum import Enum, auto
from typing import TypeVar

from twisted.internet.defer import CancelledError, Deferred

from ...deferreds import OneShot
from .fair_places import Occupant
from .fair_turns import FairTurns

T = TypeVar("T")


class _TurnState(Enum):
    HELD = auto()
    OUTSIDE = auto()
    OVER = auto()


class HeldTurn:
    """
    A turn of *occupant* among *turns*, which has begun.  Once it is over (`end`), nothing takes another.
    """

    def __init__(self, turns: FairTurns, occupant: Occupant) -> None:
        self._turns = turns
        self.occupant = occupant
        self._state = _TurnState.HELD
        self._abandoned: OneShot[None] = OneShot()

    async def outside(self, awaited: Deferred[T] | Awaitable[T]) -> T:
        """
        What *awaited* becomes: in this turn, if it is there at once; otherwise in a later one, and others have theirs
        meanwhile.  `CancelledError` as soon as `abandon` is called.  Without a turn, if this one is not held any more.
        """
        work = _deferred(awaited)
        if self._state is not _TurnState.HELD or (work.called and not work.paused):
            return await work
        self._become(_TurnState.OUTSIDE)
        try:
            result = await self._unless_abandoned(work)
        except CancelledError:
            raise
        # Not if the coroutine is closed: nothing would end the turn then.
        except Exception:
            await self._again()
            raise
        await self._again()
        return result

    async def _again(self) -> None:
        if self._state is _TurnState.OUTSIDE:
            await self._unless_abandoned(self._turns.begin(self.occupant))
            self._has_begun()

    def _has_begun(self) -> None:
        if self._state is _TurnState.OVER:
            self._turns.end(self.occupant)
        else:
            self._state = _TurnState.HELD

    async def _unless_abandoned(self, awaited: Deferred[T]) -> T:
        abandoned = self._abandoned.wait()
        abandoned.addCallbacks(lambda _: awaited.cancel(), lambda _: None)  # type: ignore[unused-awaitable]
        try:
            return await awaited
        finally:
            abandoned.cancel()

    def abandon(self) -> None:
        """
        Nobody wants the answer any more: what it waits for outside of its turn, now or later, is cancelled.  What it
        has begun in its turn goes on until then.
        """
        self._abandoned.fire(None)

    def end(self) -> None:
        """
        The turn is over for good: also what still waits outside of it takes no other.
        """
        self._become(_TurnState.OVER)

    def _become(self, state: _TurnState) -> None:
        was, self._state = self._state, state
        if was is _TurnState.HELD:
            self._turns.end(self.occupant)


def _deferred(awaited: Deferred[T] | Awaitable[T]) -> Deferred[T]:
    async def of() -> T:
        return await awaited

    return awaited if isinstance(awaited, Deferred) else Deferred.fromCoroutine(of())
