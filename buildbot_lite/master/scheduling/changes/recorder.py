"""
Recording changes: each once, in the order in which they arrive, in one transaction with the state of their source.
"""

from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from ....model.change import Change
from ....storage.records import changes as records_of_changes
from ....storage.records import feed
from ....storage.records.changes import RecordedChange
from ....storage.roles import Records
from ...config.generations import Generations
from .codebases import with_codebase


class ChangeRecorder:
    """
    Records changes and calls the subscribers after each commit.  *wall*: seconds since 1970.  *generations*: the
    configuration in force names the codebases of changes that have none.

    A subscriber gets no change as an argument: it reads the records from the last change on that it considered, whose
    number it records itself.  So no change is missed or considered twice, whatever stops in between.
    """

    def __init__(self, *, records: Records, generations: Generations, wall: Callable[[], float]) -> None:
        self._records = records
        self._generations = generations
        self._wall = wall
        self._subscribers: list[Callable[[], None]] = []
        self.newest = 0
        """The number of the newest change that this object recorded; 0: none yet."""

    def subscribe(self, added: Callable[[], None]) -> None:
        """
        Call *added* after each commit with new changes.
        """
        self._subscribers.append(added)

    async def add(
        self, changes: Sequence[Change], in_transaction: Callable[[Connection], object] | None = None
    ) -> list[RecordedChange]:
        """
        Record *changes*; return those that were new.  `InputError` when one is not valid, `ConfigError` when master.cfg
        cannot tell its codebase; then none is recorded.

        *in_transaction* is called in the same transaction: it records how far the source has read.
        """
        now = self._wall()
        generator = self._generations.config.codebase_generator
        checked = [with_codebase(change, generator, now).checked() for change in changes]

        def change(connection: Connection) -> list[RecordedChange]:
            added = [records_of_changes.add(connection, each, now) for each in checked]
            fresh = [recorded for recorded, new in added if new]
            for each in fresh:
                body = {"change": each.id, "branch": each.change.branch, "revision": each.change.revision}
                feed.publish(connection, "change.added", now=now, body=body)
            if in_transaction is not None:
                in_transaction(connection)
            return fresh

        fresh = await self._records.write(change)
        if fresh:
            self.newest = fresh[-1].id
            for added in tuple(self._subscribers):
                added()
        return fresh
