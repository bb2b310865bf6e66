"""
Estimates: how long builds take, and when waiting ones start.

The estimate of a builder is the median of its latest good builds, so that one slow build does not matter.  Expected
starts come from a simulation of the queue: each request in its order takes the slot that is free first.  Locks,
`canStartBuild` and requests still to come are not considered.
"""

from collections.abc import Iterable, Mapping, Sequence
from heapq import heapify, heapreplace
from math import inf
from statistics import median

from attrs import field, frozen

SAMPLES = 15
"""Good builds from which an estimate is made."""


@frozen
class Estimate:
    """
    Seconds that a build takes, and each of its steps by name.  None: unknown.
    """

    build: float | None = None
    steps: Mapping[str, float] = field(factory=dict)


UNKNOWN = Estimate()


def estimate(builds: Sequence[float], steps: Iterable[tuple[str, float]]) -> Estimate:
    """
    The estimate from the durations of *builds*, and of their *steps* by name.
    """
    by_name: dict[str, list[float]] = {}
    for name, seconds in steps:
        by_name.setdefault(name, []).append(seconds)
    return Estimate(
        median(builds) if builds else None, {name: median(durations) for name, durations in by_name.items()}
    )


@frozen
class BusySlot:
    """
    A slot that a build of *builder* occupies.  *ends*: its expected end; None: unknown.
    """

    builder: str
    ends: float | None


@frozen
class SlaveLoad:
    """
    The builds on a slave, and how many it takes at *most*; None: any number.
    """

    most: int | None = None
    busy: Sequence[BusySlot] = ()


@frozen
class ExpectedRequest:
    """
    A waiting request: for which *builder*, on which *slaves* it can be built, how long that takes (None: unknown).

    *concurrent*: a slave may run several builds of the builder at a time.
    """

    builder: str
    slaves: Sequence[str]
    seconds: float | None
    concurrent: bool = False


def expected_starts(
    now: float, loads: Mapping[str, SlaveLoad], waiting: Iterable[ExpectedRequest]
) -> list[float | None]:
    """
    When each of *waiting*, most urgent first, is expected to start; None: unknown.  *loads*: by slave.

    A build that has taken longer than expected is expected to end *now*.
    """
    free = {name: _slots(now, load) for name, load in loads.items()}
    builder_free: dict[tuple[str, str], float] = {}
    for name, load in loads.items():
        for slot in load.busy:
            key = name, slot.builder
            builder_free[key] = max(builder_free.get(key, now), _end(now, slot))
    expected: list[float | None] = []
    for request in waiting:
        starts = {name: _first(free[name], now) for name in request.slaves if name in free}
        if not request.concurrent:
            starts = {name: max(at, builder_free.get((name, request.builder), now)) for name, at in starts.items()}
        slave, start = min(starts.items(), key=lambda pair: pair[1], default=("", inf))
        if start == inf:
            expected.append(None)
            continue
        expected.append(start)
        end = inf if request.seconds is None else start + request.seconds
        if slots := free[slave]:
            heapreplace(slots, end)
        builder_free[slave, request.builder] = end
    return expected


def _slots(now: float, load: SlaveLoad) -> list[float]:
    """
    When each slot of a slave is free; empty: there are as many as wanted.
    """
    if load.most is None:
        return []
    ends = sorted(_end(now, slot) for slot in load.busy)
    # With more builds than slots (max_builds was lowered), the first ones to end free none.
    slots = [*ends[max(0, len(ends) - load.most) :], *[now] * (load.most - len(ends))]
    heapify(slots)
    return slots


def _first(slots: Sequence[float], now: float) -> float:
    return slots[0] if slots else now


def _end(now: float, slot: BusySlot) -> float:
    return inf if slot.ends is None else max(slot.ends, now)
