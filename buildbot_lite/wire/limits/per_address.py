"""
A collection of connections by address, for fair eviction.

When there are too many, the oldest connection of the address that has most is evicted.  So a flood from one address
evicts only connections from that address.
"""

from collections import OrderedDict
from typing import Generic, Protocol, TypeVar


class Addressed(Protocol):
    """
    A member of the collection: a connection, with the address that it came from.
    """

    @property
    def address(self) -> str:
        """
        The peer's IP address.
        """


T = TypeVar("T", bound=Addressed)


class PerAddress(Generic[T]):
    """
    Members, in order of arrival for each address.  Every operation takes constant time.
    """

    def __init__(self) -> None:
        self._by_address: dict[str, OrderedDict[T, None]] = {}
        # Number of members of an address → the addresses with that number.
        self._by_count: dict[int, OrderedDict[str, None]] = {}
        self._highest = 0
        self._number = 0

    def __len__(self) -> int:
        return self._number

    def __contains__(self, member: T) -> bool:
        return member in self._by_address.get(member.address, ())

    def add(self, member: T) -> None:
        """
        Append *member*, which must not be in it.
        """
        members = self._by_address.setdefault(member.address, OrderedDict())
        members[member] = None
        self._count(member.address, len(members) - 1, len(members))
        self._number += 1

    def remove(self, member: T) -> None:
        """
        Remove *member*, which must be in it.
        """
        members = self._by_address[member.address]
        del members[member]
        self._count(member.address, len(members) + 1, len(members))
        if not members:
            del self._by_address[member.address]
        self._number -= 1

    def eviction_candidate(self) -> T:
        """
        The oldest member of the address that has most.
        """
        address = next(iter(self._by_count[self._highest]))
        return next(iter(self._by_address[address]))

    def _count(self, address: str, before: int, after: int) -> None:
        if before:
            peers = self._by_count[before]
            del peers[address]
            if not peers:
                del self._by_count[before]
        if after:
            self._by_count.setdefault(after, OrderedDict())[address] = None
        if after > self._highest:
            self._highest = after
        elif self._highest not in self._by_count:
            self._highest = after  # it decreased by one, and no other address had as many
