"""
The engine: the loop in which schedulers decide.
"""

from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from datetime import tzinfo
from functools import partial
from typing import Any

from attrs import define
from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ....deferreds import background, next_turn
from ....errors import BuildbotLiteError, RecordsClosedError
from ....storage.records import changes as records_of_changes
from ....storage.records.changes import RecordedChange
from ....storage.roles import Records
from ...config.change_schedulers import SingleBranchScheduler
from ...config.clock_schedulers import ClockScheduler, NightlyTriggerable
from ...config.generations import Generations
from ...config.loading import Generation
from ...config.schedulers import BaseScheduler, Dependent
from ..changes.recorder import ChangeRecorder
from ..new_buildset import NewBuildset
from ..requests import Requests
from ..wakeup import Wakeup
from .active import ActiveScheduler, Troubles
from .clock import TimedScheduler, TimedTriggerable
from .decisions import Decisions
from .dependent import DependentScheduler
from .engine_records import RecordedSchedulers, read_on, restore
from .stable_timer import StableTimerScheduler
from .submitting import new_buildset, seen

LOOK_AT_CLOCK = 60.0
"""Seconds after which the wall clock is read again at the latest."""
TRY_AGAIN = 10.0
"""Seconds after an error until the records are read again."""
LARGEST_DECISIONS = 300
"""Decisions in one transaction; those about one change stay together."""
MOST_CHANGES = 200
"""Changes that are read at a time."""


@define(eq=False)
class _AtWork:
    """
    The running schedulers of one *generation*, by name.

    *considered*: the number of the last change that they considered.  *newest*: of the newest change when they began.
    """

    generation: Generation
    considered: int
    newest: int
    schedulers: Mapping[str, ActiveScheduler]

    @property
    def dependents(self) -> Sequence[DependentScheduler]:
        """
        The schedulers that wait for the buildsets of others.
        """
        return [each for each in self.schedulers.values() if isinstance(each, DependentScheduler)]


