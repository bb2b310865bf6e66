"""
A table with two lines for each row, for narrow terminals.
"""

from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.text import Text

from .layout import PLAIN_WIDTH, widest

USUAL = 80
"""Columns from which on a row has exactly two lines."""
_INDENT = 4


class TwoLines:
    """
    *wide*, if each of its rows fits on a line, or if the output is not a terminal.  Otherwise the *rows* below *heads*,
    each followed by its *details*.  These have one line, which may end with "…"; on a terminal of less than `USUAL`
    columns, or if they are to be *whole*, they have several.  The lines of *rows* are not cut: the terminal breaks
    longer ones.
    """

    def __init__(
        self,
        wide: RenderableType,
        heads: Sequence[str],
        rows: Sequence[Sequence[Text]],
        details: Sequence[Text],
        *,
        whole: bool = False,
    ) -> None:
        self._wide = wide
        self._rows = [[Text(head, style="bold") for head in heads], *rows]
        self._details = [Text(), *details]
        self._whole = whole

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if options.max_width >= PLAIN_WIDTH or widest(console, options, self._wide) <= options.max_width:
            yield self._wide
            return
        widths = [max(map(cell_len, map(str, column))) for column in zip(*self._rows, strict=True)]
        for row, details in zip(self._rows, self._details, strict=True):
            first = Text(no_wrap=True, overflow="ignore")
            for cell, width in zip(row, widths, strict=True):
                first.append_text(cell).append(" " * (width - cell_len(str(cell)) + 2))
            first.rstrip()
            yield first
            if details:
                cut = options.max_width >= USUAL and not self._whole
                line = Text(no_wrap=cut, overflow="ellipsis" if cut else "fold").append_text(details)
                yield Padding(line, (0, 0, 0, _INDENT), expand=False)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(1, options.max_width)
