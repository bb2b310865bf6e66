"""
The layout of ``buildbot-lite watch``: a first line, sections, and a last line, as many lines as the terminal has.
"""

from collections.abc import Callable, Sequence
from typing import Any

from attrs import frozen
from rich.cells import cell_len
from rich.text import Text

from .cells import plain
from .line_columns import Column, lines, shares

_LEAST_TITLE = 8
_LEAST_FOR_MORE = 2


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


Columns = Callable[[Sequence[Any]], Sequence[Column]]
"""The columns for some of the items."""


@frozen
class Section:
    """
    A title, what is said behind it, and the columns of its *items*, each of which gets a line.  If there is no place
    for all, the first are shown; *last*: the last.
    """

    title: str
    summary: Text
    items: Sequence[Any]
    columns: Columns
    last: bool = False


def composed(title: Text, counts: str, sections: Sequence[Section], space: Space) -> list[Text]:
    """
    The lines of a screen.  *counts*: what stands at the right end of the first line.
    """
    first = _first_line(title, counts, space.width if space.height is not None else 0)
    top = [first, *([plain(space.remark, "bold red")] if space.remark else [])]
    height = None if space.height is None else space.height - 1
    body = _body(sections, space, None if height is None else height - len(top))
    shown = [_cut(line, space.width) for line in [*top, *body]]
    if height is None:
        return shown
    shown = [*shown[:height], *[Text()] * (height - len(shown))]
    return [*shown, _cut(Text("q: leave", "dim"), space.width)]


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
        shown.append(Text(f"{section.title}  ", "bold").append_text(section.summary))
        shown += _rows(section, most, space.width)
    return shown


def _rows(section: Section, most: int, width: int) -> list[Text]:
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
