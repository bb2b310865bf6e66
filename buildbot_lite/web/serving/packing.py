"""
Memory for the compression of downloads.

zlib needs about 256 KiB for each stream that it compresses (zlib's manual, "memory requirements"), for as long as the
client takes to read it.  So only some downloads are compressed at a time, and others are sent as they are.
"""

from collections import Counter

from attrs import define, field

from .fair_places import Occupant

MOST_PACKED = 16
"""Downloads that are compressed at a time."""


@define(eq=False)
class PackingPlaces:
    """
    Places for at most *most* downloads that are compressed, half of them (or one) of the same visitor, so that one who
    reads slowly does not keep them all.
    """

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
        if self.taken >= self.most or self._taken[occupant] >= max(1, self.most // 2):
            return False
        self._taken[occupant] += 1
        return True

    def leave(self, occupant: Occupant) -> None:
        """
        A place of *occupant* is free again.
        """
        self._taken[occupant] -= 1
        if not self._taken[occupant]:
            del self._taken[occupant]
