"""
Memory for the compression of downloads.

zlib needs memory for each stream that it compresses, for as long as the client takes to read it: 256 KiB by default,
and 128 with `_WINDOW` and `_LEVEL` (zlib's manual, "memory requirements").  So only some downloads are compressed at a
time, and others are sent as they are: as many as the budget permits (`rooms`), and no more than `MOST_PACKED`.
"""

import zlib
from collections import Counter
from typing import Any

from attrs import define, field

from .byte_budget import BudgetShare
from .fair_places import Occupant

MOST_PACKED = 16
"""Downloads that are compressed at a time."""
_WINDOW = 14
"""Bits of the distance at which a repetition is found."""
_LEVEL = 7
"""Of memory for what waits to be written."""
_GZIP = 16
PACKER = 128 << 10
"""Bytes of memory for each."""


def packer() -> Any:
    """
    What compresses a download: an object of `zlib` that makes gzip's format.
    """
    return zlib.compressobj(1, zlib.DEFLATED, _GZIP + _WINDOW, _LEVEL)


@define(eq=False)
class PackingPlaces:
    """
    Places for at most *most* downloads that are compressed, half of them (or one) of the same visitor, so that one who
    reads slowly does not keep them all.  *share*: what their compression may have.
    """

    share: BudgetShare
    most: int = MOST_PACKED
    _taken: Counter[Occupant] = field(factory=Counter)

    @property
    def taken(self) -> int:
        """
        The number of places that are not free.
        """
        return self._taken.total()

    def take(self, occupant: Occupant) -> bool:
        """
        Whether there is a place for *occupant*, which is taken then, until `leave`.
        """
        if self.taken >= self.most or self._taken[occupant] >= max(1, self.most // 2) or self.share.lacking(PACKER):
            return False
        self.share.add(PACKER)
        self._taken[occupant] += 1
        return True

    def leave(self, occupant: Occupant) -> None:
        """
        A place of *occupant* is free again.
        """
        self.share.add(-PACKER)
        self._taken[occupant] -= 1
        if not self._taken[occupant]:
            del self._taken[occupant]
