"""
Tables on a terminal.

A table that does not fit has shorter dates, no empty columns, and sentences in several lines, each only once where
rows repeat it.
"""

from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from .cells import Date, Repeated, plain

PLAIN_WIDTH = 500
"""Columns of a table that is not on a terminal: enough that nothing is cut."""

_UNBOUNDED = 1 << 20
_SENTENCES = {
    *("why", "waits for", "last error", "system", "description", "limits", "requested", "summary", ""),
    *("slaves", "builders", "builds", "runs", "label"),
}
"""Columns that may take several lines, between words, where the terminal is narrow."""
_NUMBERS = {"bytes", "running", "waiting", "uses", "links", "messages"}
_LONGEST_WORD = 30
"""Columns of a terminal that a word of a sentence may have and is not broken."""


class Rows:
    """
    *rows* below *heads*.

    If each row fits on a line, or if the output is not a terminal, all columns are shown, with whole dates.
    """

    def __init__(self, heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        self._wide = _grid(heads, [[_cell(value) for value in row] for row in rows])
        used = [index for index in range(len(heads)) if any(str(row[index]) for row in rows)]
        self._narrow = _grid(
            [heads[index] for index in used], [[_short_cell(row[index]) for index in used] for row in rows]
        )

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        plenty = options.max_width >= PLAIN_WIDTH or widest(console, options, self._wide) <= options.max_width
        yield self._wide if plenty else self._narrow

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(
            Measurement.get(console, options, self._narrow).minimum, widest(console, options, self._wide)
        )


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> RenderableType:
    """
    *rows* below *heads*, or "none".  The cells are texts, numbers and dates.
    """
    return Rows(heads, rows) if rows else plain("none", "dim")


def part(title: str, content: RenderableType, rows: Sequence[object]) -> list[RenderableType]:
    """
    A part of a longer output, with its title; without *rows* only "title: none".
    """
    return ["", plain(title if rows else f"{title}: none", "bold"), *([content] if rows else [])]


def facts(pairs: Sequence[tuple[str, object]]) -> RenderableType:
    """
    A line for each name and value; those without a value are left out.
    """
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for name, value in pairs:
        if str(value):
            grid.add_row(plain(name, "dim"), _cell(value))
    return grid


def widest(console: Console, options: ConsoleOptions, content: RenderableType) -> int:
    """
    The columns that *content* needs if no line is broken.
    """
    return Measurement.get(console, options.update(max_width=_UNBOUNDED), content).maximum


def _cell(value: object) -> Text:
    return value if isinstance(value, Text) else plain(str(value))


def _short_cell(value: object) -> Text:
    return plain(value.short()) if isinstance(value, Date | Repeated) else _cell(value)


def _grid(heads: Sequence[str], rows: Sequence[Sequence[Text]]) -> Table:
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_edge=False)
    for head, *column in zip(heads, *rows, strict=True):
        grid.add_column(
            head,
            overflow="fold",
            min_width=max(len(head), *map(_longest_word if head in _SENTENCES else cell_len, map(str, column))),
            # rich takes the missing width from the widest column that may be broken, whatever its least width is.
            no_wrap=head not in _SENTENCES,
            justify="right" if head in _NUMBERS else "left",
        )
    for row in rows:
        grid.add_row(*row)
    return grid


def _longest_word(text: str) -> int:
    return max((min(cell_len(word), _LONGEST_WORD) for word in text.split()), default=0)
