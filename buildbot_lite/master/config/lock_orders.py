"""
Orders of two locks: what builds hold while their steps, or builds that they trigger, wait for another lock.

A build has all its locks from its beginning to its end; a step takes its locks while the build has them; builds for
which a Trigger waits share what the waiting build has, and wait for the rest.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, product
from typing import Any

from attrs import field, frozen

from ...model.locks import LockName, LockUse, combined
from .locks import LockAccess, uses_on
from .objects import BuilderConfig, BuildSlave
from .schedulers import BaseScheduler, Triggerable

_MOST_FOLLOWED = 10_000
"""Triggered builds that are looked at, each with the locks that it shares; further ones get no remark."""


@frozen
class LockOrder:
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
class LockOrders:
    """
    The orders in builds of *builders* on *slaves*, which *schedulers* start.
    """

    builders: Mapping[str, BuilderConfig]
    slaves: Mapping[str, BuildSlave]
    schedulers: Mapping[str, BaseScheduler]
    _followed: set[tuple[Any, ...]] = field(factory=set, init=False)
    _shared: dict[str, dict[LockName, int]] = field(factory=dict, init=False)
    _callers: Mapping[str, Sequence[tuple[BuilderConfig, Any]]] = field(init=False)
    """Triggerable → the steps that trigger it, with their builders; "": steps whose schedulers are not known."""

    @_callers.default
    def _steps_that_trigger(self) -> Mapping[str, Sequence[tuple[BuilderConfig, Any]]]:
        callers: dict[str, list[tuple[BuilderConfig, Any]]] = {}
        for builder in self.builders.values():
            for step in builder.steps:
                for name in _named(step):
                    callers.setdefault(name, []).append((builder, step))
        return callers

    def of(self, builder: BuilderConfig) -> Iterator[LockOrder]:
        """
        The orders of two locks in builds of *builder*.
        """
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
                    yield LockOrder(first, then, held, builder, slave, is_sure=is_sure)
                while_waiting = combined([*held, *wanted])
                for child, then in self._of_children(step, while_waiting, (builder.name,), slave):
                    if then.units(then.limit) <= shared.get(then.lock, 0):
                        continue
                    waiter = f"a build of {child}, which it triggers,"
                    for first in while_waiting:
                        yield LockOrder(first, then, while_waiting, builder, slave, waiter, True, False)

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


def has_locks(builders: Mapping[str, BuilderConfig], slaves: Mapping[str, BuildSlave]) -> bool:
    """
    Whether one of *builders*, their steps or *slaves* has a lock that is known before a build.
    """
    steps = (step for builder in builders.values() for step in builder.steps)
    owners = chain(slaves.values(), builders.values(), steps)
    return any(accesses_of(getattr(each, "locks", ())) for each in owners)


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
