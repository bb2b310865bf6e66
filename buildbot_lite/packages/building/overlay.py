"""
The program of `roots.Overlay`, overlay.sh, which also enters and removes the kept roots of all kinds (kept.sh).
"""

from collections.abc import Sequence

from .programs import words_of


def overlay(verb: str, *words: str) -> Sequence[str]:
    """
    The words that run overlay.sh.
    """
    return words_of("overlay", verb, *words)
