"""
A log as a terminal shows it, as HTML.

::

    bytes of a line ──► escape sequences │ text ──► cells, one for each column ──► spans of one style

- Carriage returns, backspaces and the erasing sequences that go with them are obeyed, so of a progress bar the last
  state is shown.  SGR sets colours (`colours`).  Other sequences are dropped: movements to other lines, titles,
  hyperlinks.
- What a reader would not see is made visible: control characters as their pictures (U+2400…), undecodable bytes as
  U+FFFD, characters that turn the direction of text or have no width as their numbers.  So is a sequence without an
  end, which would hide the rest of its line.
- A column is a code point: characters that a terminal shows in two columns, or in none, count as one.

Every character reaches the page through `_as_cells`, which escapes it; all markup is written here.
"""

import html
import re
import unicodedata

from attrs import define, field, frozen

from .colours import TextStyle

LONGEST_LINE = 4000
"""Columns of a line that are shown."""
LARGEST_GROWTH = 64
"""Most bytes of HTML for a byte of a log."""
_FARTHEST = 200
"""Columns that one sequence moves to the right at most: it costs a few bytes, and is filled with spaces."""
_TAB = 8
_ERASED_FOR_EACH = 16

_TOKEN = re.compile(
    r"(?P<text>[^\x00-\x1f\x7f-\x9f]+)"
    r"|\x1b\[(?P<parameters>[0-?]{0,100})[ -/]{0,10}(?P<final>[@-~])"
    r"|(?P<dropped>\x1b[\]PX^_][^\x07\x1b\x9c]{0,4096}(?:\x07|\x1b\\|\x9c)|\x1b[ -/]{1,10}[0-~]|\x1b[0-OQ-WYZ\\`-~])"
    r"|(?P<control>[\x00-\x1f\x7f-\x9f])"
)
_SGR = re.compile(rb"\x1b\[([0-9;:]{0,100})m")
_SPECIAL = re.compile(rb"[^\t -~]")
_MARKUP = re.compile("[&<>\"']")
_MOVING = re.compile("[\r\b]|\x1b\\[[0-?]*[CDGK]")
# Joined emoji and some scripts need these two; they change nothing else.
_JOINERS = "\u200c\u200d"
_INVISIBLE = {"Cf", "Cc", "Cn", "Cs", "Zl", "Zp"}


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
        text = line.decode("utf-8", "replace")
        cells = _Cells(columns, _MOVING.search(text) is not None, erasable=_ERASED_FOR_EACH * len(text))
        for token in _TOKEN.finditer(text):
            self._obey(token, cells)
        return ShownLine(cells.html(), cells.hidden)

    def carry(self, text: bytes) -> None:
        """
        Take over the colours that *text* leaves, which comes before the first line and is not shown.
        """
        for sequence in _SGR.finditer(text):
            self._style.apply(sequence[1].decode("ascii"))

    def _obey(self, token: re.Match[str], cells: "_Cells") -> None:
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


def visible(text: str) -> str:
    """
    *text* as safe HTML, with the characters made visible that `Terminal` makes visible.
    """
    return "".join(_as_cells(text))


@define
class _Cells:
    """
    The columns of one line, each with safe HTML and the classes of its style.

    *tabs_move*: a tab moves the cursor; otherwise it is a character like others.  *erasable*: columns that may still be
    erased by blanks, so that short sequences cost no more than long texts.
    """

    columns: int
    tabs_move: bool
    erasable: int
    hidden: int = 0
    _at: int = 0
    _cells: list[str] = field(factory=list)
    _styles: list[str] = field(factory=list)

    def write(self, text: str, style: str) -> None:
        room = max(0, self.columns - self._at)
        if len(text) > room:
            self.hidden += len(text[room:].encode("utf-8", "replace"))
        self._put(_as_cells(text[:room]), style)
        self._at += max(0, len(text) - room)

    def control(self, character: str, style: str) -> None:
        if character == "\r":
            self._at = 0
        elif character == "\b":
            self._at = max(0, self._at - 1)
        elif character == "\t" and self.tabs_move:
            self._fill(self._at + _TAB - self._at % _TAB)
        else:
            self.write(character, style)

    def move(self, final: str, parameters: str) -> None:
        """
        Obey the sequence with this *final* character: CUF, CUB, CHA or EL of ECMA-48; others do nothing.
        """
        number = int(parameters) if parameters.isascii() and parameters.isdigit() else 0
        if final == "C":
            self._fill(self._at + min(max(1, number), _FARTHEST))
        elif final == "D":
            self._at = max(0, self._at - max(1, number))
        elif final == "G":
            self._fill(min(max(1, number) - 1, self._at + _FARTHEST))
        elif final == "K":
            self._erase(number)

    def html(self) -> str:
        pieces = []
        cells, styles, start = self._cells, self._styles, 0
        while start < len(cells):
            style, end = styles[start], start + 1
            while end < len(cells) and styles[end] == style:
                end += 1
            run = "".join(cells[start:end])
            pieces.append(f'<span class="{style}">{run}</span>' if style else run)
            start = end
        return "".join(pieces)

    def _put(self, cells: list[str], style: str) -> None:
        at, end = self._at, self._at + len(cells)
        self._cells[at:end] = cells
        self._styles[at:end] = [style] * len(cells)
        self._at = end

    def _fill(self, to: int) -> None:
        """
        Move the cursor to the column *to*; the columns before it that were never written get spaces.
        """
        missing = min(to, self.columns) - len(self._cells)
        if missing > 0:
            self._cells += [" "] * missing
            self._styles += [""] * missing
        self._at = to

    def _erase(self, what: int) -> None:
        if what == 0:
            del self._cells[self._at :], self._styles[self._at :]
            return
        end = len(self._cells) if what == 2 else min(self._at + 1, len(self._cells))
        if what in {1, 2} and end <= self.erasable:
            self.erasable -= end
            self._cells[:end] = [" "] * end
            self._styles[:end] = [""] * end


def _as_cells(text: str) -> list[str]:
    """
    The characters of *text*, each as safe HTML.
    """
    if text.isprintable() and "\ufffd" not in text:
        return [html.escape(each) for each in text] if _MARKUP.search(text) else list(text)
    return [_as_cell(each) for each in text]


def _as_cell(character: str) -> str:
    code = ord(character)
    if character == "\ufffd":
        return f"<i>{character}</i>"
    if character == "\t" or character.isprintable() or character in _JOINERS:
        return html.escape(character)
    if code < 0x20:
        return f"<i>{chr(0x2400 + code)}</i>"
    if code == 0x7F:
        return "<i>\u2421</i>"
    if unicodedata.category(character) in _INVISIBLE:
        return f"<i>U+{code:04X}</i>"
    return html.escape(character)
