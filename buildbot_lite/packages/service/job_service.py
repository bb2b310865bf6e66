"""
The jobs of a running master: follows the builds of jobs, and lets the jobs go on.

::

    events of builds ──► look ──► source made, or built? ──► job_advance ──► …finished, failed, killed ──► job_tidying
                          ▲
                          '── a start: every job that has not ended
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection
from twisted.internet.defer import CancelledError
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ...deferreds import CoroutineLock, RepeatedWork, background
from ...errors import InputError, RecordsClosedError, RecordsFailingError
from ...master.farm import Farm
from ...master.scheduling.continuation import Continuation
from ...master.scheduling.submit_limits import ExpectedRequests
from ...storage.records import requests
from ...storage.records.feed import Event
from ...storage.retrying import read_retrying
from ..records import job_lists, job_records
from ..records.job_progress import built, look, look_at_requests
from ..records.job_records import BUILDS_OF_JOBS, EVENT
from ..records.job_states import ARCH_ENDS, BEFORE_SOURCE, ENDS, JobState
from ..records.jobs import Job
from ..records.results import JobResults
from ..targets.target import Target
from .job_advance import LOOK_AGAIN, JobAdvance
from .job_tidying import JobTidying
from .paused import paused_targets
from .served_targets import ServedTargets
from .target_repository import RepositoryOf, no_repository

AT_ONCE = 100
"""Requests that one transaction looks at."""

_SUBMITTED = "request.submitted"
_EVENTS = frozenset({"build.started", "step.started", "build.finished", "request.finished", "request.retried"})


class JobService:
    """
    The jobs of *farm*.  *repository_of*: the repositories of a target.
    """

    _log = Logger()

    def __init__(self, farm: Farm, repository_of: RepositoryOf = no_repository) -> None:
        self._farm = farm
        self.served = ServedTargets(farm, repository_of)
        self._advance = JobAdvance(farm, self.served)
        self._tidying = JobTidying(farm, self.served)
        self._unsubscribe: Callable[[], None] = lambda: None
        self._builders: frozenset[str] = frozenset()
        self._requests: set[int] = set()
        self._seen: set[int] = set()
        self._looking = RepeatedWork(self._look, self._log, "following the builds of packages")
        # States of jobs after the last transaction that changed any.
        self._newest: dict[int, str] = {}
        farm.retention_holders.add(BUILDS_OF_JOBS)
        farm.continuations.add(Continuation("packages of a source", self.packages_of))

    async def start(self) -> None:
        """
        Look at every job that has not ended, and let it go on.
        """
        self._unsubscribe = self._farm.records.on_commit(self._committed)
        self._farm.reconfiguration.on_applied(lambda config: self._configure_again())
        self._configure()
        await self.hold_paused()
        now = self._farm.wall()
        jobs = await self._farm.records.write(partial(_look_at_all, now=now))
        for job in jobs:
            self.expect_requests(job)
            self._follow(job)
        while await self._farm.records.write(job_records.prune):
            pass
        for job in await self._farm.records.read(job_lists.killed_unfinished):
            self._follow(job)
            background(self.cancel_builds(job), self._log, f"cancelling the builds of job {job.id}")
        for name in self.targets:
            self._tidying.tidy(name)

    def stop(self) -> None:
        """
        Follow no more builds.
        """
        self._unsubscribe()
        self._advance.stop()

    @property
    def targets(self) -> dict[str, Target]:
        """
        The targets of the configuration in force, by name.
        """
        return self.served.by_name

    def turn(self, target: str) -> CoroutineLock:
        """
        The lock for changes of the results and repositories of *target*.
        """
        return self.served.turn(target)

    def proceed(self, job: int) -> None:
        """
        Move *job* on if it can be, for example because its signatures have arrived.
        """
        self._advance.proceed(job)

    async def results_of(self, job: Job, target: Target) -> JobResults:
        """
        The stored results of *job*.
        """
        return await self._advance.results_of(job, target)

    def trouble(self, target: str) -> dict[str, Any] | None:
        """
        What keeps the jobs of *target* from going on, as `TargetTroubles.of` says it.
        """
        return self._advance.troubles.of(target)

    async def hold_paused(self) -> None:
        """
        Hold the builds of the targets that are paused.
        """
        paused = await read_retrying(self._farm.records, paused_targets, self._farm.clock)
        self._farm.hold.hold_builders(
            {
                builder.name: _why_paused(name, paused[name])
                for name, target in self.targets.items()
                if name in paused
                for builder in target.all_builders
            }
        )

    def _configure(self) -> None:
        """
        Follow the builders of the configuration in force.
        """
        self._builders = frozenset(builder.name for target in self.targets.values() for builder in target.all_builders)
        background(self.hold_paused(), self._log, "holding the builds of paused targets")

    def _configure_again(self) -> None:
        """
        Follow another configuration: a target that it brings back has jobs that stood still without it.
        """
        self._configure()
        background(self._follow_unfinished(), self._log, "going on with the jobs of the new configuration")

    async def _follow_unfinished(self) -> None:
        for job in await read_retrying(self._farm.records, job_lists.unfinished, self._farm.clock):
            self._follow(job)

    # Following builds.

    def _committed(self, events: Sequence[Event]) -> None:
        self._newest = {event.body["job"]: event.body["state"] for event in events if event.kind == EVENT}
        for event in events:
            if event.kind == EVENT:
                self._farm.notifications.changed(_key(event.body["job"]))
                if event.body["state"] not in BEFORE_SOURCE:
                    self._farm.submit_limits.came(event.body["job"])
            if event.kind == EVENT and event.body["state"] in ENDS:
                background(self._ended(event.body["job"]), self._log, f"tidying after job {event.body['job']}")
            if event.request is None:
                continue
            if event.kind == _SUBMITTED and event.body.get("builder") in self._builders:
                self._requests.add(event.request)
            elif event.kind in _EVENTS and event.request in self._requests:
                self._seen.add(event.request)
                self._looking.ask()

    async def _look(self) -> None:
        while self._seen:
            numbers = sorted(self._seen)[:AT_ONCE]
            # Cleared first, so that an event during this look causes another one.
            self._seen.difference_update(numbers)
            try:
                await self._look_at(numbers)
            except RecordsFailingError:
                self._seen.update(numbers)
                await deferLater(self._farm.clock, LOOK_AGAIN)

    async def _look_at(self, numbers: Sequence[int]) -> None:
        """
        Look at the requests *numbers*.  An error with one of them is logged, and does not stop the others.
        """
        change = partial(look_at_requests, numbers=numbers, now=self._farm.wall())
        try:
            jobs = await self._farm.records.write(change)
        except (RecordsFailingError, RecordsClosedError):
            raise
        except Exception:  # noqa: BLE001 - a defect that one of them meets
            if len(numbers) == 1:
                self._log.failure("the job of request {request} cannot be followed", request=numbers[0])
                return
            for number in numbers:
                await self._look_at([number])
            return
        for job in jobs:
            self._follow(job)

    def expect_requests(self, job: Job) -> None:
        """
        Count *job* as the requests that it will become, if its source package is not examined yet: as all that its
        target can have.  Called when the Deferred of the change that made *job* what it is fires.
        """
        # The changes of a transaction are told together, before any of their Deferreds fires: the job may have gone on.
        state = self._newest.get(job.id, job.state)
        if state not in BEFORE_SOURCE or job.by_grant is None or job.source is None:
            return
        expected = ExpectedRequests(job.by_grant, job.source.request or 0, self.most_requests(job))
        self._farm.submit_limits.expect(job.id, expected)

    def most_requests(self, job: Job) -> int:
        """
        The most requests that wait at a time for *job*.
        """
        target = self.targets.get(job.target)
        return 1 if target is None else len(target.builders)

    def _follow(self, job: Job) -> None:
        for arch in job.ordered:
            if arch.request is not None:
                (self._requests.discard if arch.state in ARCH_ENDS else self._requests.add)(arch.request)
        if built(job) or job.state in (JobState.PREP, JobState.REPOWAIT, JobState.NEEDSIGN, JobState.PUSHED):
            self.proceed(job.id)

    async def packages_of(self, buildset: int) -> int | None:
        """
        Wait for the buildset that builds the packages whose source package *buildset* makes; None when *buildset* makes
        no source package.  `InputError` says why no packages are built.
        """
        while True:
            job = await read_retrying(self._farm.records, partial(_of_source, buildset=buildset), self._farm.clock)
            if job is None:
                return None
            news = self._farm.notifications.next_change(_key(job.id))
            # The job may have changed before the wait began.
            job = await self._advance.get(job.id) or job
            if job.state not in BEFORE_SOURCE:
                news.addErrback(lambda failure: failure.trap(CancelledError)).cancel()
                if not job.built:
                    raise InputError(f"{job.title} is {job.state}: {job.reason}")
                return job.buildset
            await news

    async def cancel_builds(self, job: Job) -> None:
        """
        Cancel the builds of *job* that have not ended.
        """
        numbers = [each.request for each in job.ordered if each.request is not None and each.state not in ARCH_ENDS]
        await self._farm.canceller.cancel_unfinished(numbers, job.reason)

    async def _ended(self, number: int) -> None:
        job = await self._advance.get(number)
        if job is not None:
            self._advance.troubles.went_on(job.target, number, worked=False)
            self._tidying.tidy(job.target)


def _why_paused(target: str, paused: Mapping[str, Any]) -> str:
    reason = f": {paused['reason']}" if paused["reason"] else ""
    return f"the target {target} is paused by {paused['by']}{reason}"


def _look_at_all(connection: Connection, now: float) -> list[Job]:
    return [look(connection, job, now) for job in job_lists.unfinished(connection)]


def _key(job: int) -> tuple[str, int]:
    """
    The key of `Notifications` for changes of a job.
    """
    return "package job", job


def _of_source(connection: Connection, buildset: int) -> Job | None:
    numbers = [each.id for each in requests.of_buildset(connection, buildset)]
    job = job_records.of_request(connection, numbers[0]) if len(numbers) == 1 else None
    return job if job is not None and job.source is not None and job.source.request in numbers else None
