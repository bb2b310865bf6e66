"""
A log as a terminal shows it.

::

    bytes of a line ──► escape sequences │ text ──► cells, one for each column (`line_cells`) ──► runs of one style

- Carriage returns, backspaces and the erasing sequences that go with them are obeyed, so of a progress bar the last
  state is shown.  SGR sets colours (`colours`).  Other sequences are dropped: movements to other lines, titles,
  hyperlinks.
- What a reader would not see is made visible (`visible`), also a sequence without an end, which would hide the rest of
  its line.

In HTML, every character goes through `visible.as_html`, which escapes it; all markup is written here and there.
"""

import html
import re
from collections.abc import Callable

from attrs import frozen

from .colours import TextStyle
from .line_cells import LineCells
from .visible import as_html, as_text

LONGEST_LINE = 4000
"""Columns of a line that are shown."""
LARGEST_GROWTH = 64
"""Most bytes of HTML for a byte of a log."""
_ERASED_FOR_EACH = 16

_TOKEN = re.compile(
    r"(?P<text>[^\x00-\x1f\x7f-\x9f]+)"
    r"|\x1b\[(?P<parameters>[0-?]{0,100})[ -/]{0,10}(?P<final>[@-~])"
    r"|(?P<dropped>\x1b[\]PX^_][^\x07\x1b\x9c]{0,4096}(?:\x07|\x1b\\|\x9c)|\x1b[ -/]{1,10}[0-~]|\x1b[0-OQ-WYZ\\`-~])"
    r"|(?P<control>[\x00-\x1f\x7f-\x9f])"
)
_SGR = re.compile(rb"\x1b\[([0-9;:]{0,100})m")
_SPECIAL = re.compile(rb"[^\t -~]")
_MOVING = re.compile("[\r\b]|\x1b\\[[0-?]*[CDGK]")


@frozen
class ShownLine:
    """
    A line as *html*, which is safe.  *hidden*: bytes of the line beyond the last column that is shown.
    """

    html: str
    hidden: int = 0


class Terminal:
    """
    Shows the lines of a log, one after the other; colours carry over from line to line.
    """

    def __init__(self) -> None:
        self._style = TextStyle()

    def show(self, line: bytes, *, columns: int = LONGEST_LINE) -> ShownLine:
        """
        *line*, without its line feed.  Takes time and memory in proportion to its length, so callers bound it.
        """
        line = line.rstrip(b"\r")
        if not self._style.classes and len(line) <= columns and not _SPECIAL.search(line):
            return ShownLine(html.escape(line.decode("ascii")))
        cells = self._cells(line, columns, as_html)
        shown = (f'<span class="{style}">{run}</span>' if style else run for run, style in cells.runs())
        return ShownLine("".join(shown), cells.hidden)

    def runs(self, line: bytes, *, columns: int = LONGEST_LINE) -> list[tuple[str, str]]:
        """
        *line* as parts of one style: text without control characters, and the classes of `TextStyle`.
        """
        return list(self._cells(line.rstrip(b"\r"), columns, as_text).runs())

    def carry(self, text: bytes) -> None:
        """
        Take over the colours that *text* leaves, which comes before the first line and is not shown.
        """
        for sequence in _SGR.finditer(text):
            self._style.apply(sequence[1].decode("ascii"))

    def _cells(self, line: bytes, columns: int, as_cells: Callable[[str], list[str]]) -> LineCells:
        text = line.decode("utf-8", "replace")
        moves = _MOVING.search(text) is not None
        cells = LineCells(columns, as_cells, moves, erasable=_ERASED_FOR_EACH * len(text))
        for token in _TOKEN.finditer(text):
            self._obey(token, cells)
        return cells

    def _obey(self, token: re.Match[str], cells: LineCells) -> None:
        kind = token.lastgroup
        if kind == "text":
            cells.write(token["text"], self._style.classes)
        elif kind == "control":
            cells.control(token["control"], self._style.classes)
        elif kind == "final" and token["final"] == "m":
            # Sequences of the same end with a private parameter, such as "?" or ">", set something else.
            if not token["parameters"].startswith(("<", "=", ">", "?")):
                self._style.apply(token["parameters"])
        elif kind == "final":
            cells.move(token["final"], token["parameters"])
