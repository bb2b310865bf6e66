"""
Schedulers that fire at certain times: `Periodic`, `Nightly`, `NightlyTriggerable`.
"""

from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Any

from attrs import define
from twisted.logger import Logger

from ....model.change_view import ChangeView
from ....model.source_stamps import Stamp, is_untrusted, slaves_of, stamps_of
from ....storage.records.changes import RecordedChange
from ...config.clock_schedulers import ClockScheduler, Nightly, NightlyTriggerable, Periodic
from ...config.timetable import Timetable
from .active import MOST_PENDING, Memory, Troubles, importance
from .clock_times import LATE, FiringTimes
from .decisions import Decisions
from .submitting import Firing, reason_for, stamp_of, stamps_for

_log = Logger()


def times_of(config: ClockScheduler | NightlyTriggerable, memory: Memory, now: float, zone: tzinfo) -> FiringTimes:
    """
    When *config* fires.
    """
    if isinstance(config, Periodic):
        period = config.period
        return FiringTimes.restored(lambda last: last + period, f"{period}", memory.state, now, at_once=True)
    assert isinstance(config, (Nightly, NightlyTriggerable))
    timetable: Timetable = config.timetable
    return FiringTimes.restored(
        lambda last: timetable.next_after(last, zone), str(timetable), memory.state, now, at_once=False
    )


def punctual(name: str, times: FiringTimes, now: float, zone: tzinfo) -> float | None:
    """
    The time for which *name* fires now; None when its time has not come.  Delays and clocks that were set back are
    logged.
    """
    # A clock that is kept right by the network is set back by milliseconds now and then.
    if times.correct(now) > LATE:
        _log.warn("scheduler {scheduler}: the clock was set back; its times count from now", scheduler=name)
    due = times.due()
    if due > now:
        return None
    late = times.fire(now)
    if late > LATE:
        _log.warn(
            "scheduler {scheduler}: it was to start builds at {when}, {late} s ago, when the master did not run or its "
            "clock was not right; it starts them once, now",
            scheduler=name,
            when=datetime.fromtimestamp(due, zone).isoformat(" ", "minutes"),
            late=int(late),
        )
    return due


@define(eq=False)
class TimedScheduler:
    """
    *config* at work: the role `ActiveScheduler`.  *times*: when it fires.
    """

    config: ClockScheduler
    troubles: Troubles
    zone: tzinfo
    times: FiringTimes
    _pending: dict[int, tuple[RecordedChange, bool]]
    _codebases: dict[str, Stamp]
    _built_if_changed: bool

    @classmethod
    def restored(
        cls, config: ClockScheduler, memory: Memory, troubles: Troubles, *, now: float, zone: tzinfo
    ) -> "TimedScheduler":
        """
        The scheduler with the state that the records hold.
        """
        state = memory.state or {}
        return cls(
            config,
            troubles,
            zone,
            times_of(config, memory, now, zone),
            {each.recorded.id: (each.recorded, each.important) for each in memory.pending},
            dict(state.get("codebases", {})),
            bool(state.get("if_changed")),
        )

    def consider(self, recorded: RecordedChange, change: ChangeView, decisions: Decisions) -> None:
        if not (self.config.only_if_changed or self.config.absolute):
            return
        important = importance(self.config.choice, change, self.config, self.troubles)
        if important is None:
            return
        # The revision of a fork must not be used for later builds, which may use secrets.
        if self.config.absolute and not recorded.change.untrusted:
            self._codebases[change.codebase] = stamp_of(recorded)
            self._keep(decisions)
        if self.config.only_if_changed:
            self._pending[recorded.id] = (recorded, important)
            decisions.wait(self.config.name, recorded.id, important=important)
            self._bound(decisions)

    def due(self) -> float | None:
        # A new scheduler records at once the moment from which its times count.
        return 0.0 if self.times.unrecorded else self.times.due()

    def act(self, decisions: Decisions) -> None:
        due = punctual(self.config.name, self.times, decisions.now, self.zone)
        if due is not None:
            self._fire(due, decisions)
        if self.times.unrecorded:
            self._keep(decisions)

    def describe(self) -> Mapping[str, Any]:
        important = sum(1 for _, important in self._pending.values() if important)
        condition = f", and an important change ({important} so far)" if self.config.only_if_changed else ""
        return {"waits_for": f"its time{condition}", "next": self.times.due()}

    def _fire(self, due: float, decisions: Decisions) -> None:
        config = self.config
        if not config.only_if_changed:
            self._built_if_changed = False
            if self._pending:
                decisions.drop(config.name, self._pending)
                self._pending.clear()
            self._submit([], decisions)
            return
        changed = any(important for _, important in self._pending.values())
        if not (changed or self._anyway(due, decisions.now)):
            return
        changes = [recorded for recorded, _ in self._pending.values()]
        self._pending.clear()
        self._built_if_changed = True
        if changes:
            decisions.drop(config.name, [each.id for each in changes])
        self._submit(changes, decisions)

    def _anyway(self, due: float, now: float) -> bool:
        """
        Whether it builds without a change: at *due*, or at one of the times that were missed from then to *now*.
        """
        config = self.config
        if isinstance(config, Nightly):
            return config.forced is not None and config.forced.next_after(due - 1, self.zone) <= now
        return not self._built_if_changed

    def _submit(self, changes: list[RecordedChange], decisions: Decisions) -> None:
        config = self.config
        stamps = stamps_for(config, changes, self._codebases)
        if not changes:
            stamps = {codebase: {**config.stamp, **stamp} for codebase, stamp in stamps.items()}
        decisions.fire(
            Firing(
                scheduler=config,
                stamps=stamps,
                reason=reason_for(config, changes) if changes else f"{config.kind} {config.name!r}: its time has come",
                changes=changes,
                untrusted=any(each.change.untrusted for each in changes),
            )
        )

    def _keep(self, decisions: Decisions) -> None:
        state = {**self.times.to_document(), "if_changed": self._built_if_changed, "codebases": self._codebases}
        decisions.keep_state(self.config.name, state)

    def _bound(self, decisions: Decisions) -> None:
        if len(self._pending) > MOST_PENDING:
            oldest = next(
                (id for id, (_, important) in self._pending.items() if not important), next(iter(self._pending))
            )
            del self._pending[oldest]
            decisions.drop(self.config.name, [oldest])


