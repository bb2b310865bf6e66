"""
Windows: the part of a log that one page shows.

::

    log    ……… line⏎line⏎│line⏎line⏎ … line⏎│line⏎ ………
           before=start ◄─┤  the window      ├─► after=end

It has at most `LINES` lines, `BYTES` bytes of the log, and about `HTML` bytes of HTML.

A window begins and ends at the boundaries of lines, except in lines that are longer than a window.
"""

from sys import getsizeof

from attrs import frozen

from ...storage.compressed_streams import StreamReader
from .terminal import LONGEST_LINE, Terminal

LINES = 500
BYTES = 256 << 10
HTML = 1 << 20
FARTHEST_END = 4 << 20
"""Bytes in which the end of a line is looked for that is longer than a window."""
_LOOKED_BACK = 4096
_LAST_STATE = 16 << 10
"""Bytes of the end of a long line that are looked at for carriage returns."""
_EACH = 200  # bytes of an object and its numbers


@frozen
class LogRow:
    """
    A line, or a part of a very long one, from *offset* on.  *number*: counts from 0 in the window.  *html*: safe.
    *begins*: the line begins here.  *hidden*: bytes of it that are not shown; *ends*: it has its line feed.
    """

    offset: int
    number: int
    html: str
    hidden: int = 0
    begins: bool = True
    ends: bool = True


@frozen
class LogWindow:
    """
    The *rows* from *start* to *end* of a log with *length* bytes.
    """

    start: int
    end: int
    length: int
    rows: tuple[LogRow, ...]

    @property
    def size(self) -> int:
        """
        Bytes of memory, about.
        """
        return _EACH * (1 + len(self.rows)) + sum(getsizeof(each.html) for each in self.rows)

    @property
    def next(self) -> int:
        """
        Where a window begins that goes on: at the last line again if its end is not there yet.
        """
        return self.rows[-1].offset if self.rows and not self.rows[-1].ends and self.end == self.length else self.end


def start_before(reader: StreamReader, end: int, lines: int = LINES) -> int:
    """
    The offset at which a window of so many *lines* begins that ends at *end*.
    """
    low = max(0, end - BYTES)
    text = reader.read(low, end - low)
    at = len(text) - text.endswith(b"\n")
    for _ in range(lines):
        at = text.rfind(b"\n", 0, at)
        if at < 0:
            break
    if at >= 0 or not low:
        return low + at + 1
    first = text.find(b"\n") + 1 or len(text)
    # With the end of the line before.
    earlier = min(low, BYTES - first + 1)
    if first < len(text) and (low + first <= BYTES or b"\n" in reader.read(low - earlier, earlier)):
        # The line in which it would begin fits into the window before.
        return low + first
    # Of a line that is longer than a window, the end is shown.
    return low + max(0, first - LONGEST_LINE)


def window(reader: StreamReader, start: int, until: int, lines: int = LINES) -> LogWindow:
    """
    The window from *start* to *until* at most.  Blocks: call it in a thread.
    """
    length = reader.length
    start, until = min(start, length), min(until, length)
    text = reader.read(start, min(BYTES, until - start))
    if not text:
        return LogWindow(start, start, length, ())
    terminal = Terminal()
    back = min(start, _LOOKED_BACK)
    before = reader.read(start - back, back)
    terminal.carry(before)
    begins = not start or before.endswith(b"\n")
    whole = len(text) if start + len(text) == until else text.rfind(b"\n") + 1
    if not whole:
        return _long(reader, start, until, text, terminal, begins=begins)
    rows: list[LogRow] = []
    at = size = 0
    while at < whole and len(rows) < lines and size < HTML:
        feed = text.find(b"\n", at, whole)
        end = whole if feed < 0 else feed
        line = terminal.show(text[at:end])
        rows.append(LogRow(start + at, len(rows), line.html, line.hidden, begins or at > 0, feed >= 0))
        size += len(line.html)
        at = end + 1
    return LogWindow(start, start + min(at, whole), length, tuple(rows))


def _long(reader: StreamReader, start: int, until: int, text: bytes, terminal: Terminal, *, begins: bool) -> LogWindow:
    """
    The window of a line that begins with *text* and is longer.  Its beginning is shown, but of a line that is written
    again and again after carriage returns, such as a progress bar, the last state.
    """
    line = terminal.show(text)
    end, feed = start + len(text), -1
    stop = min(until, end + FARTHEST_END)
    while feed < 0 and end < stop and (more := reader.read(end, min(BYTES, stop - end))):
        feed = more.find(b"\n")
        end += len(more) if feed < 0 else feed
    hidden = line.hidden + end - start - len(text)
    back = min(end - start, _LAST_STATE)
    _, overwrites, state = reader.read(end - back, back).partition(b"\r")
    if overwrites and state.strip(b"\r"):
        line = terminal.show(state)
        hidden = line.hidden
    row = LogRow(start, 0, line.html, hidden, begins, feed >= 0)
    return LogWindow(start, end + (feed >= 0), reader.length, (row,))
