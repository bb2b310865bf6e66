"""
Which line is where in a file of any size.

::

    file            │ block 0 │ block 1 │ block 2 │ bl…          blocks of `BLOCK` bytes
    newlines before   0         5,210     5,211     9,800 …       8 bytes for each block: 32 KiB for 1 GiB

Line *n* is found by bisection in the table and then in one block.  The table is counted in a thread, in pieces, and
grows with its file; until it is complete, what asks for less than is counted has its answer already.

Lines count from 1 and end with a line feed.
"""

from array import array
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from attrs import define, field
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.logger import Logger

from ...deferreds import OneShot, background
from ...storage.compressed_streams import StreamReader, open_stream
from ...storage.shared_reading import BLOCK

PIECE = 64 * BLOCK
"""Bytes that a thread counts at a time."""
MOST_BYTES = 4 << 20
"""Bytes of all tables together; the least recently used are dropped."""
MOST_AT_ONCE = 2
MOST_WAITING = 100
_EACH = 500  # bytes of a table's object


class LineIndex:
    """
    The line feeds of a file in its first `counted` bytes.
    """

    def __init__(self) -> None:
        # Line feeds before each block; in the bytes counted behind the last of these places.
        self._before = array("Q", [0])
        self._behind = 0
        self.counted = 0

    @property
    def newlines(self) -> int:
        """
        The number of line feeds in all counted bytes.
        """
        return self._before[-1] + self._behind

    @property
    def size(self) -> int:
        """
        Bytes of memory, about.
        """
        return _EACH + len(self._before) * self._before.itemsize

    def add(self, counts: Sequence[tuple[int, int]]) -> None:
        """
        Add the next bytes of the file, as `count_newlines` counted them from `counted` on.
        """
        for size, newlines in counts:
            self.counted += size
            self._behind += newlines
            if self.counted % BLOCK == 0:
                self._before.append(self._before[-1] + self._behind)
                self._behind = 0

    def newlines_before(self, offset: int, reader: StreamReader) -> int:
        """
        The number of line feeds in the first *offset* bytes, of which all must be counted.
        """
        block, rest = divmod(offset, BLOCK)
        return self._before[block] + (reader.read(offset - rest, rest).count(b"\n") if rest else 0)

    def offset_after(self, newline: int, reader: StreamReader) -> int:
        """
        The offset behind line feed *newline*, counted from 1; all are counted up to it.
        """
        assert 1 <= newline <= self.newlines
        block = bisect_left(self._before, newline) - 1
        start = block * BLOCK
        text = reader.read(start, min(BLOCK, self.counted - start))
        return start + after_nth_newline(text, newline - self._before[block])


def after_nth_newline(text: bytes, nth: int) -> int:
    """
    The index behind the *nth* line feed of *text*, by bisection: `bytes.count` is faster than a loop over them.
    """
    low, high = 0, len(text)
    while high - low > 1:
        middle = (low + high) // 2
        here = text.count(b"\n", low, middle)
        if here >= nth:
            high = middle
        else:
            nth -= here
            low = middle
    return high


def count_newlines(reader: StreamReader, offset: int, size: int) -> list[tuple[int, int]]:
    """
    Count the line feeds of *size* bytes from *offset*: bytes and line feeds for each part that does not cross the
    boundary of a block.  Fewer at the end of the file.
    """
    counts = []
    end = offset + size
    while offset < end:
        text = reader.read(offset, min(BLOCK - offset % BLOCK, end - offset))
        if not text:
            break
        counts.append((len(text), text.count(b"\n")))
        offset += len(text)
    return counts


class InThread(Protocol):
    """
    Runs a function in a thread.
    """

    def __call__(self, function: Callable[[], Any]) -> Deferred[Any]:
        """
        The result of *function*, which must end soon.
        """


@define
class _Counting:
    """
    The counting of one file that goes on up to *length*.  *progress* fires after each piece.
    """

    length: int
    progress: OneShot[None] = field(factory=OneShot)


class LineIndexes:
    """
    The indexes of the files that are read.  *in_thread*: runs a function in a thread.
    """

    _log = Logger()

    def __init__(self, in_thread: InThread, *, most_bytes: int = MOST_BYTES) -> None:
        self._in_thread = in_thread
        self._most_bytes = most_bytes
        self._indexes: OrderedDict[str, LineIndex] = OrderedDict()  # least recently used first
        self._countings: dict[str, _Counting] = {}
        self._turns = DeferredSemaphore(MOST_AT_ONCE)
        self._used = 0

    def of(self, path: str, length: int) -> LineIndex:
        """
        What is counted of the stream file *path* so far; counting goes on in the background up to *length* bytes.
        """
        index = self._indexes.get(path)
        if index is None:
            index = self._indexes[path] = LineIndex()
            self._used += index.size
            self._shrink()
        self._indexes.move_to_end(path)
        counting = self._countings.get(path)
        if counting is not None:
            counting.length = max(counting.length, length)
        elif index.counted < length and len(self._countings) < MOST_WAITING:
            counting = self._countings[path] = _Counting(length)
            turn = self._turns.run(lambda: Deferred.fromCoroutine(self._count(path, index, counting)))
            background(turn, self._log, "counting the lines of a log")
        return index

    async def counted(self, path: str, length: int) -> LineIndex:
        """
        The index of *path* once *length* bytes are counted.  It has fewer if the file has, or if too many others are
        waited for.
        """
        return await self._counted(path, length, lambda index: index.counted >= length)

    async def counted_lines(self, path: str, length: int, newlines: int) -> LineIndex:
        """
        The index of *path* once so many *newlines* are counted, or all in *length* bytes.
        """
        return await self._counted(path, length, lambda index: index.newlines >= newlines or index.counted >= length)

    async def _counted(self, path: str, length: int, suffices: Callable[[LineIndex], bool]) -> LineIndex:
        while True:
            index = self.of(path, length)
            counting = self._countings.get(path)
            if suffices(index) or counting is None:
                return index
            await counting.progress.wait()
            if path not in self._countings:
                return index

    async def _count(self, path: str, index: LineIndex, counting: _Counting) -> None:
        try:
            reader = await self._in_thread(partial(open_stream, path))
            try:
                while index.counted < counting.length:
                    size = min(PIECE, counting.length - index.counted)
                    counts = await self._in_thread(partial(count_newlines, reader, index.counted, size))
                    if not counts:
                        break
                    before = index.size
                    index.add(counts)
                    self._used += index.size - before
                    counting.progress, progress = OneShot(), counting.progress
                    progress.fire(None)
            finally:
                reader.close()
        finally:
            del self._countings[path]
            counting.progress.fire(None)
            self._shrink()

    def _shrink(self) -> None:
        if self._used <= self._most_bytes:
            return
        for path in list(self._indexes)[:-1]:
            if path not in self._countings:
                self._used -= self._indexes.pop(path).size
            if self._used <= self._most_bytes:
                return
