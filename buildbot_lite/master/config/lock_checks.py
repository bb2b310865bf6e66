"""
Deadlocks that a configuration can have: builds that hold locks while their steps, or builds that they trigger, wait.

They are circles of orders of two locks (`lock_orders`)::

    a build of x holds A while a step waits for B    A ──► B
    a build of y holds B while a step waits for A    B ──► A     a circle: a deadlock when both run

A circle is a mistake only where the builds can run at the same time whatever else master.cfg says, and each of them
alone keeps the next one waiting.  One that other things may prevent (functions, conditions, locks that builds render)
is a remark, and so is each one by way of a Trigger.  One whose builds never run together, because of another lock or
for want of slots, is neither; nor is one with a build that waits for what all builds that trigger it have.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, islice, product

from attrs import frozen

from ...model.locks import LockName
from .executed_line import SourceLine
from .lock_orders import LockOrder, LockOrders, has_locks
from .mistakes import note, remark
from .objects import BuilderConfig, BuildSlave
from .schedulers import BaseScheduler

_MOST_TRIED = 2000
"""Combinations of builds that are tried for one circle of locks."""


@frozen
class LockChecks:
    """
    The checks of *orders*.
    """

    orders: LockOrders

    def note(self) -> None:
        """
        Note the deadlocks, as mistakes and remarks.
        """
        orders: dict[tuple[LockName, LockName], list[LockOrder]] = {}
        for builder in self.orders.builders.values():
            own: set[str] = set()
            for order in self.orders.of(builder):
                if order.first.lock == order.then.lock and not order.is_triggered:
                    own.add(order.first.lock.name)
                else:
                    orders.setdefault(order.locks, []).append(order)
            for name in sorted(own):
                note(
                    f"The builder {builder.name!r} has the lock {name!r} during its builds, and one of its steps asks "
                    "for it again.  Take it away from one of the two.",
                    builder.place or SourceLine(),
                )
        self._note_circles(orders)

    def _note_circles(self, orders: Mapping[tuple[LockName, LockName], Sequence[LockOrder]]) -> None:
        noted: set[frozenset[str]] = set()
        after: dict[LockName, list[tuple[LockName, LockName]]] = {}
        for pair in (pairs := _in_circles(orders)):
            after.setdefault(pair[0], []).append(pair)
        for start in pairs:
            locks = _way(after, start)
            names = frozenset(pair[0].name for pair in locks)
            if not locks or names in noted:
                continue
            # A circle of one lock needs two builds.
            edges = [orders[pair] for pair in (locks if len(locks) > 1 else locks * 2)]
            ways = [way for way in islice(product(*edges), _MOST_TRIED) if self._can_run_together(way)]
            if not ways:
                continue
            noted.add(names)
            is_mistake, way = max(((_is_deadlock(way), way) for way in ways), key=lambda found: found[0])
            self._say(way, is_mistake=is_mistake)

    def _say(self, way: Sequence[LockOrder], *, is_mistake: bool) -> None:
        circle = "; ".join(dict.fromkeys(map(str, way)))
        if len(set(map(str, way))) == 1:
            circle += ", and another build of it does the same"
        advice = (
            "Give a build all locks that its triggered builds need: they share them"
            if any(order.is_triggered for order in way)
            else "Let all of them take these locks in one order, or give each build all its locks at its beginning: "
            "BuilderConfig(locks=[…])"
        )
        say = note if is_mistake else remark
        say(f"Builds could wait for each other for ever: {circle}.  {advice}.", way[0].builder.place or SourceLine())

    def _can_run_together(self, way: Sequence[LockOrder]) -> bool:
        """
        Whether the builds of *way* can hold these locks at the same time.
        """
        for one, other in combinations(way, 2):
            units = {use.lock: use for use in one.held}
            for use in other.held:
                if (same := units.get(use.lock)) and same.units(use.limit) + use.units(use.limit) > use.limit:
                    return False
        builds = Counter((order.slave, order.builder.name) for order in way)
        if any(count > 1 and not self.orders.builders[name].concurrent for (_, name), count in builds.items()):
            return False
        slots = Counter(order.slave for order in way)
        most = {name: self.orders.slaves[name].max_builds for name in slots if name in self.orders.slaves}
        return all(count <= (most.get(name) or count) for name, count in slots.items())


def check_locks(
    builders: Mapping[str, BuilderConfig],
    slaves: Mapping[str, BuildSlave],
    schedulers: Mapping[str, BaseScheduler],
) -> None:
    """
    Note the deadlocks of *builders*.
    """
    if has_locks(builders, slaves):
        LockChecks(LockOrders(builders, slaves, schedulers)).note()


def _is_deadlock(way: Sequence[LockOrder]) -> bool:
    """
    Whether each build of *way* alone keeps the one before it waiting, and nothing may prevent that.
    """
    following = [*way[1:], way[0]]
    return all(
        order.is_sure and order.then.units(order.then.limit) + after.first.units(order.then.limit) > order.then.limit
        for order, after in zip(way, following, strict=True)
    )


def _in_circles(orders: Iterable[tuple[LockName, LockName]]) -> list[tuple[LockName, LockName]]:
    """
    Those of *orders* to which others lead, and that lead on: the others are in no circle.
    """
    pairs = list(orders)
    while True:
        firsts, thens = {first for first, _ in pairs}, {then for _, then in pairs}
        kept = [(first, then) for first, then in pairs if first in thens and then in firsts]
        if len(kept) == len(pairs):
            return kept
        pairs = kept


def _way(
    after: Mapping[LockName, Sequence[tuple[LockName, LockName]]], start: tuple[LockName, LockName]
) -> list[tuple[LockName, LockName]]:
    """
    The shortest circle that begins with *start*; empty if there is none.  *after*: the orders by their first lock.
    """
    ways, seen = [[start]], {start[1]}
    for way in ways:
        if way[-1][1] == start[0]:
            return way
        for pair in after.get(way[-1][1], ()):
            if pair[1] == start[0]:
                return [*way, pair]
            if pair[1] not in seen:
                seen.add(pair[1])
                ways.append([*way, pair])
    return []
