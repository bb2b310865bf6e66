"""
What all readers of logs share: counted lines, windows that were made, files that are open, turns for searches.

::

    records ──► StoredLog ──► LogReader ──► window ──► kept ──► pages of all who look at the same lines
                   ▲
                   └── again when the farm's feed has moved
"""

import hashlib
import os
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from functools import partial
from typing import Any, Generic, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from ...deferreds import OneShot, SharedWork, shielded
from ...storage.compressed_streams import open_stream
from ...storage.records.streams import Stream
from ...storage.shared_reading import SharedStreams
from ..farm.master_watch import NewsOfFarm
from ..farm.stored_farm import Reading
from ..serving.fair_places import Occupant
from ..serving.fair_turns import FairTurns
from ..serving.packing import PackingPlaces
from .line_index import InThread, LineIndexes
from .line_numbers import LineNumbers
from .log_reader import LogPart, LogReader
from .log_search import MOST_FOUND, FoundLine, SearchRun, SearchState, TextSearch
from .stored_log import StoredLog, stored_log
from .windows import LINES, LogWindow, start_before, window

T = TypeVar("T")

MOST_KEPT = 1 << 20
"""Bytes of windows that are kept."""
MOST_RECORDS = 1 << 20
"""Bytes of records of logs that are kept."""
OLDEST_RECORDS = 2.0
"""Seconds after which the records are read again, though no news came."""
MOST_PARTS = 1 << 20
"""Bytes of parts of pages that are kept."""
MOST_BLOCKS = 8
"""Blocks of files that several readers share, of 256 KiB each."""
PACE = 0.5
"""Seconds between two answers with new lines; at one moment for all, so that they get the same ones."""
SEARCH_TIME = 2.0
"""Seconds of one search."""
SEARCH_PIECE = 8 << 20
MOST_SEARCHES = 2
MOST_SEARCHING = 8
"""Searches that wait for their turn."""
_NO_RATE = 1_000_000
_TOO_MANY = "Too many people search in logs at this moment.  Try again in some seconds."


@define
class _Kept(Generic[T]):
    """
    Results that several callers wait for together; the least recently used are dropped above *most*.
    """

    most: int
    size: Callable[[T], int]
    used: int = 0
    _results: OrderedDict[Hashable, tuple[int, T]] = field(factory=OrderedDict)
    _making: SharedWork[Hashable, T] = field(factory=SharedWork)

    async def get(self, key: Hashable, make: Callable[[], Awaitable[T]]) -> T:
        if key in self._results:
            self._results.move_to_end(key)
            return self._results[key][1]
        return await self._making.begun(key, lambda: self._make(key, make)).wait()

    async def _make(self, key: Hashable, make: Callable[[], Awaitable[T]]) -> T:
        result = await make()
        self._results[key] = size, _ = self.size(result), result
        self.used += size
        while self.used > self.most:
            _, (dropped, _) = self._results.popitem(last=False)
            self.used -= dropped
        return result


