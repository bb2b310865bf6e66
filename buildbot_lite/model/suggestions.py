"""
Suggestions for a name that does not exist, the same in errors of commands and in mistakes of master.cfg.
"""

import difflib
from collections.abc import Iterable

FEW = 8
"""Names that are listed at most."""
_LIKENESS = 0.75
"""Less alike are other things: with 0.6, "SingleBranchScheduler" would be a "ForceScheduler"."""


def there_is_no(what: str, word: str, words: Iterable[str], *, see: str = "") -> str:
    """
    The sentence for a user who named *word*, which is none of *words*: ``There is no builder 'helo'.  Did you mean …``
    """
    return f"There is no {what} {word!r:.100}.{did_you_mean(word, words, see=see)}"


def did_you_mean(word: str, words: Iterable[str], *, see: str = "") -> str:
    """
    ``"  Did you mean 'x'?"``, or the words if there are few, or where to *see* them, or nothing.
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
    The one of *words* of which *word* is probably a misspelling; None: there is none, or several are equally near.
    """
    # Buildbot renamed its slaves in 2016; half of its users know them by the newer name.
    word = word.replace("worker", "slave").replace("Worker", "Slave")
    close = difflib.get_close_matches(word, sorted(set(words)), n=2, cutoff=_LIKENESS)
    first, *second = (difflib.SequenceMatcher(None, each, word).ratio() for each in close) if close else (0.0,)
    return None if not close or first in second else close[0]
