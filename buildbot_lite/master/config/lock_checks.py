"""
Deadlocks that a configuration can have: builds that hold locks while their steps, or builds that they trigger, wait.

A build has all its locks from its beginning to its end; a step takes its locks while the build has them; builds for
which a Trigger waits share what the waiting build has, and wait for the rest.  Each of these is an order of two
locks::

    a build of x holds A while a step waits for B    A ──► B
    a build of y holds B while a step waits for A    B ──► A     a circle: a deadlock when both run

A circle is a mistake only where the builds can run at the same time whatever else master.cfg says, and each of them
alone keeps the next one waiting.  One that other things may prevent (functions, conditions, locks that builds render)
is a remark, and so is each one by way of a Trigger.  One whose builds never run together, because of another lock or
for want of slots, is neither; nor is one with a build that waits for what all builds that trigger it have.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, combinations, islice, product
from typing import Any

from attrs import field, frozen

from ...model.locks import LockName, LockUse, combined
from .locks import LockAccess, uses_on
from .mistakes import SourceLine, note, remark
from .objects import BuilderConfig, BuildSlave
from .schedulers import BaseScheduler, Triggerable

_MOST_TRIED = 2000
"""Combinations of builds that are tried for one circle of locks."""
_MOST_FOLLOWED = 10_000
"""Triggered builds that are looked at, each with the locks that it shares; further ones get no remark."""


@frozen
class _Order:
    """
    A build of *builder* on *slave* has *held*, *first* among it, while *waiter* waits for *then*.

    *is_triggered*: the waiter is a triggered build.  *is_sure*: nothing is known that might prevent it.
    """

    first: LockUse
    then: LockUse
    held: Sequence[LockUse]
    builder: BuilderConfig
    slave: str
    waiter: str = "a step"
    is_triggered: bool = False
    is_sure: bool = True

    @property
    def locks(self) -> tuple[LockName, LockName]:
        """
        The two locks.
        """
        return self.first.lock, self.then.lock

    def __str__(self) -> str:
        return (
            f"a build of {self.builder.name} holds {self.first.lock.name} while {self.waiter} waits for "
            f"{self.then.lock.name}"
        )


@frozen
class LockChecks:
    """
    The checks of *builders* on *slaves*, which *schedulers* start.
    """

    builders: Mapping[str, BuilderConfig]
    slaves: Mapping[str, BuildSlave]
    schedulers: Mapping[str, BaseScheduler]
    _followed: set[tuple[Any, ...]] = field(factory=set, init=False)
    _callers: dict[str, list[tuple[BuilderConfig, Any]]] = field(factory=dict, init=False)
    """Triggerable → the steps that trigger it, with their builders; "": steps whose schedulers are not known."""
    _shared: dict[str, dict[LockName, int]] = field(factory=dict, init=False)

    def note(self) -> None:
        """
        Note the deadlocks, as mistakes and remarks.
        """
        if not self._has_locks():
            return
        for builder in self.builders.values():
            for step in builder.steps:
                for name in _named(step):
                    self._callers.setdefault(name, []).append((builder, step))
        orders: dict[tuple[LockName, LockName], list[_Order]] = {}
        for builder in self.builders.values():
            own: set[str] = set()
            for order in self._orders(builder):
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

    def _has_locks(self) -> bool:
        owners = (*self.slaves.values(), *self.builders.values())
        steps = (step for builder in self.builders.values() for step in builder.steps)
        return any(accesses_of(getattr(each, "locks", ())) for each in chain(owners, steps))

    def _orders(self, builder: BuilderConfig) -> Iterator[_Order]:
        waiting = [step for step in builder.steps if accesses_of(getattr(step, "locks", ())) or _triggers(step)]
        shared = self._shared_by_parents(builder) if waiting else {}
        for slave in builder.slavenames if waiting else ():
            held = self._held(builder, slave)
            for step in waiting:
                wanted = _wanted(step, slave)
                is_sure = self._is_sure(builder) and getattr(step, "doStepIf", True) is True
                for first, then in product(held, wanted):
                    if first.lock != then.lock and then.units(then.limit) <= shared.get(then.lock, 0):
                        continue
                    yield _Order(first, then, held, builder, slave, is_sure=is_sure)
                while_waiting = combined([*held, *wanted])
                for child, then in self._of_children(step, while_waiting, (builder.name,), slave):
                    if then.units(then.limit) <= shared.get(then.lock, 0):
                        continue
                    waiter = f"a build of {child}, which it triggers,"
                    for first in while_waiting:
                        yield _Order(first, then, while_waiting, builder, slave, waiter, True, False)

    def _shared_by_parents(self, builder: BuilderConfig) -> dict[LockName, int]:
        """
        The locks, with their units, that each build of *builder* shares with its parent, whichever build that is.
        Empty if builds of *builder* can have no parent that waits; a build that is repeated by hand does not count.
        """
        if builder.name in self._shared:
            return self._shared[builder.name]
        self._shared[builder.name] = {}  # the answer for a builder that triggers itself, by way of others
        starting = [each for each in self.schedulers.values() if builder.name in each.builder_names]
        rendered = any(each.builders_to_render is not None for each in self.schedulers.values())
        if rendered or "" in self._callers or not all(isinstance(each, Triggerable) for each in starting):
            return {}
        calls = [call for each in starting for call in self._callers.get(each.name, ())]
        if any(not _triggers(step) for _, step in calls):
            return {}  # it does not wait, and shares nothing
        shared = []
        for parent, step in calls:
            above = self._shared_by_parents(parent)
            for slave in parent.slavenames:
                own = combined([*self._held(parent, slave), *_wanted(step, slave)])
                shared.append({**above, **{use.lock: use.units(use.limit) for use in own}})
        always = set.intersection(*map(set, shared)) if shared else set()
        self._shared[builder.name] = {lock: min(each[lock] for each in shared) for lock in always}
        return self._shared[builder.name]

    def _held(self, builder: BuilderConfig, slave: str) -> Sequence[LockUse]:
        of_slave = accesses_of(self.slaves[slave].locks) if slave in self.slaves else ()
        return uses_on(slave, accesses_of(builder.locks), of_slave)

    def _is_sure(self, builder: BuilderConfig) -> bool:
        """
        Whether only slots and locks that are written down decide when a build of *builder* begins.
        """
        starting = [each for each in self.schedulers.values() if builder.name in each.builder_names]
        is_only_triggered = bool(starting) and all(isinstance(each, Triggerable) for each in starting)
        # Whatever locks the triggering builds hold, the triggered one has, too.
        return builder.can_start_build is None and isinstance(builder.locks, tuple) and not is_only_triggered

    def _of_children(
        self, step: Any, shared: Sequence[LockUse], parents: tuple[str, ...], on: str
    ) -> Iterator[tuple[str, LockUse]]:
        """
        The uses for which builds that *step* triggers may have to wait, each with its builder: more than they share.
        *parents*: the builders above them, of which the first builds on the slave *on*.
        """
        units = {use.lock: use.units(use.limit) for use in shared}
        for name in _triggers(step):
            scheduler = self.schedulers.get(name)
            for child in scheduler.builder_names if isinstance(scheduler, Triggerable) else ():
                builder = self.builders.get(child)
                seen = (on, parents[0], child, frozenset(units.items()))
                if builder is None or child in parents or seen in self._followed:
                    continue
                if len(self._followed) >= _MOST_FOLLOWED:
                    return
                self._followed.add(seen)
                # One that may also be built on another slave need not wait for a lock of this one.
                slave, *others = builder.slavenames or [""]
                own = uses_on(slave, accesses_of(builder.locks))
                of_steps = [uses_on(slave, accesses_of(getattr(each, "locks", ()))) for each in builder.steps]
                for use in combined(use for uses in (own, *of_steps) for use in uses):
                    if use.units(use.limit) > units.get(use.lock, 0) and not (others and use.lock.slave):
                        yield child, use
                for each in builder.steps:
                    yield from self._of_children(each, combined([*shared, *own]), (*parents, child), on)

    def _note_circles(self, orders: Mapping[tuple[LockName, LockName], Sequence[_Order]]) -> None:
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

    def _say(self, way: Sequence[_Order], *, is_mistake: bool) -> None:
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

    def _can_run_together(self, way: Sequence[_Order]) -> bool:
        """
        Whether the builds of *way* can hold these locks at the same time.
        """
        for one, other in combinations(way, 2):
            units = {use.lock: use for use in one.held}
            for use in other.held:
                if (same := units.get(use.lock)) and same.units(use.limit) + use.units(use.limit) > use.limit:
                    return False
        builds = Counter((order.slave, order.builder.name) for order in way)
        if any(count > 1 and not self.builders[name].concurrent for (_, name), count in builds.items()):
            return False
        slots = Counter(order.slave for order in way)
        most = {name: self.slaves[name].max_builds for name in slots if name in self.slaves}
        return all(count <= (most.get(name) or count) for name, count in slots.items())


def check_locks(
    builders: Mapping[str, BuilderConfig],
    slaves: Mapping[str, BuildSlave],
    schedulers: Mapping[str, BaseScheduler],
) -> None:
    """
    Note the deadlocks of *builders*.
    """
    LockChecks(builders, slaves, schedulers).note()


def accesses_of(value: Any) -> tuple[LockAccess, ...]:
    """
    The accesses in *value*, an argument ``locks``, without those that are rendered in each build.
    """
    return tuple(each for each in value if isinstance(each, LockAccess)) if isinstance(value, (list, tuple)) else ()


def _wanted(step: Any, slave: str) -> Sequence[LockUse]:
    return uses_on(slave, accesses_of(getattr(step, "locks", ())))


def _named(step: Any) -> list[str]:
    """
    The schedulers that *step* triggers; with "" among them, if some are known in a build only.
    """
    names = getattr(step, "schedulerNames", None)
    if names is None:
        return []
    return [name if isinstance(name, str) else "" for name in (names if isinstance(names, (list, tuple)) else [""])]


def _triggers(step: Any) -> list[str]:
    """
    The Triggerable schedulers whose builds *step* waits for, as far as they are known before a build.
    """
    names = getattr(step, "schedulerNames", None)
    if getattr(step, "waitForFinish", False) is not True or not isinstance(names, (list, tuple)):
        return []
    return [name for name in names if isinstance(name, str)]


def _is_deadlock(way: Sequence[_Order]) -> bool:
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
