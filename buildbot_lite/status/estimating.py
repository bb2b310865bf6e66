"""
Estimates of how long builds take, and of the times at which waiting requests will start.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from attrs import define, field
from sqlalchemy import Connection

from ..master.farm import Farm
from ..master.scheduling.builder_queue import WaitingRequest
from ..model.estimates import (
    SAMPLES,
    UNKNOWN,
    BusySlot,
    Estimate,
    ExpectedRequest,
    SlaveLoad,
    estimate,
    expected_starts,
)
from ..model.wait_reasons import WaitKind
from ..storage.records import durations
from ..storage.records.feed import Event
from ..storage.roles import Records

Estimates = Mapping[str, Estimate]

MOST_SIMULATED = 1000
"""Requests at the head of the queue whose start is estimated."""

# The end of any other reason, like a paused slave or a lock, cannot be estimated.
_IN_LINE = {WaitKind.BUSY, WaitKind.BUILDER_BUSY, WaitKind.CAN_START_PENDING, WaitKind.STARTING}


@define(eq=False)
class Estimator:
    """
    The estimates of builders, each read from *records* once after each of its builds.
    """

    _records: Records
    _estimates: dict[str, Estimate] = field(factory=dict)
    _finished: Counter[str] = field(factory=Counter)

    def __attrs_post_init__(self) -> None:
        self._records.on_commit(self._committed)

    async def of(self, builders: Iterable[str]) -> Estimates:
        """
        The estimates of *builders*.
        """
        missing = {name: self._finished[name] for name in builders if name not in self._estimates}

        def read(connection: Connection) -> dict[str, Estimate]:
            samples = {name: durations.of_builder(connection, name, SAMPLES) for name in missing}
            return {name: estimate(each.builds, each.steps) for name, each in samples.items()}

        new = await self._records.read(read) if missing else {}
        # If a build of the builder ended meanwhile, the estimate is outdated already.
        self._estimates.update({name: each for name, each in new.items() if self._finished[name] == missing[name]})
        return {**self._estimates, **new}

    def _committed(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.kind == "build.finished":
                builder = str(event.body.get("builder"))
                self._finished[builder] += 1
                self._estimates.pop(builder, None)


def starts_of(farm: Farm, waiting: Sequence[WaitingRequest], estimates: Estimates) -> dict[int, float]:
    """
    When requests of *waiting*, the head of the queue, are expected to start, by request.  *estimates*: by builder.
    """
    in_line = [
        each
        for each in waiting[:MOST_SIMULATED]
        if each.reason.kind in _IN_LINE and each.request.builder in farm.config.builders
    ]
    now = farm.wall()
    started = {request: live.row.started for request, live in farm.running.live().items()}

    def busy(slave: str) -> list[BusySlot]:
        return [
            BusySlot(
                slot.builder,
                expected_end(started.get(request, now), estimates.get(slot.builder, UNKNOWN)),
                slotted=slot.number is not None,
            )
            for request, slot in farm.slots.of_slave(slave)
        ]

    loads = {
        member.name: SlaveLoad(member.config.max_builds, busy(member.name))
        for member in farm.slaves.everyone()
        if member.obstacle() is None
    }
    expected = []
    for each in in_line:
        builder = farm.config.builders[each.request.builder]
        seconds = estimates.get(builder.name, UNKNOWN).build
        expected.append(
            ExpectedRequest(
                builder.name, builder.slavenames, seconds, concurrent=builder.concurrent, slotted=builder.slotted
            )
        )
    starts = expected_starts(now, loads, expected)
    return {each.request.id: at for each, at in zip(in_line, starts, strict=True) if at is not None}


def expected_end(started: float, of: Estimate) -> float | None:
    """
    When a build that began at *started* is expected to end.  The time may be in the past.
    """
    return None if of.build is None else started + of.build
