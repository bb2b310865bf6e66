"""
The end of a log in a terminal: its colours, and nothing else of its control sequences.

A log can contain any bytes, and this terminal must not obey them: titles, movements and links are dropped, and other
control characters are made visible (`web.logs.terminal`).  What is left is text with colours of our own.
"""

from functools import lru_cache

from rich.style import Style
from rich.text import Text

from ...web.logs.terminal import Terminal

_TAB = 8
_ATTRIBUTES = {"bo": "bold", "di": "dim", "it": "italic", "un": "underline", "st": "strike"}


def tail_lines(text: str, most: int) -> list[Text]:
    """
    The last *most* lines of a log that ends with *text*, as a terminal shows them, also after carriage returns.
    """
    terminal = Terminal()
    *before, last = text.encode("utf-8", "replace").split(b"\n")
    whole = [*before, *([last] if last else [])]
    terminal.carry(b"\n".join(whole[:-most]))
    return [_line(terminal.runs(line)) for line in whole[-most:]]


def _line(runs: list[tuple[str, str]]) -> Text:
    line = Text(tab_size=_TAB)
    for run, classes in runs:
        line.append(run, _style(classes))
    line.expand_tabs()
    return line


@lru_cache(1000)
def _style(classes: str) -> Style:
    """
    The style of a terminal for *classes* of `web.logs.colours.TextStyle`.
    """
    names = classes.split()
    words = [_ATTRIBUTES[name] for name in names if name in _ATTRIBUTES]
    colours = {name[0]: name[1:] for name in names if name[1:].isdigit()}
    if "fi" in names or "bi" in names:
        # They stand for the terminal's own colours, which only its "reverse" exchanges: with the others before that.
        words.append("reverse")
        colours = {{"f": "b", "b": "f"}[which]: number for which, number in colours.items()}
    words += [f"color({colours['f']})"] if "f" in colours else []
    words += [f"on color({colours['b']})"] if "b" in colours else []
    return Style.parse(" ".join(words))
