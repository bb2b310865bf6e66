"""
Rows of a screen: each is exactly one line, whatever the width.

Columns are shortened from the right, each to its least width; if that is not enough, the last ones are left out.
"""

from collections.abc import Sequence

from attrs import frozen
from rich.text import Text

GAP = 2
"""Spaces between columns."""


@frozen
class Column:
    """
    The cells of one column, one for each row.  *least*: the columns of the terminal below which it is not shortened.
    """

    cells: Sequence[Text]
    least: int = 6
    right: bool = False


def lines(columns: Sequence[Column], width: int) -> list[Text]:
    """
    A line of at most *width* columns of the terminal for each row.  Columns without any text are left out.
    """
    used = [column for column in columns if any(column.cells)]
    if not used or width < 1:
        return [Text() for _ in (columns[0].cells if columns else ())]
    natural = [max(cell.cell_len for cell in column.cells) for column in used]
    least = [min(column.least, size) for column, size in zip(used, natural, strict=True)]
    shown = next((count for count in range(len(used), 1, -1) if _needed(least[:count]) <= width), 1)
    widths = _shortened(natural[:shown], least[:shown], width)
    return [
        _line([_cell(column.cells[row], size, right=column.right) for column, size in zip(used, widths, strict=False)])
        for row in range(len(used[0].cells))
    ]


def shares(wanted: Sequence[int], room: int) -> list[int]:
    """
    Lines for each of several lists that want so many, *room* in all: the short ones get what they want, the long ones
    equal parts of the rest.
    """
    given = [0] * len(wanted)
    while room > 0 and (hungry := [index for index, want in enumerate(wanted) if given[index] < want]):
        part = max(1, room // len(hungry))
        for index in hungry:
            more = min(part, wanted[index] - given[index], room)
            given[index] += more
            room -= more
    return given


def _needed(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _shortened(natural: Sequence[int], least: Sequence[int], width: int) -> list[int]:
    widths = list(natural)
    for index in range(len(widths) - 1, -1, -1):
        excess = max(0, _needed(widths) - width)
        widths[index] -= min(excess, widths[index] - least[index])
    return [min(size, width) for size in widths]


def _cell(text: Text, width: int, *, right: bool) -> Text:
    cell = text.copy()
    cell.truncate(width, overflow="ellipsis")
    if right:
        cell.pad_left(width - cell.cell_len)
    else:
        cell.pad_right(width - cell.cell_len)
    return cell


def _line(cells: Sequence[Text]) -> Text:
    line = Text(" " * GAP).join(cells)
    line.rstrip()
    return line