class SchedulerEngine:
    """
    Lets the schedulers of the configuration in force decide, from `start` to `stop`.  *wall*: seconds since 1970.
    *zone*: that of the times in master.cfg.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        records: Records,
        generations: Generations,
        requests: Requests,
        changes: ChangeRecorder,
        clock: IReactorTime,
        wall: Callable[[], float],
        zone: Callable[[], tzinfo],
    ) -> None:
        self._records = records
        self._generations = generations
        self._requests = requests
        self._clock = clock
        self._wall = wall
        self._zone = zone
        self._wakeup = Wakeup(clock)
        self._turn = DeferredLock()
        self._troubles: dict[str, Troubles] = {}
        self._at_work: _AtWork | None = None
        self._loop: Deferred[None] | None = None
        self._changes = changes
        changes.subscribe(self.wake)
        requests.subscribe(self._buildset_changed)

    def start(self) -> None:
        self._loop = Deferred.fromCoroutine(self._run())
        background(self._loop.addErrback(lambda failure: failure.trap(CancelledError)), self._log, "the schedulers")

    def stop(self) -> None:
        """
        Decide nothing more.
        """
        if self._loop is not None:
            self._loop.cancel()
        self._wakeup.set_after(None)

    def wake(self) -> None:
        """
        Let the schedulers decide soon: changes were recorded, a buildset ended, or another configuration is in force.
        """
        self._wakeup.set()

    def _buildset_changed(self) -> None:
        # On a farm of small builds this happens hundreds of times a second.
        if self._at_work is None or self._at_work.dependents:
            self.wake()

    def describe(self, scheduler: BaseScheduler) -> Mapping[str, Any]:
        """
        The next events of *scheduler*, as `ActiveScheduler.describe`, and its last "error": its time and a sentence.
        """
        active = None if self._at_work is None else self._at_work.schedulers.get(scheduler.name)
        troubles = self._troubles.get(scheduler.name)
        known = {"waits_for": None, "next": None} if active is None else active.describe()
        return {**known, "error": None if troubles is None else troubles.last}

    async def call(
        self, name: str, parent: str, source: Mapping[str, Any], properties: Mapping[str, Any], input: int | None
    ) -> None:
        """
        A Trigger step calls the NightlyTriggerable called *name*; see `TimedTriggerable.call`.
        """

        async def call() -> None:
            at_work = await self._current()
            active = at_work.schedulers.get(name)
            if isinstance(active, TimedTriggerable):
                decisions = self._decisions()
                active.call(parent, source, properties, input, decisions)
                await self._commit(at_work, decisions)

        await self._in_turn(call)
        self.wake()

    async def _in_turn(self, decide: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async def decided() -> None:
            try:
                await decide()
            except BaseException:
                # The state in memory may be ahead of the records, so the next iteration must not use it.
                self._at_work = None
                raise

        await self._turn.run(lambda: Deferred.fromCoroutine(decided()))

    async def _run(self) -> None:
        while True:
            # Created before the records are read, so that a change meanwhile wakes the loop.
            changed = self._wakeup.next()
            try:
                await self._in_turn(self._look)
            except (CancelledError, RecordsClosedError):
                raise
            except Exception as error:  # noqa: BLE001 - also a defect of ours must not stop all schedulers for ever
                if isinstance(error, BuildbotLiteError):
                    self._log.warn("the schedulers wait: {why}", why=str(error))
                else:
                    self._log.failure("the schedulers could not decide; they try again in {wait} s", wait=TRY_AGAIN)
                self._wakeup.set_after(TRY_AGAIN)
            await changed
            await next_turn(self._clock)

    async def _look(self) -> None:
        at_work = await self._current()
        await self._consider(at_work)
        await self._follow(at_work)
        decisions = self._decisions()
        for active in at_work.schedulers.values():
            active.act(decisions)
        await self._commit(at_work, decisions)
        times = [due for active in at_work.schedulers.values() if (due := active.due()) is not None]
        left = max(0.0, min(times, default=float("inf")) - self._wall())
        self._wakeup.set_after(min(left, LOOK_AT_CLOCK))

    # Running schedulers.

    async def _current(self) -> _AtWork:
        """
        The schedulers of the configuration in force, as the records have them.
        """
        generation = self._generations.current
        if self._at_work is None or self._at_work.generation is not generation:
            configured = generation.config.schedulers
            recorded = await self._records.write(lambda connection: restore(connection, configured, self._wall()))
            for name, count in recorded.dropped.items():
                self._log.warn(
                    "scheduler {scheduler} is not in master.cfg any more: the changes that waited for it ({count}) are "
                    "not built",
                    scheduler=name,
                    count=count,
                )
            self._troubles = {name: self._troubles.get(name) or Troubles(name, self._wall) for name in configured}
            found = {
                name: active
                for name, config in configured.items()
                if (active := self._activated(config, recorded)) is not None
            }
            self._at_work = _AtWork(generation, recorded.considered, recorded.newest_change, found)
        return self._at_work

    def _activated(self, config: BaseScheduler, recorded: RecordedSchedulers) -> ActiveScheduler | None:
        memory, troubles = recorded.memories[config.name], self._troubles[config.name]
        if isinstance(config, SingleBranchScheduler):
            return StableTimerScheduler(config, memory, troubles)
        if isinstance(config, ClockScheduler):
            return TimedScheduler.restored(config, memory, troubles, now=self._wall(), zone=self._zone())
        if isinstance(config, NightlyTriggerable):
            return TimedTriggerable.restored(config, memory, troubles, now=self._wall(), zone=self._zone())
        if isinstance(config, Dependent):
            return DependentScheduler(config, memory, troubles, newest=recorded.newest)
        return None

    # Changes.

    async def _consider(self, at_work: _AtWork) -> None:
        while at_work.considered < max(at_work.newest, self._changes.newest):
            read = partial(records_of_changes.after, id=at_work.considered, most=MOST_CHANGES)
            found = await self._records.read(read)
            for part in self._considered(at_work, found):
                await self._commit(at_work, part)
            if not found:
                return  # these changes were pruned before they were considered

    def _considered(self, at_work: _AtWork, found: Sequence[RecordedChange]) -> Iterator[Decisions]:
        decisions = self._decisions()
        for recorded in found:
            change = seen(recorded)
            for active in at_work.schedulers.values():
                active.consider(recorded, change, decisions)
            at_work.considered = recorded.id
            decisions.considered(recorded.id)
            if len(decisions) >= LARGEST_DECISIONS:
                yield decisions
                decisions = self._decisions()
        yield decisions

    # Buildsets.

    async def _follow(self, at_work: _AtWork) -> None:
        """
        Read new buildsets, for the schedulers that wait for those of others.
        """
        dependents = at_work.dependents
        if not dependents:
            return
        first = min(each.seen for each in dependents)
        watched = frozenset().union(*(each.watched for each in dependents))
        upstreams = {each.config.upstream for each in dependents}
        submitted, ended = await self._records.read(lambda connection: read_on(connection, first, watched, upstreams))
        decisions = self._decisions()
        newest = max((id for id, _ in submitted), default=first)
        for each in dependents:
            own = [id for id, scheduler in submitted if scheduler == each.config.upstream and id > each.seen]
            each.submitted(own, max(each.seen, newest), decisions)
            for buildset, changes in ended:
                if buildset.id in each.watched:
                    each.ended(buildset, changes, decisions)
        await self._commit(at_work, decisions)

    # Records.

    def _decisions(self) -> Decisions:
        return Decisions(self._wall())

    async def _commit(self, at_work: _AtWork, decisions: Decisions) -> None:
        if not len(decisions):
            return
        config = at_work.generation.config
        new: list[NewBuildset] = []
        for firing in decisions.firings:
            buildset, troubles = await new_buildset(firing, config, self._clock)
            for sentence in troubles:
                self._troubles[firing.scheduler.name].add(sentence)
            if buildset.builders:
                new.append(buildset)
        await self._requests.submit_all(new, decisions.record)
