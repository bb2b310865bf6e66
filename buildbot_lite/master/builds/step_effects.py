"""
The journal of one step, until the build abandons the step's code.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import CancelledError

from ...model.properties import Json
from .journal import Done, Journal, JournalEntry


class StepEffects:
    """
    The effects of *step* in *journal*.
    """

    def __init__(self, journal: Journal, step: int) -> None:
        self.step = step
        self.is_closed = False
        self._journal = journal

    def close(self) -> None:
        """
        From now on every effect fails with `CancelledError`: the step's code ignored its cancellation.
        """
        self.is_closed = True

    def check_open(self) -> None:
        """
        `CancelledError` once closed.
        """
        if self.is_closed:
            raise CancelledError

    async def perform(
        self, kind: str, intent: Json, perform: Callable[[JournalEntry, bool], Awaitable[Done]], **options: Any
    ) -> JournalEntry:
        """
        An effect with its outcome, recorded, resumed or performed now; *options* are those of `Journal.effect`.
        """
        self.check_open()

        async def perform_if_open(entry: JournalEntry, resumed: bool) -> Done:
            self.check_open()  # it may have been closed while the intent was committed
            return await perform(entry, resumed)

        return await self._journal.effect(self.step, kind, intent, perform_if_open, **options)

    async def once(self, kind: str, intent: Json, ask: Callable[[], Json]) -> Any:
        """
        The answer of *ask*, which is called once, or again if the master dies before the answer is committed.
        """

        async def perform(entry: JournalEntry, resumed: bool) -> Done:
            return Done({"answer": ask()})

        entry = await self.perform(kind, intent, perform)
        return entry.outcome["answer"] if entry.outcome else None
