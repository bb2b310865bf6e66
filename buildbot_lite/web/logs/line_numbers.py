"""
The numbers of the lines of a log.
"""

from bisect import bisect_right

from ...errors import LimitError
from .line_index import LineIndexes
from .log_reader import LogReader


class LineNumbers:
    """
    Line numbers ↔ offsets in logs.
    """

    def __init__(self, indexes: LineIndexes) -> None:
        self._indexes = indexes

    def counted(self, log: LogReader) -> int:
        """
        How many bytes of *log* are counted; the rest is counted in the background.
        """
        return sum(min(part.length, self._indexes.of(part.path, part.length).counted) for part in log.parts)

    def line_at(self, log: LogReader, offset: int) -> int | None:
        """
        The number of the line that contains byte *offset*; None while that is not counted.
        """
        newlines = 0
        last = bisect_right(log.starts, offset) - 1
        for index, part in enumerate(log.parts[: last + 1]):
            size = min(part.length, offset - log.starts[index])
            table = self._indexes.of(part.path, part.length)
            if table.counted < size:
                return None
            # Only of the last part something is read: a log can have thousands, and opening each takes long.
            whole = size == table.counted
            newlines += table.newlines if whole else table.newlines_before(size, log.part(index))
        return newlines + 1

    async def line_at_when_counted(self, log: LogReader, offset: int) -> int | None:
        """
        As `line_at`, but waits until that is counted; None if it cannot be.
        """
        for index, part in enumerate(log.parts):
            if log.starts[index] < offset:
                await self._indexes.counted(part.path, min(part.length, offset - log.starts[index]))
        return self.line_at(log, offset)

    async def offset_of_line(self, log: LogReader, line: int) -> int | None:
        """
        The offset at which line *line* begins, once that is counted; None if the log has fewer lines.  `LimitError` if
        it cannot be counted now.
        """
        newline = line - 1
        if newline <= 0:
            return 0
        for index, part in enumerate(log.parts):
            table = await self._indexes.counted_lines(part.path, part.length, newline)
            if newline <= table.newlines:
                offset = log.starts[index] + table.offset_after(newline, log.part(index))
                # A table may be ahead of this log, whose last part grows.
                return offset if offset < log.length else None
            if table.counted < part.length:
                raise LimitError("The lines of this log are not counted yet.  Try again later.")
            newline -= table.newlines
        return None
