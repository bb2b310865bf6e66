"""
Round robin: items that wait for their turns, in groups that take turns, so that a large group delays no other.

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
    Items by group.  Within a group, first come, first served.
    """

    def __init__(self) -> None:
        # Both in the order of their turns; a group has at least one item.
        self._groups: dict[Hashable, dict[T, None]] = {}

    def add(self, group: Hashable, item: T) -> None:
        """
        Let *item* wait, as the last of *group*.
        """
        self._groups.setdefault(group, {})[item] = None

    def remove(self, group: Hashable, item: T) -> None:
        """
        Let *item* of *group* wait no longer.
        """
        items = self._groups[group]
        del items[item]
        if not items:
            del self._groups[group]

    def take(self) -> T:
        """
        Remove and return the first item of the group whose turn it is; that group is then the last.
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
