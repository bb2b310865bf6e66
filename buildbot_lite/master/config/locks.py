"""
The locks of a master.cfg: ``util.MasterLock``, ``util.SlaveLock``, and accesses to them.

A lock is identified by its class and its name: two objects of the same class and name are the same lock.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ...model.locks import LockName, LockUse, combined
from ...model.rendering import is_renderable
from .argument_fit import NotingType, written_name
from .arguments import ArgumentChecker
from .executed_line import SourceLine, current_line
from .mistakes import declare, declared, note

MODES = ("counting", "exclusive")


class Lock(metaclass=NotingType):
    """
    A limit on how many builds or steps do something at a time.  *maxCount*: how many counting accesses may hold it
    together; default 1.
    """

    def __init__(self, name: Any, maxCount: Any = 1) -> None:
        self.place = current_line(self)
        self.arguments = ArgumentChecker(f"{written_name(self)} {name!r:.100}", self)
        self.name = self.arguments.label("name", name)
        self.limit = self.arguments.whole("maxCount", maxCount, least=1)
        declare(self)

    @property
    def limits(self) -> Mapping[str, int]:
        """
        Slave → units of the lock there, for slaves where they are not *maxCount*.
        """
        return {}

    def access(self, mode: Any, count: Any = 1) -> "LockAccess":
        """
        An access to the lock, for ``locks=[…]``.  *mode*: "counting", which takes *count* units, or "exclusive", which
        takes all.
        """
        return LockAccess(self, mode, count)

    def name_on(self, slave: str) -> LockName:
        """
        The identity of the lock for builds on *slave*.
        """
        raise NotImplementedError

    def limit_on(self, slave: str | None) -> int:
        """
        The units of the lock for builds on *slave*.
        """
        return self.limits.get(slave or "", self.limit)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


class MasterLock(Lock):
    """
    A lock that all builds of the farm share.
    """

    def name_on(self, slave: str) -> LockName:
        """
        The identity of the lock, which is the same for all slaves.
        """
        return LockName(self.name)


class SlaveLock(Lock):
    """
    A lock that exists separately for each slave.

    *maxCountForSlave*, also called *maxCountForWorker*: a dictionary: slave → count, for slaves with another one than
    *maxCount*.
    """

    also_called = ("WorkerLock",)

    def __init__(
        self, name: Any, maxCount: Any = 1, maxCountForSlave: Any = None, *, maxCountForWorker: Any = None
    ) -> None:
        super().__init__(name, maxCount)
        if maxCountForSlave is not None and maxCountForWorker is not None:
            self.arguments.note("maxCountForSlave and maxCountForWorker mean the same; give one of them.")
        counts = maxCountForSlave if maxCountForSlave is not None else maxCountForWorker
        self._limits: dict[str, int] = {}
        if counts is not None and not isinstance(counts, Mapping):
            self.arguments.wrong("maxCountForSlave", counts, 'a dictionary like {"bot1": 2}')
            counts = None
        for slave, count in dict(counts or {}).items():
            self._limits[str(slave)] = self.arguments.whole(f"maxCountForSlave[{slave!r:.60}]", count, least=1)

    @property
    def limits(self) -> Mapping[str, int]:
        """
        The counts of *maxCountForSlave*.
        """
        return self._limits

    def name_on(self, slave: str) -> LockName:
        """
        The identity of the lock of *slave*.
        """
        return LockName(self.name, slave)


class LockAccess(metaclass=NotingType):
    """
    An access to *lock*.  *mode*: "counting" takes *count* of its units, "exclusive" takes all.  With a *count* of 0 it
    takes none, and never waits.
    """

    def __init__(self, lock: Any, mode: Any, count: Any = 1) -> None:
        arguments = ArgumentChecker(f"The use of {lock!r:.100}", self)
        if not isinstance(lock, Lock):
            arguments.wrong("the lock", lock, "a MasterLock or a SlaveLock")
            lock = MasterLock("none")
        self.lock = lock
        self.mode = arguments.choice("the mode", mode, MODES)
        self.count = arguments.whole("count", count)
        if self.mode == "exclusive" and self.count != 1:
            arguments.note("an exclusive access takes the whole lock, so its count must be 1.")
        elif self.count > max(lock.limit, *lock.limits.values(), 0):
            arguments.note(f"count is {self.count}, but the lock has only {lock.limit}: it would wait for ever.")

    def on(self, slave: str) -> LockUse | None:
        """
        The use of the lock by a build on *slave*; None if it does not use the lock.
        """
        lock = self.lock
        if not self.count:
            return None
        return LockUse(lock.name_on(slave), self.mode == "exclusive", self.count, lock.limit_on(slave))

    def __repr__(self) -> str:
        return f"{self.lock!r}.access({self.mode!r})"


def checked_accesses(checker: ArgumentChecker, name: str, value: Any) -> tuple[LockAccess, ...]:
    """
    The accesses in *value*: a list, or a single one.  A lock itself means a counting access to it.
    """
    items = value if isinstance(value, (list, tuple, set, frozenset)) else [value]
    accesses: list[LockAccess] = []
    for each in items:
        access = each.access("counting") if isinstance(each, Lock) else each
        if not isinstance(access, LockAccess):
            checker.wrong(name, each, 'a list of uses of locks, like [lock.access("exclusive")]')
        elif any(_same(access.lock, other.lock) for other in accesses):
            checker.note(f"{name} has the lock {access.lock.name!r} twice.")
        else:
            accesses.append(access)
    return tuple(accesses)


def locks_argument(checker: ArgumentChecker, name: str, value: Any) -> Any:
    """
    As `checked_accesses`; a value that each build renders is returned unchanged, and None means no locks.
    """
    if value is None:
        return ()
    return value if is_renderable(value) else checked_accesses(checker, name, value)


def uses_on(slave: str, *accesses: Iterable[LockAccess]) -> tuple[LockUse, ...]:
    """
    The use of each lock by all *accesses* together, for a build on *slave*.
    """
    uses = [access.on(slave) for each in accesses for access in each]
    return combined(use for use in uses if use is not None)


def declared_locks() -> Mapping[tuple[bool, str], Lock]:
    """
    The locks that this load made.  The key is whether it is a `SlaveLock`, and its name.  Two locks with the same key
    and different counts are a mistake.
    """
    locks: dict[tuple[bool, str], Lock] = {}
    for lock in declared(Lock):
        first = locks.setdefault(_key(lock), lock)
        if (first.limit, first.limits) != (lock.limit, lock.limits):
            where = f"; the first is at {first.place}" if first.place else ""
            note(
                f"There are two {type(lock).__name__}s called {lock.name!r}, with different counts{where}.  Use one of "
                "them for both, or give it another name.",
                lock.place or SourceLine(),
            )
    return locks


def _key(lock: Lock) -> tuple[bool, str]:
    return isinstance(lock, SlaveLock), lock.name


def _same(first: Lock, second: Lock) -> bool:
    return _key(first) == _key(second)
