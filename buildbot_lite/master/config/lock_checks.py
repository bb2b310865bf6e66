"""
Deadlocks that a configuration can have: builds that hold locks while their steps wait for others.

A build has all its locks from its beginning to its end; a step takes its locks while the build has them.  So with two
locks A and B there is a deadlock when a build holds A and a step of it needs B, while another holds B and needs A.
Only locks that are written down are seen, not those that builds render.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import frozen

from ...model.locks import LockName
from .locks import LockAccess, uses_on
from .mistakes import SourceLine, note
from .objects import BuilderConfig, BuildSlave


@frozen
class _Order:
    """
    *builder* holds *first* while one of its steps waits for *then*.
    """

    first: LockName
    then: LockName
    builder: BuilderConfig


def check_locks(builders: Mapping[str, BuilderConfig], slaves: Mapping[str, BuildSlave]) -> None:
    """
    Note the deadlocks of these builders on these slaves.
    """
    orders: dict[tuple[LockName, LockName], _Order] = {}
    for builder in builders.values():
        own: set[LockName] = set()
        for order in _orders(builder, slaves):
            if order.first == order.then:
                own.add(order.first)
            else:
                orders.setdefault((order.first, order.then), order)
        for name in sorted({lock.name for lock in own}):
            note(
                f"The builder {builder.name!r} has the lock {name!r} during its builds, and one of its steps asks for "
                "it again.  Take it away from one of the two.",
                builder.place or SourceLine(),
            )
    _note_circles(list(orders.values()))


def accesses_of(value: Any) -> tuple[LockAccess, ...]:
    """
    The uses of locks in *value*, an argument ``locks``, as far as they are known before a build.
    """
    return tuple(each for each in value if isinstance(each, LockAccess)) if isinstance(value, (list, tuple)) else ()


def _orders(builder: BuilderConfig, slaves: Mapping[str, BuildSlave]) -> Iterator[_Order]:
    of_steps = [accesses for step in builder.steps if (accesses := accesses_of(getattr(step, "locks", ())))]
    for name in builder.slavenames if of_steps else ():
        of_slave = accesses_of(slaves[name].locks) if name in slaves else ()
        held = uses_on(name, accesses_of(builder.locks), of_slave)
        for use in held:
            for accesses in of_steps:
                for wanted in uses_on(name, accesses):
                    yield _Order(use.lock, wanted.lock, builder)


def _note_circles(orders: list[_Order]) -> None:
    after: dict[LockName, list[_Order]] = {}
    for order in orders:
        after.setdefault(order.first, []).append(order)
    noted: set[frozenset[str]] = set()
    for order in orders:
        way = _way(after, order)
        names = frozenset(each.first.name for each in way)
        if not way or names in noted:
            continue
        noted.add(names)
        circle = "; ".join(
            f"a build of {each.builder.name} holds {each.first.name} while a step waits for {each.then.name}"
            for each in way
        )
        note(
            f"Builds could wait for each other for ever: {circle}.  Let all of them take these locks in one order, or "
            "give each build all its locks at its beginning: BuilderConfig(locks=[…]).",
            order.builder.place or SourceLine(),
        )


def _way(after: Mapping[LockName, list[_Order]], start: _Order) -> list[_Order]:
    """
    The shortest circle of orders that begins with *start*; empty if there is none.
    """
    ways, seen = [[start]], {start.then}
    for way in ways:
        if way[-1].then == start.first:
            return way
        for order in after.get(way[-1].then, ()):
            if order.then == start.first:
                return [*way, order]
            if order.then not in seen:
                seen.add(order.then)
                ways.append([*way, order])
    return []
