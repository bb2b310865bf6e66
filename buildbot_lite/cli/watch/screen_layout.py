"""
The layout of ``buildbot-lite watch``: a first line, sections, and a last line, as many lines as the terminal has.

::

    overview    each section gets a part of the lines, and says how many rows it leaves out
    rows        all rows of all sections, of which the terminal shows those around the selected one
"""

from collections.abc import Callable, Sequence
from typing import Any

from attrs import frozen
from rich.cells import cell_len
from rich.text import Text

from ..output.cells import plain
from .line_columns import Column, lines, shares

KEYS = "q: leave  ↑ ↓ PgUp PgDn: move  Enter: open  Backspace: back"
_LEAST_TITLE = 8
_LEAST_FOR_MORE = 2

Target = tuple[str | int, ...]
"""What a row leads to: ("builder", name), ("build", builder, number) or ("step", builder, number, step)."""


@frozen
class Space:
    """
    Where a screen has to fit in: columns, and lines, None: as many as it needs.  *now*: seconds since 1970.  *remark*:
    a sentence below the first line, such as that the link is lost.
    """

    width: int
    height: int | None
    now: float
    remark: str = ""

    @property
    def rows(self) -> int:
        """
        Lines between the first ones and the last one, at least 0; of a terminal.
        """
        return max(0, (self.height or 0) - 2 - bool(self.remark))


Columns = Callable[[Sequence[Any]], Sequence[Column]]
"""The columns for some of the items."""


def _nowhere(item: Any) -> Target | None:
    return None


@frozen
class Section:
    """
    A title, what is said behind it, and the columns of its *items*, each of which gets a line.  If there is no place
    for all, the first are shown; *last*: the last.  *leads*: what an item leads to.
    """

    title: str
    summary: Text
    items: Sequence[Any]
    columns: Columns
    last: bool = False
    leads: Callable[[Any], Target | None] = _nowhere

    @property
    def heading(self) -> Text:
        """
        The line above the items.
        """
        return Text(f"{self.title}  ", "bold").append_text(self.summary)


@frozen
class Row:
    """
    A line among all.  *stops*: it can be selected; headings cannot.
    """

    text: Text
    target: Target | None = None
    stops: bool = True


@frozen
class Composition:
    """
    What a screen shows.  *counts*: what stands at the right end of the first line.
    """

    title: Text
    counts: str
    sections: Sequence[Section]

    def overview(self, space: Space) -> list[Text]:
        """
        The lines of the overview, exactly as many as *space* has.
        """
        top = self._top(space)
        room = None if space.height is None else space.height - 1 - len(top)
        return _filled([*top, *_body(self.sections, space, room)], space)

    def rows(self, width: int) -> list[Row]:
        rows: list[Row] = []
        for section in self.sections:
            rows += [Row(Text(), stops=False)] if rows else []
            rows.append(Row(section.heading, stops=False))
            shown = lines(section.columns(section.items), width)
            rows += [Row(text, section.leads(item)) for text, item in zip(shown, section.items, strict=True)]
        return rows

    def part(self, rows: Sequence[Row], top: int, selected: int, space: Space) -> list[Text]:
        """
        The lines with *rows* from number *top* on, of which number *selected* is marked.
        """
        shown = [row.text.copy() for row in rows[top : top + space.rows]]
        if 0 <= selected - top < len(shown):
            marked = shown[selected - top]
            marked.pad_right(max(0, space.width - marked.cell_len))
            marked.stylize("reverse")
        return _filled([*self._top(space), *shown], space)

    def _top(self, space: Space) -> list[Text]:
        first = _first_line(self.title, self.counts, space.width if space.height is not None else 0)
        return [first, *([plain(space.remark, "bold red")] if space.remark else [])]


def _filled(shown: Sequence[Text], space: Space) -> list[Text]:
    cut = [_cut(line, space.width) for line in shown]
    if space.height is None:
        return cut
    height = space.height - 1
    return [*cut[:height], *[Text()] * (height - len(cut)), _cut(Text(KEYS, "dim"), space.width)]


def _body(sections: Sequence[Section], space: Space, room: int | None) -> list[Text]:
    wanted = [len(section.items) for section in sections]
    if room is None:
        given, apart = wanted, True
    else:
        # An empty line before each section only if it costs no row.
        apart = sum(wanted) + 2 * len(sections) <= room
        given = shares(wanted, room - len(sections) * (1 + apart))
    shown: list[Text] = []
    for section, most in zip(sections, given, strict=True):
        shown += [Text()] if apart else []
        shown.append(section.heading)
        shown += _some_rows(section, most, space.width)
    return shown


def _some_rows(section: Section, most: int, width: int) -> list[Text]:
    items = section.items
    # A line that says how many are left out takes the place of a row, which the only one is worth more than.
    left = 0 if section.last or len(items) <= most or most < _LEAST_FOR_MORE else len(items) - most + 1
    count = max(0, most - (left > 0))
    shown = items[len(items) - min(count, len(items)) :] if section.last else items[:count]
    return [*lines(section.columns(shown), width), *([Text(f"… {left} more", "dim")] if left else [])]


def _first_line(title: Text, counts: str, width: int) -> Text:
    line = title.copy()
    room = width - cell_len(counts) - 1
    if not counts or room < _LEAST_TITLE:
        return line if width else line.append(f"  {counts}" if counts else "")
    line.truncate(room, overflow="ellipsis", pad=True)
    return line.append(f" {counts}")


def _cut(line: Text, width: int) -> Text:
    line.truncate(width, overflow="ellipsis")
    return line
