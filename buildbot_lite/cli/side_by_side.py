"""
The output of several requests at a time: a lane for each.

On a terminal a lane is one line, which shows the newest line of its log or its newest remark; at the end the last lines
of those that failed follow.  Elsewhere each line of every log is printed, behind the name of its lane.
"""

import re
from collections import deque
from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Protocol

from twisted.internet.defer import Deferred

from ..model.display import printable
from .output import TakeChunk

OUTPUT, REMARK = b"1", b"2"
"""The first byte of a chunk: its stream."""
LONGEST_LINE = 64 << 10
"""Bytes of a line that are kept together."""
LAST_LINES = 40
"""Lines of a failed log that are shown at the end."""
REDRAW = 0.1
"""Seconds between two drawings."""
_RESULTS = MappingProxyType({0: "success", 1: "failed", 2: "exception", 4: "cancelled, or lost too often"})
_ENDED = re.compile(rb"# \S+: ([A-Z]+.*)")


class LaneOutput(Protocol):
    """
    The output of one request.
    """

    def take(self, chunk: bytes) -> Deferred[None] | None:
        """
        Take a chunk, as `TakeChunk` does.
        """

    def ended(self, code: int) -> None:
        """
        The request has ended with the exit *code*.
        """


class _Lines:
    """
    The lines of a stream that comes in pieces.
    """

    def __init__(self) -> None:
        self._rest = b""

    def added(self, data: bytes) -> list[bytes]:
        """
        The lines that *data* completes.
        """
        *lines, rest = (self._rest + data).split(b"\n")
        while len(rest) > LONGEST_LINE:
            lines.append(rest[:LONGEST_LINE])
            rest = rest[LONGEST_LINE:]
        self._rest = rest
        return lines

    def finished(self) -> list[bytes]:
        """
        The last line, if it has no end.
        """
        rest, self._rest = self._rest, b""
        return [rest] if rest else []


class PlainLane:
    """
    A lane whose lines are printed by *write* behind *label*.
    """

    def __init__(self, label: str, write: TakeChunk) -> None:
        self._label = label
        self._write = write
        self._lines = {OUTPUT: _Lines(), REMARK: _Lines()}

    def take(self, chunk: bytes) -> Deferred[None] | None:
        return self._print(chunk[:1], self._lines[chunk[:1]].added(chunk[1:]))

    def ended(self, code: int) -> None:
        for stream, lines in self._lines.items():
            self._print(stream, lines.finished())

    def _print(self, stream: bytes, lines: Sequence[bytes]) -> Deferred[None] | None:
        if not lines:
            return None
        return self._write(stream + b"".join(f"{self._label} | ".encode() + line + b"\n" for line in lines))


class LiveLanes:
    """
    Lanes on a terminal of *width* columns.  *write*: prints text.  *now*: seconds.
    """

    def __init__(
        self, labels: Sequence[str], write: Callable[[str], object], width: int, now: Callable[[], float]
    ) -> None:
        self._write = write
        self._width = width
        self._now = now
        self._longest = max(len(label) for label in labels)
        self._drawn: float | None = None
        self.lanes = [LiveLane(label, self.draw) for label in labels]
        self.draw()

    def draw(self, *, always: bool = False) -> None:
        """
        Draw all lanes over the last drawing, unless that was just now.
        """
        now = self._now()
        if self._drawn is not None and not always and now - self._drawn < REDRAW:
            return
        up = "" if self._drawn is None else f"\033[{len(self.lanes)}A"
        self._drawn = now
        lines = (f"{lane.label:{self._longest}}  {lane.state}" for lane in self.lanes)
        self._write(up + "".join(f"\r\033[K{printable(line, longest=self._width - 1)}\n" for line in lines))

    def finish(self) -> None:
        """
        Draw the results, and the last lines of what failed.
        """
        self.draw(always=True)
        for lane in self.lanes:
            if lane.code:
                self._write(f"=== {lane.label}: the last lines\n")
                self._write("".join(f"{line}\n" for line in lane.last))


class LiveLane:
    """
    One of `LiveLanes`.  *code*: its exit code; None: it runs.
    """

    def __init__(self, label: str, changed: Callable[[], None]) -> None:
        self.label = label
        self.state = "waiting"
        self.code: int | None = None
        self.last: deque[str] = deque(maxlen=LAST_LINES)
        self._result: str | None = None
        self._changed = changed
        self._lines = {OUTPUT: _Lines(), REMARK: _Lines()}

    def take(self, chunk: bytes) -> None:
        self._show(chunk[:1], self._lines[chunk[:1]].added(chunk[1:]))

    def ended(self, code: int) -> None:
        for stream, lines in self._lines.items():
            self._show(stream, lines.finished())
        self.code = code
        self.state = self._result or _RESULTS.get(code, f"exit code {code}")
        self._changed()

    def _show(self, stream: bytes, lines: Sequence[bytes]) -> None:
        for line in lines:
            # The log may say anything; remarks are the farm's.
            if stream == REMARK and (match := _ENDED.fullmatch(line)):
                self._result = printable(match[1].decode("utf-8", "replace"))
            # Of a line that a program drew several times, a terminal shows the last state.
            drawn = line.rstrip().rpartition(b"\r")[2]
            shown = printable(drawn.decode("utf-8", "replace"))
            self.last.append(shown)
            self.state = shown.removeprefix("# ") or self.state
        if lines:
            self._changed()