class FarmLogs:
    """
    The logs of one farm.  *in_thread*: runs a function in a thread.  *packing*: places for compressed downloads.
    """

    def __init__(self, clock: IReactorTime, in_thread: InThread, packing: PackingPlaces) -> None:
        self.clock = clock
        self.shared = SharedStreams(MOST_BLOCKS)
        self.numbers = LineNumbers(LineIndexes(in_thread))
        self.packing = packing
        self.in_thread = in_thread
        self._windows: _Kept[LogWindow] = _Kept(MOST_KEPT, lambda made: made.size)
        self.parts: _Kept[bytes] = _Kept(MOST_PARTS, len)
        self._records: _Kept[StoredLog] = _Kept(MOST_RECORDS, lambda log: log.size)
        self._searches = FairTurns(clock.seconds, clock, MOST_SEARCHES, _NO_RATE, _NO_RATE, MOST_SEARCHING, _TOO_MANY)
        self._pace: OneShot[None] | None = None
        self._paced = float("-inf")
        # Lengths that were looked up in this turn of the reactor.
        self._lengths: dict[str, int] = {}

    async def find(
        self, records: Reading, news: NewsOfFarm, builder: str, number: int, step: str, name: str
    ) -> StoredLog:
        """
        The log, from *records* as they are after the latest *news*.
        """
        seq = news.latest.seq if news.latest is not None and news.flows else None
        age = int(self.clock.seconds() / OLDEST_RECORDS)
        key = (builder, number, step, name)
        return await self._records.get((*key, seq, age), lambda: records.read(stored_log(*key)))

    def reader(self, log: StoredLog, directory: str) -> LogReader:
        """
        A reader of *log* as it is now, whose files are below *directory*, for this thread.
        """
        return LogReader([self._part(each, directory) for each in log.parts], self.shared.open)

    def _part(self, stream: Stream, directory: str) -> LogPart:
        path = os.path.join(directory, stream.path)
        return LogPart(path, self._length(path) if stream.length is None else stream.length)

    def _length(self, path: str) -> int:
        if path not in self._lengths:
            if not self._lengths:
                self.clock.callLater(0, self._lengths.clear)
            reader = self.shared.open(path)
            try:
                self._lengths[path] = reader.length
            finally:
                reader.close()
        return self._lengths[path]

    def pace(self) -> Deferred[None]:
        """
        Fires when new lines may be sent: `PACE` after the last time, to all who wait.
        """
        if self._pace is None:
            self._pace = OneShot()
            self.clock.callLater(max(0.0, self._paced + PACE - self.clock.seconds()), self._go_on)
        return self._pace.wait()

    def _go_on(self) -> None:
        assert self._pace is not None, "it fires once for each time that it is made"
        pace, self._pace = self._pace, None
        self._paced = self.clock.seconds()
        pace.fire(None)

    async def window(self, log: LogReader, start: int, until: int, lines: int = LINES) -> LogWindow:
        until = min(until, log.length)
        make = partial(_window, log.parts, start, until, lines)
        return await self._windows.get((digest_of(log.parts), start, until, lines), lambda: self.in_thread(make))

    async def window_before(self, log: LogReader, end: int) -> LogWindow:
        """
        The window of *log* that ends at *end*.
        """
        make = partial(_window_before, log.parts, end, LINES)
        return await self._windows.get((digest_of(log.parts), None, end, LINES), lambda: self.in_thread(make))

    async def line_at(self, log: LogReader, offset: int, seconds: float) -> int | None:
        """
        The number of the line that contains byte *offset*; None if it is not counted after so many *seconds*.
        """
        known = self.numbers.line_at(log, offset)
        if known is not None:
            return known
        return await self._within(seconds, self.numbers.line_at_when_counted(log, offset))

    async def offset_of_line(self, log: LogReader, line: int, seconds: float) -> int | None:
        """
        The offset at which *line* begins, or the end of a log with fewer lines; None if it is not counted after so many
        *seconds*.
        """

        async def find() -> int:
            offset = await self.numbers.offset_of_line(log, line)
            return log.length if offset is None else offset

        return await self._within(seconds, find())

    async def _within(self, seconds: float, work: Coroutine[Deferred[Any], Any, int | None]) -> int | None:
        waiting: Deferred[int | None] = Deferred.fromCoroutine(work)
        return await waiting.addTimeout(seconds, self.clock, lambda result, timeout: None)

    async def search(
        self, log: LogReader, text: TextSearch, state: SearchState, occupant: Occupant, *, back: bool = False
    ) -> tuple[list[FoundLine], SearchState]:
        """
        The next lines of *log* with *text*, from *state* on, for at most `SEARCH_TIME`; and where to go on.  *back*:
        the lines before it, the nearest one first.  *occupant*: whose turn it takes.
        """
        look, end = (text.run_back, 0) if back else (text.run, log.length)
        await self._searches.begin(occupant)
        # Not ended when its client hangs up: a thread reads the file.
        return await shielded(self._search(log, look, state, end, occupant))

    async def _search(
        self, log: LogReader, look: SearchRun, state: SearchState, end: int, occupant: Occupant
    ) -> tuple[list[FoundLine], SearchState]:
        reader = LogReader(log.parts)
        until = self.clock.seconds() + SEARCH_TIME
        found: list[FoundLine] = []
        try:
            while len(found) < MOST_FOUND and state.offset != end and self.clock.seconds() < until:
                run = partial(look, reader, state, size=SEARCH_PIECE, most=MOST_FOUND - len(found))
                more, after = await self.in_thread(run)
                if after == state:
                    break  # the file was removed
                found, state = found + more, after
        finally:
            reader.close()
            self._searches.end(occupant)
        return found, state


def digest_of(parts: tuple[LogPart, ...]) -> bytes:
    """
    What tells these parts from others.  A log may have thousands, which are made for each request: as a key they would
    be kept beside each window.
    """
    return hashlib.sha256(repr([(each.path, each.length) for each in parts]).encode()).digest()


def _window(parts: tuple[LogPart, ...], start: int, until: int, lines: int) -> LogWindow:
    reader = LogReader(parts, open_stream)
    try:
        return window(reader, start, until, lines)
    finally:
        reader.close()


def _window_before(parts: tuple[LogPart, ...], end: int, lines: int) -> LogWindow:
    reader = LogReader(parts, open_stream)
    try:
        return window(reader, start_before(reader, end, lines), end, lines)
    finally:
        reader.close()
