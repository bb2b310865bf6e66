"""
Things that came from addresses, in the order in which they came.

When they are too many, the oldest goes, of the address that holds most: so a flood from one place drives out itself.
"""

from collections import OrderedDict
from typing import Generic, Protocol, TypeVar


class Addressed(Protocol):
    """
    Something that came from an address.
    """

    @property
    def address(self) -> str:
        """
        From where it came.
        """


T = TypeVar("T", bound=Addressed)


class Crowd(Generic[T]):
    """
    Things by address: so the one to go, when they are too many, is found at once.
    """

    def __init__(self) -> None:
        self._by_address: dict[str, OrderedDict[T, None]] = {}
        # How many an address holds → the addresses that hold so many.
        self._by_count: dict[int, OrderedDict[str, None]] = {}
        self._highest = 0
        self._number = 0

    def __len__(self) -> int:
        return self._number

    def __contains__(self, one: T) -> bool:
        return one in self._by_address.get(one.address, ())

    def add(self, one: T) -> None:
        """
        It comes.
        """
        held = self._by_address.setdefault(one.address, OrderedDict())
        held[one] = None
        self._count(one.address, len(held) - 1, len(held))
        self._number += 1

    def remove(self, one: T) -> None:
        """
        It goes.
        """
        held = self._by_address[one.address]
        del held[one]
        self._count(one.address, len(held) + 1, len(held))
        if not held:
            del self._by_address[one.address]
        self._number -= 1

    def first_to_go(self) -> T:
        """
        The oldest, of the address that holds most.
        """
        crowd = next(iter(self._by_count[self._highest]))
        return next(iter(self._by_address[crowd]))

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
            self._highest = after  # it went down by one, and nobody else held so many
