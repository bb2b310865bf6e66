"""
The requests and steps that wait for locks, in their order.

There is one line of waiters for each lock.  A waiter for several locks stands in several lines, everywhere with the
same place.
"""

from bisect import bisect_left, insort
from collections.abc import Collection, Iterator, Sequence
from itertools import takewhile
from operator import attrgetter
from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import Deferred

from ...model.locks import LockName, LockUse


@frozen
class LockOwner:
    """
    The build of *request*, or one *step* of it.
    """

    request: int
    step: int | None = None


@define(eq=False)
class LockWaiter:
    """
    A request or step that waits.

    *place*: its sort key in the lines.  *turn*: for a step, fires when it holds its locks.  *parent*: for a request,
    the request whose build waits for it.  *promised*: the locks that are reserved for it.
    """

    owner: LockOwner
    uses: tuple[LockUse, ...]
    place: tuple[Any, ...]
    turn: Deferred[None] | None = None
    parent: int | None = None
    promised: set[LockName] = field(factory=set)


_place = attrgetter("place")


class LockLines:
    """
    All waiters, by owner and by lock.
    """

    def __init__(self) -> None:
        self._waiters: dict[LockOwner, LockWaiter] = {}
        self._lines: dict[LockName, list[LockWaiter]] = {}

    def of(self, owner: LockOwner) -> LockWaiter | None:
        """
        The waiter of *owner*.
        """
        return self._waiters.get(owner)

    def all(self) -> Collection[LockWaiter]:
        """
        All waiters, in no order.
        """
        return self._waiters.values()

    def steps(self) -> list[LockWaiter]:
        """
        The waiting steps, in the order of their places.
        """
        return sorted((each for each in self._waiters.values() if each.turn is not None), key=_place)

    def before(self, waiter: LockWaiter, lock: LockName) -> Iterator[LockWaiter]:
        """
        The waiters for *lock* whose places are before that of *waiter*.
        """
        return takewhile(lambda each: each is not waiter, self._lines.get(lock, ()))

    def add(self, waiter: LockWaiter) -> None:
        """
        Let *waiter* wait at its place.
        """
        self._waiters[waiter.owner] = waiter
        for use in waiter.uses:
            insort(self._lines.setdefault(use.lock, []), waiter, key=_place)

    def remove(self, owner: LockOwner) -> LockWaiter | None:
        """
        End the waiting of *owner*, and return its waiter; None if it did not wait.
        """
        waiter = self._waiters.pop(owner, None)
        if waiter is not None:
            for use in waiter.uses:
                line = self._lines[use.lock]
                del line[_index(line, waiter)]
                if not line:
                    del self._lines[use.lock]
        return waiter

    def move(self, waiter: LockWaiter, place: tuple[Any, ...]) -> None:
        """
        Give *waiter* another place.
        """
        lines = [self._lines[use.lock] for use in waiter.uses]
        indices = [_index(line, waiter) for line in lines]
        waiter.place = place
        for line, index in zip(lines, indices, strict=True):
            # Usually the order is that of the previous decision.
            if not _in_order(line, index):
                del line[index]
                insort(line, waiter, key=_place)


def _index(line: Sequence[LockWaiter], waiter: LockWaiter) -> int:
    return line.index(waiter, bisect_left(line, waiter.place, key=_place))


def _in_order(line: Sequence[LockWaiter], index: int) -> bool:
    """
    Whether the waiter at *index* is in order with its neighbours in the sorted *line*.
    """
    place = line[index].place
    return (index == 0 or line[index - 1].place <= place) and (index + 1 == len(line) or place <= line[index + 1].place)
