"""
Connections and streams: so many for all visitors together, and no fewer for one of them than there are.

::

    all places are taken ─► whoever has the most loses the oldest of them ─► the newcomer's

A bound for each address was rejected: it is too small for an office behind one address, and too large for a stranger
with many.  Here a flood displaces itself: others lose nothing while they have fewer places than who makes it.  (The
master does the same with its unauthenticated peers.)  Visitors with a string and those without have half of the places
for sure.
"""

from collections.abc import Callable, Container, Mapping
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Self

from attrs import frozen

_LONGEST_ADDRESS = 100
_MOST_REMEMBERED = 1000
_SITE = 48
"""Bits of an IPv6 address that tell one site from another; it may choose the others (RFC 6177, section 2)."""


@frozen
class Occupant:
    """
    For whom a place counts.  *is_holder*: of a string.
    """

    key: str
    is_holder: bool = False

    @classmethod
    def at(cls, address: str) -> Self:
        """
        Whoever comes from *address*, an IP address; all from unknown addresses ("") are one.
        """
        return cls(_key(address) if len(address) <= _LONGEST_ADDRESS else "")

    @classmethod
    def holding(cls, grant: int) -> Self:
        """
        The holder of the string with the number *grant*.
        """
        return cls(f"#{grant}", is_holder=True)


# Each request of a client asks for the same one.
@lru_cache(_MOST_REMEMBERED)
def _key(address: str) -> str:
    try:
        parsed = ip_address(address)
    except ValueError:
        return ""
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or int(parsed) >> (128 - _SITE))
    return str(parsed)


UNKNOWN = Occupant("")


def most_expendable(
    held: Mapping[Occupant, int], newcomer: Occupant, count: int, most: int, spared: Container[Occupant] = ()
) -> Occupant | None:
    """
    Who gives way when *newcomer* takes *count* more of *most*, which are places or bytes: of holders, if they would
    have more than half of it, and of strangers otherwise, whoever has the most.  *held*: by everybody so far.
    *spared*: those who have nothing that could be taken.  None: nobody is left.
    """
    of_holders = sum(each for of, each in held.items() if of.is_holder) + count * newcomer.is_holder
    holders = of_holders > most // 2
    left = (of for of in held if of.is_holder == holders and of not in spared)
    return max(left, key=held.__getitem__, default=None)


class FairPlace:
    """
    A place that is taken, until `leave`.  *displaced*: called when somebody else gets it.
    """

    def __init__(self, places: "FairPlaces", occupant: Occupant, displaced: Callable[[], object]) -> None:
        self._places = places
        self.occupant = occupant
        self.displaced = displaced

    def belongs_to(self, occupant: Occupant) -> None:
        """
        It counts for *occupant* from now on.
        """
        if occupant != self.occupant and self._places.remove(self):
            self.occupant = occupant
            self._places.add(self)

    def leave(self) -> None:
        """
        It is free again; nothing if it was displaced.
        """
        self._places.remove(self)


class FairPlaces:
    """
    At most *most* places that are taken.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        # Of each occupant, the oldest first.
        self._taken: dict[Occupant, dict[FairPlace, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def take(self, occupant: Occupant, displaced: Callable[[], object]) -> FairPlace:
        """
        A place for *occupant*, perhaps that of somebody else, whose *displaced* is called.
        """
        if self._count >= self._most:
            place = self._most_expendable(occupant)
            self.remove(place)
            place.displaced()
        place = FairPlace(self, occupant, displaced)
        self.add(place)
        return place

    def has_room(self, occupant: Occupant) -> bool:
        """
        Whether another place for *occupant* is free, or would make the shares more equal.  If not, to take it would
        only put a place of theirs, or of somebody with no larger a share, in another's hands; and whoever lost it
        would come back for it.  Who has no place yet gets one.
        """
        if self._count < self._most:
            return True
        own, loser = len(self._taken.get(occupant, ())), self._most_expendable(occupant).occupant
        return not own or loser.is_holder != occupant.is_holder or len(self._taken[loser]) > own + 1

    def add(self, place: FairPlace) -> None:
        """
        *place* is taken.
        """
        self._taken.setdefault(place.occupant, {})[place] = None
        self._count += 1

    def remove(self, place: FairPlace) -> bool:
        """
        *place* is free; False if it was before.
        """
        of_one = self._taken.get(place.occupant, {})
        if place not in of_one:
            return False
        del of_one[place]
        if not of_one:
            del self._taken[place.occupant]
        self._count -= 1
        return True

    def _most_expendable(self, newcomer: Occupant) -> FairPlace:
        held = {of: len(each) for of, each in self._taken.items()}
        occupant = most_expendable(held, newcomer, 1, self._most)
        assert occupant is not None, "all places are taken, by holders or by strangers"
        return next(iter(self._taken[occupant]))
