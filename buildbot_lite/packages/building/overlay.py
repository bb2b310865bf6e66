"""
The program of `roots.Overlay`, overlay.sh, which also enters and removes the kept roots of all kinds (kept.sh).
"""

from collections.abc import Sequence

from .programs import words_of

OVER_LIMIT = 98
"""
The exit code of overlay.sh when it has ended a command, whose last line then says why.  A command cannot exit with it:
overlay.sh makes it 1.
"""


def overlay(verb: str, *words: str) -> Sequence[str]:
    """
    The words that run overlay.sh.
    """
    return words_of("overlay", verb, *words)