@define(eq=False)
class TimedTriggerable:
    """
    A `NightlyTriggerable` at work: the role `ActiveScheduler`.  *called*: the sources and properties of the last call
    by a Trigger step; None when there was none since its previous builds.
    """

    config: NightlyTriggerable
    troubles: Troubles
    zone: tzinfo
    times: FiringTimes
    called: Mapping[str, Any] | None
    answered: str | None

    @classmethod
    def restored(
        cls, config: NightlyTriggerable, memory: Memory, troubles: Troubles, *, now: float, zone: tzinfo
    ) -> "TimedTriggerable":
        """
        The scheduler with the state that the records hold.
        """
        state = memory.state or {}
        times = times_of(config, memory, now, zone)
        return cls(config, troubles, zone, times, state.get("called"), state.get("answered"))

    def consider(self, recorded: RecordedChange, change: ChangeView, decisions: Decisions) -> None:
        pass

    def due(self) -> float | None:
        return 0.0 if self.times.unrecorded else self.times.due()

    def act(self, decisions: Decisions) -> None:
        due = punctual(self.config.name, self.times, decisions.now, self.zone)
        if due is not None and self.called is not None:
            called, self.called = self.called, None
            decisions.fire(
                Firing(
                    scheduler=self.config,
                    stamps=stamps_of(called["source"]),
                    reason=f"{self.config.kind} {self.config.name!r}: its time has come",
                    untrusted=is_untrusted(called["source"]),
                    slaves=slaves_of(called["source"]),
                    input=called["input"],
                    properties=called["properties"],
                )
            )
        if self.times.unrecorded:
            self.keep(decisions)

    def call(
        self,
        parent: str,
        source: Mapping[str, Any],
        properties: Mapping[str, Any],
        input: int | None,
        decisions: Decisions,
    ) -> None:
        """
        A Trigger step calls it: the journal entry *parent*, whose second call changes nothing.
        """
        if self.answered != parent:
            self.answered = parent
            self.called = {"source": dict(source), "properties": dict(properties), "input": input}
            self.keep(decisions)

    def keep(self, decisions: Decisions) -> None:
        """
        Record the state that outlives a restart.
        """
        state = {**self.times.to_document(), "called": self.called, "answered": self.answered}
        decisions.keep_state(self.config.name, state)

    def describe(self) -> Mapping[str, Any]:
        waits = "its time" if self.called else "a Trigger step, and then its time"
        return {"waits_for": waits, "next": self.times.due() if self.called else None}
