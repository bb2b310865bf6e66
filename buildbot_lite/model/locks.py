"""
Uses of locks by builds and steps.

A lock limits how many builds or steps do something at a time.  Its *limit* is a number of units: a counting use takes
some of them, an exclusive use takes all.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import evolve, frozen


@frozen(cache_hash=True)
class LockName:
    """
    The identity of a lock.  *slave*: the slave, for a lock that exists separately for each slave.
    """

    name: str
    slave: str | None = None

    def __str__(self) -> str:
        return self.name if self.slave is None else f"{self.name} of {self.slave}"


@frozen
class LockUse:
    """
    One use of *lock*: it takes all units if *exclusive*, otherwise *count*.

    *limit*: the units of the lock in the configuration of the build.
    """

    lock: LockName
    exclusive: bool = False
    count: int = 1
    limit: int = 1

    def units(self, limit: int) -> int:
        """
        The units that it takes if the lock now has *limit* units.
        """
        return limit if self.exclusive else min(self.count, limit)

    def to_document(self) -> dict[str, Any]:
        """
        The value as JSON, for the journal and for the row of a build.
        """
        return {
            "lock": self.lock.name,
            "slave": self.lock.slave,
            "exclusive": self.exclusive,
            "count": self.count,
            "limit": self.limit,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "LockUse":
        """
        Read what `to_document` returned.
        """
        return cls(
            LockName(document["lock"], document["slave"]),
            document["exclusive"],
            document["count"],
            document["limit"],
        )


def _most(use: LockUse, other: LockUse) -> LockUse:
    return evolve(use, exclusive=use.exclusive or other.exclusive, count=max(use.count, other.count))


def combined(uses: Iterable[LockUse]) -> tuple[LockUse, ...]:
    """
    One use of each lock in *uses*, which takes as many units as the largest of its uses.
    """
    uses_by_lock: dict[LockName, LockUse] = {}
    for use in uses:
        other = uses_by_lock.get(use.lock)
        uses_by_lock[use.lock] = use if other is None else _most(use, other)
    return tuple(uses_by_lock.values())
