"""
Suggestions for a name that does not exist, for errors of commands and for mistakes in master.cfg.
"""

import difflib
from collections.abc import Iterable

FEW = 8
"""The most names that are listed."""
_LIKENESS = 0.75
"""The least similarity of a misspelling.  With 0.6, "SingleBranchScheduler" would be one of "ForceScheduler"."""


def there_is_no(what: str, word: str, words: Iterable[str], *, see: str = "") -> str:
    """
    The error for *word*, which is not one of *words*, like ``There is no builder 'helo'.  Did you mean 'hello'?``

    *what*: the kind of object.  *see*: as for `did_you_mean`.
    """
    return f"There is no {what} {word!r:.100}.{did_you_mean(word, words, see=see)}"


def did_you_mean(word: str, words: Iterable[str], *, see: str = "") -> str:
    """
    The end of an error: ``"  Did you mean 'x'?"``; or all *words* if there are at most `FEW`; or *see*, which says
    where they are listed; or empty.
    """
    candidates = sorted(words) if isinstance(words, (set, frozenset)) else list(dict.fromkeys(words))
    close = nearest(word, candidates)
    if close is not None:
        return f"  Did you mean {close!r}?"
    if 0 < len(candidates) <= FEW:
        return f"  There are: {', '.join(candidates)}."
    return f"  See: {see}" if see and candidates else ""


def nearest(word: str, words: Iterable[str]) -> str | None:
    """
    The one of *words* of which *word* is probably a misspelling; None if there is none, or if several are equally near.
    """
    # Buildbot calls its slaves "workers" since 2016.
    word = word.replace("worker", "slave").replace("Worker", "Slave")
    close = difflib.get_close_matches(word, sorted(set(words)), n=2, cutoff=_LIKENESS)
    first, *second = (difflib.SequenceMatcher(None, each, word).ratio() for each in close) if close else (0.0,)
    return None if not close or first in second else close[0]
