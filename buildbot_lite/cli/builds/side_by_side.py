"""
The output of several requests at the same time: a lane for each.

On a terminal a lane is one line, which shows the newest line of its log or its newest remark; at the end come the last
lines of each log of a failed build.  Elsewhere all lines of all logs are printed, each after the name of its lane.
"""

import re
from collections import deque
from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Protocol

from twisted.internet.defer import Deferred

from ...model.display import printable
from ..output.printing import TakeChunk

OUTPUT, REMARK = b"1", b"2"
"""The first byte of a chunk: its stream."""
LONGEST_LINE = 64 << 10
"""Bytes of a line that are kept together."""
LAST_LINES = 40
"""Lines of a failed log that are shown at the end."""
REDRAW = 0.1
"""Seconds between two drawings."""
_RESULTS = MappingProxyType({0: "success", 1: "failed", 2: "exception", 4: "cancelled, or retries used up"})
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
        self._incomplete = b""

    def added(self, data: bytes) -> list[bytes]:
        """
        The lines that *data* completes.
        """
        *lines, incomplete = (self._incomplete + data).split(b"\n")
        while len(incomplete) > LONGEST_LINE:
            lines.append(incomplete[:LONGEST_LINE])
            incomplete = incomplete[LONGEST_LINE:]
        self._incomplete = incomplete
        return lines

    def finished(self) -> list[bytes]:
        """
        The last line, if it has no end.
        """
        incomplete, self._incomplete = self._incomplete, b""
        return [incomplete] if incomplete else []


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
    Lanes on a terminal.  *write*: prints text.  *size*: the terminal's columns and rows.  *now*: seconds.

    A drawing has fewer lines than the terminal has rows, because the cursor does not leave the screen on its way up.
    """

    def __init__(
        self,
        labels: Sequence[str],
        write: Callable[[str], object],
        size: Callable[[], tuple[int, int]],
        now: Callable[[], float],
    ) -> None:
        self._write = write
        self._size = size
        self._now = now
        self._longest = max(len(label) for label in labels)
        self._lines = 0
        self._drawn_at: float | None = None
        self.lanes = [LiveLane(label, self.draw) for label in labels]
        self.draw()

    def draw(self) -> None:
        """
        Draw over the last drawing, unless that was just now: all lanes or, if the terminal has too few rows, rather
        those that have not ended, and the number of the others.
        """
        now = self._now()
        if self._drawn_at is not None and now - self._drawn_at < REDRAW:
            return
        self._drawn_at = now
        self._draw(self._size()[1] - 1)

    def finish(self) -> None:
        """
        Draw all results, and the last lines of what failed.
        """
        self._draw(len(self.lanes))
        for lane in self.lanes:
            if lane.code:
                self._write(f"=== {lane.label}: the last lines\n")
                self._write("".join(f"{line}\n" for line in lane.last))

    def _draw(self, most: int) -> None:
        """
        Draw at most *most* lines over the last drawing.
        """
        up = f"\033[{self._lines}A" if self._lines else ""
        lines = self._shown(most)
        self._lines = len(lines)
        width = self._size()[0] - 1
        self._write(up + "".join(f"\r\033[K{printable(line, longest=width)}\n" for line in lines) + "\033[J")

    def _shown(self, most: int) -> Sequence[str]:
        lanes = self.lanes
        others: list[LiveLane] = []
        if len(lanes) > most:
            by_interest = sorted(lanes, key=lambda lane: lane.code is not None)
            others = by_interest[max(most - 1, 0) :]
            lanes = [lane for lane in lanes if lane not in others]
        lines = [f"{lane.label:{self._longest}}  {lane.state}" for lane in lanes]
        if others:
            ended = sum(lane.code is not None for lane in others)
            lines.append(f"and {len(others)} more" + (f", {ended} of them ended" if ended else ""))
        return lines


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
            visible = line.rstrip().rpartition(b"\r")[2]
            shown = printable(visible.decode("utf-8", "replace"))
            self.last.append(shown)
            self.state = shown.removeprefix("# ") or self.state
        if lines:
            self._changed()
