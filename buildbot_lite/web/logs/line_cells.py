"""
The columns of one line of a terminal: what was written into each of them last.

::

    column    0     1     2     3     4
    cell     "a"  "漢"    ""   "é"   "!"        a character of two columns is followed by an empty cell
                                └── "e" and U+0301: what has no width belongs to the cell before it

What is written over one half of a character of two columns removes the other half, too, and leaves a space there, as
terminals do it.  A column is counted for each code point, as `wcwidth` of POSIX counts them and programs rely on it:
joined emoji have the columns of each of their parts.
"""

import re
from collections.abc import Callable, Iterator

from attrs import define, field
from rich.cells import get_character_cell_size

from ...model.whole_numbers import whole_number

_FARTHEST = 200
"""Columns that one sequence moves to the right at most: it costs a few bytes, and is filled with spaces."""
_TAB = 8
_ALIKE = re.compile("[ -~]+|[^ -~]+")
MOST_JOINED = 16
"""Characters without a width that belong to one cell; the next ones have cells of their own."""


@define
class LineCells:
    """
    The cells of one line, at most *columns*, each with what *as_cells* makes of its character, and a style.

    *moves*: the cursor does not only move by what is written.  Otherwise a tab is a character like others, and the
    width of characters does not matter.  *erasable*: columns that may still be erased by blanks, so that short
    sequences cost no more than long texts.  *hidden*: bytes beyond the last column.
    """

    columns: int
    as_cells: Callable[[str], list[str]]
    moves: bool
    erasable: int
    hidden: int = 0
    _at: int = 0
    _cells: list[str] = field(factory=list)
    _styles: list[str] = field(factory=list)
    # The cell that was written last, and how many characters without a width it has got.
    _last: int | None = None
    _joined: int = 0

    def write(self, text: str, style: str) -> None:
        """
        Write *text* at the cursor.
        """
        if not self.moves:
            self._write_narrow(text, style)
            return
        for run in _ALIKE.findall(text):
            if run.isascii() or all(get_character_cell_size(each) == 1 for each in run):
                self._write_narrow(run, style)
            else:
                for character, cell in zip(run, self.as_cells(run), strict=True):
                    self._write_one(character, cell, style)

    def control(self, character: str, style: str) -> None:
        """
        Obey a carriage return, a backspace or a tab; write any other control *character*.
        """
        if character == "\r":
            self._move(0)
        elif character == "\b":
            self._move(max(0, self._at - 1))
        elif character == "\t" and self.moves:
            self._fill(self._at + _TAB - self._at % _TAB)
        else:
            self._write_narrow(character, style)

    def move(self, final: str, parameters: str) -> None:
        """
        Obey the sequence with this *final* character: CUF, CUB, CHA or EL of ECMA-48; others do nothing.
        """
        number = whole_number(parameters) or 0
        if final == "C":
            self._fill(self._at + min(max(1, number), _FARTHEST))
        elif final == "D":
            self._move(max(0, self._at - max(1, number)))
        elif final == "G":
            self._fill(min(max(1, number) - 1, self._at + _FARTHEST))
        elif final == "K":
            self._erase(number)

    def runs(self) -> Iterator[tuple[str, str]]:
        """
        The line, in parts of one style each: text and style.
        """
        cells, styles, start = self._cells, self._styles, 0
        while start < len(cells):
            style, end = styles[start], start + 1
            while end < len(cells) and styles[end] == style:
                end += 1
            yield "".join(cells[start:end]), style
            start = end

    def _write_narrow(self, text: str, style: str) -> None:
        """
        Write *text*, of which each character has one column.
        """
        room = max(0, self.columns - self._at)
        self._put(self.as_cells(text[:room]), style)
        if beyond := text[room:]:
            self.hidden += _size(beyond)
            self._move(self._at + len(beyond))

    def _write_one(self, character: str, cell: str, style: str) -> None:
        width = get_character_cell_size(character)
        if not width and self._last is not None and self._joined < MOST_JOINED:
            self._cells[self._last] += cell
            self._joined += 1
        elif self._at + max(1, width) > self.columns:
            self.hidden += _size(character)
            self._move(self._at + max(1, width))
        else:
            # Without a character to which it could belong, what has no width is shown by itself.
            self._put([cell, ""] if width == 2 else [cell], style)

    def _put(self, cells: list[str], style: str) -> None:
        at, end = self._at, self._at + len(cells)
        if self.moves and cells:
            self._part(at)
            self._part(end)
        self._cells[at:end] = cells
        self._styles[at:end] = [style] * len(cells)
        self._at = end
        self._last, self._joined = (end - 1 - (cells[-1] == ""), 0) if cells else (None, 0)

    def _part(self, column: int) -> None:
        """
        Leave spaces instead of a character that is on both sides of the left edge of *column*.
        """
        if 0 < column < len(self._cells) and not self._cells[column]:
            self._cells[column - 1] = self._cells[column] = " "

    def _move(self, to: int) -> None:
        self._at, self._last = to, None

    def _fill(self, to: int) -> None:
        """
        Move the cursor to the column *to*; the columns before it that were never written get spaces.
        """
        missing = min(to, self.columns) - len(self._cells)
        if missing > 0:
            self._cells += [" "] * missing
            self._styles += [""] * missing
        self._move(to)

    def _erase(self, what: int) -> None:
        self._last = None
        if what == 0:
            self._part(self._at)
            del self._cells[self._at :], self._styles[self._at :]
            return
        end = len(self._cells) if what == 2 else min(self._at + 1, len(self._cells))
        if what in {1, 2} and end <= self.erasable:
            self._part(end)
            self.erasable -= end
            self._cells[:end] = [" "] * end
            self._styles[:end] = [""] * end


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
