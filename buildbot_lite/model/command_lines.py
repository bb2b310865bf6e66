"""
How the commands of a build are shown.
"""

from collections.abc import Sequence

from .spec import SECRET_REFERENCE, Run

LONGEST_SHOWN = 100
"""Characters of an argument; longer ones, and those of several lines, are shown as an ellipsis."""
MOST_LISTED = 15
"""The most commands in one list."""


def command_line(spec: Run) -> str:
    """
    The command of *spec* as one would type it, with stars for secrets.
    """
    words = spec.script if spec.script is not None else " ".join(map(_shown, spec.argv))
    return f"$ {SECRET_REFERENCE.sub('*****', words)}"


def listed(lines: Sequence[str]) -> str:
    """
    The newest `MOST_LISTED` of the commands *lines*, in one line, and the number of the earlier ones.
    """
    left_out = f"… {len(lines) - MOST_LISTED} earlier ones; " if len(lines) > MOST_LISTED else ""
    return left_out + "; ".join(each[:100] for each in lines[-MOST_LISTED:])


def _shown(argument: str) -> str:
    if "\n" in argument or len(argument) > LONGEST_SHOWN:
        return "…"
    return argument if argument and not set(argument) & set(" \t\n'\"$`\\|&;<>()*?#~") else repr(argument)
