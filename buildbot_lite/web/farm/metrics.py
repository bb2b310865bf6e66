"""
The farm's metrics: counts of the builds that ended, with what the master answers now.

::

    records: builds that ended ──► counted_builds ──┐
    the master: queue, slaves, its own numbers ─────┼──► exposition ──► text, made at most once in `FRESH` seconds
    the disk ───────────────────────────────────────┘
"""

from collections.abc import Callable
from typing import Any

from attrs import define, field
from sqlalchemy import Connection

from ...deferreds import SharedWork
from ...errors import StorageError
from ...storage.records import retention
from ...storage.records.ended_builds import EndedBuild, ended_after
from .counted_builds import CountedBuilds, keep, load
from .exposition import FarmNumbers, exposition, numbers_of_master
from .live import Live
from .stored_farm import Places, Reading

FRESH = 5.0
"""Seconds for which the same metrics are given again."""
_MOST_READS = 20
"""Reads of the feed for one answer; what is left is counted with the next one."""


@define(eq=False)
class Metrics:
    """
    The metrics of one farm.  *places*: where its files are now.  *wall*: seconds since 1970.  *path*: the file of the
    counts, None: they are kept in memory only.
    """

    records: Reading
    live: Live
    places: Callable[[], Places]
    wall: Callable[[], float]
    path: str | None = None
    _counted: CountedBuilds | None = None
    _text: bytes = b""
    _made: float = float("-inf")
    _making: SharedWork[None, bytes] = field(factory=SharedWork)
    _oldest: tuple[float | None, float | None] = field(default=(None, None))

    async def text(self) -> bytes:
        """
        The metrics, made anew at most once in `FRESH` seconds, however many ask.
        """
        if self.live.clock() - self._made < FRESH:
            return self._text
        return await self._making.begun(None, self._make).wait()

    async def _make(self) -> bytes:
        counted = await self._count()
        status = await self.live.answer("status")
        master = await self.live.answer("metrics")
        places = self.places()
        numbers = FarmNumbers(
            counted=counted,
            status=status,
            master=numbers_of_master(master),
            is_here=self.live.away_since is None and bool(status),
            oldest=self._oldest,
            disks={"logs": places.streams, "artifacts": places.artifacts},
            now=self.wall(),
        )
        self._text, self._made = exposition(numbers), self.live.clock()
        return self._text

    async def _count(self) -> CountedBuilds:
        """
        The counts, with the builds that ended since.  While the database cannot be read, they stay as they are.
        """
        counted = self._counted
        if counted is None:
            counted = self._counted = CountedBuilds() if self.path is None else load(self.path)
        before = counted.seq
        try:
            for _ in range(_MOST_READS):
                builds, upto, more = await self.records.read(_ended_after(counted.seq))
                counted.add(builds, upto)
                if not more:
                    break
            self._oldest = await self.records.read(retention.oldest)
        except StorageError:
            pass
        if counted.seq != before and self.path is not None:
            keep(self.path, counted)
        return counted


def _ended_after(seq: int) -> Any:
    def read(connection: Connection) -> tuple[list[EndedBuild], int, bool]:
        return ended_after(connection, seq)

    return read
