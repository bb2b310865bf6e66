"""
Round robin: items wait in groups, and the groups take turns, so that a large group does not delay the others.

::

    a: 1 2 3
    b: 4 5        taken in the order 1 4 6 2 5 3
    c: 6
"""

from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class RoundRobin(Generic[T]):
    """
    Items in groups.  The items of a group are taken in the order in which they were added.
    """

    def __init__(self) -> None:
        # Groups and their items are in the order of their turns.  No group is empty.
        self._groups: dict[Hashable, dict[T, None]] = {}

    def add(self, group: Hashable, item: T) -> None:
        """
        Add *item* as the last one of *group*.
        """
        self._groups.setdefault(group, {})[item] = None

    def remove(self, group: Hashable, item: T) -> None:
        """
        Remove *item* of *group*.
        """
        items = self._groups[group]
        del items[item]
        if not items:
            del self._groups[group]

    def take(self) -> T:
        """
        Remove and return the first item of the first group, which then becomes the last group.
        """
        group = next(iter(self._groups))
        items = self._groups.pop(group)
        item = next(iter(items))
        del items[item]
        if items:
            self._groups[group] = items
        return item

    def __bool__(self) -> bool:
        return bool(self._groups)
