"""
The jobs of a running master: follows their builds, stores their results, and enters these into repositories.

::

    events of builds ──► look ──► built? ──► results ──► repowait ──► needsign ──► pushed ──► finished
                          ▲ │                 (each step recorded before the next begins)
                          │ '──► source made? ──► prep ──► builds of its packages
                          '── a start: every job that has not ended

Only `_proceed` moves a job on, one state at a time, starting from its recorded state.  So a crash needs no recovery:
the start calls it for every job that has not ended.  A step that was done before the crash, but not recorded, is done
again and finds its work already done.
"""

import math
import os
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ..deferreds import CoroutineLock, background
from ..errors import BuildbotLiteError, FileError, InputError, RecordsClosedError, RecordsFailingError
from ..master.farm import Farm
from ..master.scheduling.continuation import Continuation
from ..master.scheduling.submit_limits import ExpectedRequests
from ..storage.records import requests
from ..storage.records.feed import Event
from ..storage.retrying import read_retrying
from . import job_lists, job_records, results
from .checked_builds import checked_builds, submitted_file
from .job_progress import built, look, look_at_requests
from .job_records import BUILDS_OF_JOBS, EVENT
from .job_states import ARCH_ENDS, BEFORE_SOURCE, ENDS, JobState
from .job_story import story_of
from .jobs import Job
from .made_source import examine_made, submit_made
from .paused import paused_targets
from .result_retention import LOOKED_EVERY, needs_of, remove_unpublished, unneeded
from .results import JobResults
from .target_repository import RepositoryOf, TargetRepository, no_repository
from .targets import Target

T = TypeVar("T")

AT_ONCE = 100
"""Requests that one transaction looks at."""
LOOK_AGAIN = 30.0
"""Seconds until requests are looked at again, when the records took no change, or a job goes on after a full disk."""

_SUBMITTED = "request.submitted"
_EVENTS = frozenset({"build.started", "step.started", "build.finished", "request.finished", "request.retried"})


