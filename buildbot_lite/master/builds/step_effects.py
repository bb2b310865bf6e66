"""
The effects of one step, which end when the build abandons the step's code.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import CancelledError

from ...model.properties import Json
from .journal import Done, Journal, JournalEntry
from .step_time import StepTime


class StepEffects:
    """
    The effects of *step* in *journal*.  *time*: limits the step's code.
    """

    def __init__(self, journal: Journal, step: int, time: StepTime) -> None:
        self.step = step
        self.time = time
        self.is_closed = False
        self._journal = journal

    def close(self) -> None:
        """
        Let all further effects fail with `CancelledError`, because the step's code ignored its cancellation.
        """
        self.is_closed = True

    def check_open(self) -> None:
        """
        Raise `CancelledError` after `close`, and in code that was interrupted by its time limit.
        """
        if self.is_closed or self.time.is_over:
            raise CancelledError

    async def perform(
        self, kind: str, intent: Json, perform: Callable[[JournalEntry, bool], Awaitable[Done]], **options: Any
    ) -> JournalEntry:
        """
        Return the entry of an effect, which is recorded, resumed or performed now.  *options*: further arguments of
        `Journal.effect`.
        """
        self.check_open()

        async def perform_if_open(entry: JournalEntry, resumed: bool) -> Done:
            self.check_open()  # it may have been closed while the intent was committed
            return await perform(entry, resumed)

        ordinal = self._journal.next_ordinal(self.step)

        async def asked(is_recorded: bool) -> None:
            await self.time.asked(ordinal, is_recorded=is_recorded)

        try:
            entry = await self._journal.effect(self.step, kind, intent, perform_if_open, asked=asked, **options)
        except Exception:
            await self.time.answered(ordinal)
            raise
        await self.time.answered(ordinal)
        return entry

    async def once(self, kind: str, intent: Json, ask: Callable[[], Json]) -> Any:
        """
        Return the answer of *ask*.  It is called once; again only if the master dies before that is committed.
        """

        async def perform(entry: JournalEntry, resumed: bool) -> Done:
            return Done({"answer": ask()})

        entry = await self.perform(kind, intent, perform)
        return entry.outcome["answer"] if entry.outcome else None
