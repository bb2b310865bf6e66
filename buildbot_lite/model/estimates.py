"""
Estimates: how long builds take, and when waiting ones start.

The estimate of a builder is the median of its latest good builds, so that one slow build does not matter.  Expected
starts come from a simulation of the queue: each request, in order, takes the slot that becomes free first.  Locks,
`canStartBuild` and future requests are not considered.
"""

from collections.abc import Iterable, Mapping, Sequence
from heapq import heapify, heapreplace
from math import inf
from statistics import median

from attrs import field, frozen

SAMPLES = 15
"""The number of good builds from which an estimate is made."""


@frozen
class Estimate:
    """
    The expected duration of a build in seconds (None: unknown), and of its steps, by name.
    """

    build: float | None = None
    steps: Mapping[str, float] = field(factory=dict)


UNKNOWN = Estimate()
_SLOTTED = ""
"""In the place of a builder: all whose builds have directories of their own."""


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
    A slot that a build of *builder* occupies.  *ends*: its expected end; None: unknown.  *slotted*: as in
    `ExpectedRequest`.
    """

    builder: str
    ends: float | None
    slotted: bool = False


@frozen
class SlaveLoad:
    """
    The builds on a slave (*busy*), and the largest number of builds that it runs at a time (*most*; None: no limit).
    """

    most: int | None = None
    busy: Sequence[BusySlot] = ()


@frozen
class ExpectedRequest:
    """
    A waiting request.

    *slaves*: those that may build it.  *seconds*: the expected duration of its build; None: unknown.  *concurrent*:
    whether a slave may run several builds of the builder at a time.  *slotted*: whether its builds have directories of
    their own: a slave whose number of builds has no limit runs one build of all such builders at a time.
    """

    builder: str
    slaves: Sequence[str]
    seconds: float | None
    concurrent: bool = False
    slotted: bool = False

    def excludes(self, most: int | None) -> str | None:
        """
        The builds that cannot run beside it on a slave that runs *most* builds: those of its builder, `_SLOTTED` ones,
        or none (None).
        """
        if self.slotted:
            return _SLOTTED if most is None else None
        return None if self.concurrent else self.builder


def expected_starts(
    now: float, loads: Mapping[str, SlaveLoad], waiting: Iterable[ExpectedRequest]
) -> list[float | None]:
    """
    The expected start of each of *waiting*, in seconds as *now*; None: unknown.

    *loads*: slave → its load.  *waiting*: the requests, most urgent first.  A build that has already taken longer than
    expected is expected to end *now*.
    """
    free = {name: _slots(now, load) for name, load in loads.items()}
    builder_free: dict[tuple[str, str], float] = {}
    for name, load in loads.items():
        for slot in load.busy:
            for builder in (slot.builder, _SLOTTED) if slot.slotted else (slot.builder,):
                builder_free[name, builder] = max(builder_free.get((name, builder), now), _end(now, slot))
    expected: list[float | None] = []
    for request in waiting:
        starts = {name: _first(free[name], now) for name in request.slaves if name in free}
        for name, at in starts.items():
            if (others := request.excludes(loads[name].most)) is not None:
                starts[name] = max(at, builder_free.get((name, others), now))
        slave, start = min(starts.items(), key=lambda pair: pair[1], default=("", inf))
        if start == inf:
            expected.append(None)
            continue
        expected.append(start)
        end = inf if request.seconds is None else start + request.seconds
        if slots := free[slave]:
            heapreplace(slots, end)
        builder_free[slave, _SLOTTED if request.slotted else request.builder] = end
    return expected


def _slots(now: float, load: SlaveLoad) -> list[float]:
    """
    When each slot of a slave becomes free, as a heap; empty if the number of slots has no limit.
    """
    if load.most is None:
        return []
    ends = sorted(_end(now, slot) for slot in load.busy)
    # If there are more builds than slots, because max_builds was lowered, the first builds to end free no slot.
    slots = [*ends[max(0, len(ends) - load.most) :], *[now] * (load.most - len(ends))]
    heapify(slots)
    return slots


def _first(slots: Sequence[float], now: float) -> float:
    return slots[0] if slots else now


def _end(now: float, slot: BusySlot) -> float:
    return inf if slot.ends is None else max(slot.ends, now)