class JobService:
    """
    The jobs of *farm*.  *repository_of*: the repositories of a target.
    """

    _log = Logger()

    def __init__(self, farm: Farm, repository_of: RepositoryOf = no_repository) -> None:
        self._farm = farm
        self._repository_of = repository_of
        self._unsubscribe: Callable[[], None] = lambda: None
        self._builders: frozenset[str] = frozenset()
        self._requests: set[int] = set()
        self._seen: set[int] = set()
        self._looking = False
        self._proceeding: set[int] = set()
        self._again: set[int] = set()
        self._later: dict[int, IDelayedCall] = {}
        self._results_looked: dict[str, float] = {}
        self._writers: dict[str, CoroutineLock] = {}
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
            self._tidy(name)

    def stop(self) -> None:
        """
        Follow no more builds.
        """
        self._unsubscribe()
        for call in self._later.values():
            call.cancel()
        self._later.clear()

    @property
    def targets(self) -> dict[str, Target]:
        """
        The targets of the configuration in force, by name.
        """
        return {target.name: target for target in self._farm.config.extension("targets")}

    def proceed(self, job: int) -> None:
        """
        Move *job* on if it can be, for example because its signatures have arrived.
        """
        # A signature may have come after the last look.
        self._again.add(job)
        if job not in self._proceeding:
            self._proceeding.add(job)
            background(self._proceed(job), self._log, f"job {job} cannot go on")

    def turn(self, target: str) -> CoroutineLock:
        """
        The lock for changes of the results and repositories of *target*.
        """
        return self._writers.setdefault(target, CoroutineLock())

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
                if not self._looking:
                    self._looking = True
                    background(self._look(), self._log, "following the builds of packages")

    async def _look(self) -> None:
        try:
            while self._seen:
                numbers = sorted(self._seen)[:AT_ONCE]
                # Cleared first, so that an event during this look causes another one.
                self._seen.difference_update(numbers)
                try:
                    await self._look_at(numbers)
                except RecordsFailingError:
                    self._seen.update(numbers)
                    await deferLater(self._farm.clock, LOOK_AGAIN)
        finally:
            self._looking = False

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
        target can have.  *job* is as it was just committed, so that the requests have not come already.
        """
        if job.state not in BEFORE_SOURCE or job.by_grant is None or job.source is None:
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
            job = await self._get(job.id) or job
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

    # From results to repositories.

    async def _proceed(self, number: int) -> None:
        try:
            while number in self._again:
                self._again.discard(number)
                while (job := await self._get(number)) is not None and await self._step(job):
                    pass
        except (FileError, RecordsFailingError):
            self._proceed_later(number)
            raise
        finally:
            self._proceeding.discard(number)

    def _proceed_later(self, number: int) -> None:
        # The fault is the machine's, like a full disk, and nothing tells the farm when there is room again.
        def try_again() -> None:
            del self._later[number]
            self.proceed(number)

        if number not in self._later:
            self._later[number] = self._farm.clock.callLater(LOOK_AGAIN, try_again)

    async def _step(self, job: Job) -> bool:
        """
        Do what is next for *job*; whether something was done.
        """
        target = self.targets.get(job.target)
        if target is None or job.state in ENDS:
            return False
        repository = None if job.scratch else self._repository_of(target)
        try:
            if job.state is JobState.PREP:
                made = await examine_made(self._farm, job, target)
                # In the turn, so that the job is not just being killed.
                await self._in_turn(target, partial(submit_made, self._farm, job, target, made))
                return False
            if built(job):
                await self._in_turn(target, partial(self._store, job, target))
                return await self._go(job, JobState.FINISHED if repository is None else JobState.REPOWAIT)
            if repository is not None and job.state is JobState.PUSHED:
                # Outside the turn: the repo_script may take an hour, and other jobs go on meanwhile.
                await repository.announce(job)
                return await self._go(job, JobState.FINISHED)
            if repository is not None:
                return await self._in_turn(target, partial(self._through, job, target, repository))
        except InputError as error:
            return await self._refused(job, str(error))
        except BuildbotLiteError as error:
            await self._remark(job, str(error))
            raise
        except Exception:
            await self._remark(job, "an error of buildbot_lite itself; the master's log has its traceback")
            raise
        return False

    async def _ended(self, number: int) -> None:
        job = await self._get(number)
        if job is not None:
            self._tidy(job.target)

    def _tidy(self, name: str) -> None:
        """
        Remove old results of scratch builds of the target *name*, and from its repository for builds all packages that
        are not published and never will be.
        """
        removing = self._farm.in_thread(
            partial(results.remove_old_scratch, self._farm.basedir, name, self._farm.wall())
        )
        background(removing, self._log, f"removing results of scratch builds of {name}")
        target = self.targets.get(name)
        repository = None if target is None else self._repository_of(target)
        if target is not None and repository is not None:
            tidying = self._in_turn(target, partial(self._keep_only, target, repository))
            background(tidying, self._log, f"tidying the repository of {name}")
        now = self._farm.clock.seconds()
        if target is not None and now - self._results_looked.get(name, -math.inf) >= LOOKED_EVERY:
            self._results_looked[name] = now
            looking = self._in_turn(target, partial(self._remove_unpublished, target, repository))
            background(looking, self._log, f"removing unpublished results of {name}")

    async def _remove_unpublished(self, target: Target, repository: TargetRepository | None) -> None:
        """
        Remove the results of jobs that ended long ago without being published.  In the turn, so no results are stored
        and no packages enter a repository meanwhile.
        """
        needs = await read_retrying(self._farm.records, partial(needs_of, target=target.name), self._farm.clock)
        places = unneeded(needs, target.built_version, self._farm.wall())
        published = await repository.all_names() if repository is not None else ()
        removed = await self._farm.in_thread(
            partial(remove_unpublished, self._farm.basedir, target.name, places, published)
        )
        if removed:
            self._log.info(
                "{count} results of {target} that were not published are removed",
                count=len(removed),
                target=target.name,
            )

    async def _keep_only(self, target: Target, repository: TargetRepository) -> None:
        jobs = await read_retrying(self._farm.records, job_lists.unfinished, self._farm.clock)
        places = [self._place(job, target) for job in jobs if job.target == target.name and not job.scratch]

        def waiting() -> set[str]:
            there = [results.load(place) for place in places if os.path.isdir(place)]
            return {file.name for each in there for file in each.packages}

        await repository.keep_only(await self._farm.in_thread(waiting))

    async def _through(self, job: Job, target: Target, repository: TargetRepository) -> bool:
        current = await self._get(job.id)
        if current is None or current.state is not job.state:
            return True  # in the turn of another; what is next depends on its new state
        if job.state is JobState.REPOWAIT:
            await repository.enter(job, await self.results_of(job, target))
            return await self._go(job, JobState.NEEDSIGN)
        if job.state is JobState.NEEDSIGN and not await repository.needs_signature(job):
            await self._pushed(await repository.publish(job, await self.results_of(job, target)))
            return True
        return False

    async def _pushed(self, numbers: Collection[int]) -> None:
        """
        Record in one transaction that the jobs *numbers* are public.  Public jobs cannot be killed.
        """
        now = self._farm.wall()

        def change(connection: Connection) -> None:
            for number in numbers:
                job = job_records.get(connection, number)
                if job is not None and job.state is JobState.NEEDSIGN:
                    job_records.go(connection, job, JobState.PUSHED, now)

        await self._farm.records.write(change)
        for number in numbers:
            self.proceed(number)

    async def _refused(self, job: Job, sentence: str) -> bool:
        if job.state is JobState.PUSHED:
            return await self._go(job, JobState.FINISHED, sentence)
        if job.state is JobState.NEEDSIGN:
            await self._remark(job, sentence)
            return False
        return await self._go(job, JobState.FAILED, sentence)

    async def results_of(self, job: Job, target: Target) -> JobResults:
        """
        The stored results of *job*.
        """
        found: JobResults = await self._farm.in_thread(partial(results.load, self._place(job, target)))
        return found

    async def _store(self, job: Job, target: Target) -> None:
        def read(connection: Connection) -> list[results.ArchOutput]:
            return [results.output_of(connection, arch, story_of(connection, job, arch)) for arch in job.built]

        outputs = await read_retrying(self._farm.records, read, self._farm.clock)
        storage = self._farm.stream_storage
        await self._farm.in_thread(
            partial(
                results.store,
                self._place(job, target),
                outputs,
                artifacts=storage.artifacts,
                streams=storage.streams,
                check=partial(checked_builds, await submitted_file(self._farm, job), target.suffix),
            )
        )

    def _place(self, job: Job, target: Target) -> str:
        return results.place_of(self._farm.basedir, job, target.built_version(job.version))

    async def _in_turn(self, target: Target, work: Callable[[], Awaitable[T]]) -> T:
        """
        Run *work* in the turn of the target: one at a time for each target.
        """
        async with self.turn(target.name):
            return await work()

    # Records.

    async def _get(self, number: int) -> Job | None:
        return await read_retrying(self._farm.records, partial(job_records.get, id=number), self._farm.clock)

    async def _go(self, job: Job, state: JobState, reason: str = "") -> bool:
        now = self._farm.wall()

        def change(connection: Connection) -> bool:
            current = job_records.get(connection, job.id)
            if current is None or current.state is not job.state:
                return False  # killed meanwhile
            job_records.go(connection, current, state, now, reason)
            return True

        return await self._farm.records.write(change)

    async def _remark(self, job: Job, reason: str) -> None:
        await self._farm.records.write(lambda connection: job_records.remark(connection, job, reason))


def _key(job: int) -> tuple[str, int]:
    """
    The key of `Notifications` for changes of a job.
    """
    return "package job", job


def _of_source(connection: Connection, buildset: int) -> Job | None:
    numbers = [each.id for each in requests.of_buildset(connection, buildset)]
    job = job_records.of_request(connection, numbers[0]) if len(numbers) == 1 else None
    return job if job is not None and job.source is not None and job.source.request in numbers else None


def _why_paused(target: str, paused: Mapping[str, Any]) -> str:
    reason = f": {paused['reason']}" if paused["reason"] else ""
    return f"the target {target} is paused by {paused['by']}{reason}"


def _look_at_all(connection: Connection, now: float) -> list[Job]:
    return [look(connection, job, now) for job in job_lists.unfinished(connection)]
