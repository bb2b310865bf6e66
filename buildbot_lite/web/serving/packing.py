"""
Memory for the compression of downloads.

zlib needs about 256 KiB for each stream that it compresses (zlib's manual, "memory requirements"), for as long as the
client takes to read it.  So only some downloads are compressed at a time, and others are sent as they are.
"""

from attrs import define

MOST_PACKED = 16
"""Downloads that are compressed at a time."""


@define(eq=False)
class PackingPlaces:
    """
    Places for at most *most* downloads that are compressed.
    """

    most: int = MOST_PACKED
    taken: int = 0

    def take(self) -> bool:
        """
        Whether there is a place, which is taken then, until `leave`.
        """
        if self.taken >= self.most:
            return False
        self.taken += 1
        return True

    def leave(self) -> None:
        """
        One place is free again.
        """
        self.taken -= 1
