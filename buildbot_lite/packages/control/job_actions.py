"""
Commands of people for jobs and targets: kill, requeue, finish, pause.

Each may be repeated: a second call changes nothing and is no error.
"""

from collections.abc import Sequence
from functools import partial

from attrs import frozen
from sqlalchemy import Connection

from ...errors import NotFoundError, RefusedError
from ...master.farm import Farm
from ...storage.records import buildsets, streams
from ...storage.records.grants import Grant
from ...storage.records.requests import SubmittedBuildset
from ..records import chain_records, job_records
from ..records.job_states import ARCH_ENDS, ENDS, ArchState, JobState
from ..records.jobs import SOURCE, Job, JobArch, names_of
from ..service import paused
from ..service.job_service import JobService
from ..service.served_targets import no_target
from .job_submission import as_before, change_within_limits, submit_within_limits

LONGEST_PAUSE_REASON = 200


@frozen
class JobActions:
    """
    Changes the jobs of *service* on *farm*.
    """

    farm: Farm
    service: JobService

    async def kill(self, number: int, by: str) -> Job:
        """
        End a job, and cancel its builds.  `RefusedError` for one that is published or finished.
        """
        job = await self._job(number)
        # In the turn, so that the job's packages are not just entering a repository.
        async with self.service.turn(job.target):
            job = await self.farm.records.write(partial(_kill, number=number, by=by, now=self.farm.wall()))
        await self.service.cancel_builds(job)
        return await self._job(number)

    async def finish(self, number: int, by: str) -> Job:
        """
        End a job that waits for a signature, without publishing it.  `RefusedError` for one in another state, or one
        that was published while this waited.
        """
        target = (await self._job(number)).target

        def change(connection: Connection) -> Job:
            job = _get(connection, number)
            if job.state is JobState.FINISHED:
                return job
            if job.state is not JobState.NEEDSIGN:
                raise RefusedError(f"Job {number} is in the state {job.state}; only one in needsign can be finished.")
            return job_records.go(
                connection, job, JobState.FINISHED, self.farm.wall(), f"finished by {by}, without being published"
            )

        # In the turn, so that the job is not just being published.
        async with self.service.turn(target):
            return await self.farm.records.write(change)

    async def requeue(self, number: int, grant: Grant | None = None) -> tuple[Job, Sequence[str]]:
        """
        Let a job that has failed or was killed go on: its architectures that did not succeed are built again, or what
        follows the builds is tried again.  Returns the architectures that are built.  *grant*: a FURL
        to submit with, whose limits apply; `RefusedError`.
        """
        job = await self._job(number)
        if job.state is JobState.FINISHED:
            raise RefusedError(f"Job {number} is finished.  To build the package once more, submit it again.")
        if job.state not in ENDS:
            if not job.reason:
                raise RefusedError(f"Job {number} is in the state {job.state}, and nothing of it has failed.")
            self.service.proceed(number)
            return job, ()
        if going := [each for each in job.ordered if each.state not in ARCH_ENDS]:
            raise RefusedError(f"The build for {names_of(going)} is still ending.  Try it again in a minute.")
        again = await self.farm.records.read(partial(_to_build, job=job))
        if again:
            await self.farm.records.read(partial(chain_records.check_predecessor, job=job))
            await self._build_again(job, again, grant)
        else:
            await self._resume(job, grant)
            self.service.proceed(number)
        return await self._job(number), [each.architecture for each in again]

    async def _resume(self, job: Job, grant: Grant | None) -> None:
        """
        Let what follows the builds be tried again.  A job without builds has its source package examined again, and
        submits them then, so it is permitted like a submission.
        """
        await change_within_limits(
            self.farm,
            partial(_resume, number=job.id, now=self.farm.wall()),
            None if job.built else grant,
            requests=self.service.most_requests(job),
            committed=self.service.expect_requests,
        )

    async def _build_again(self, job: Job, arches: Sequence[JobArch], grant: Grant | None) -> None:
        original = await self.farm.records.read(lambda connection: buildsets.get(connection, job.buildset))
        if original is None:
            raise RefusedError(f"The source of job {job.id} is not kept any more.  Submit the package again.")
        if missing := [each for each in arches if each.builder not in self.farm.config.builders]:
            raise RefusedError(f"{job.target} in master.cfg is not built for {names_of(missing)} any more.")
        now = self.farm.wall()
        making = any(each.architecture == SOURCE for each in arches)
        requeued: list[Job] = []

        def in_transaction(connection: Connection, submitted: SubmittedBuildset) -> None:
            current = _get(connection, job.id)
            if current.state is not job.state:
                raise RefusedError(f"Somebody else has just changed job {job.id}: it is in the state {current.state}.")
            numbers = {request.builder: request.id for request in submitted.requests}
            for each in arches:
                job_records.build_again(connection, each, numbers[each.builder], now)
            job_records.go(connection, current, JobState.INITIALIZE if making else JobState.WAITING, now)
            chain_records.tell(connection, current, now)
            requeued.append(_get(connection, job.id))

        new = as_before(original, job, [each.builder for each in arches], "again")
        await submit_within_limits(
            self.farm,
            new,
            in_transaction,
            grant,
            requests=self.service.most_requests(job) if making else 0,
            # A transaction that failed was tried again.
            committed=lambda: self.service.expect_requests(requeued[-1]),
        )

    async def pause(self, target: str, reason: str, by: str) -> None:
        """
        Start no more builds of *target*; those that run continue.
        """
        self._check_target(target)
        await self.farm.records.write(partial(paused.pause, target=target, reason=reason, by=by, now=self.farm.wall()))
        await self.service.hold_paused()

    async def unpause(self, target: str) -> None:
        """
        Start builds of *target* again.
        """
        self._check_target(target)
        await self.farm.records.write(partial(paused.unpause, target=target, now=self.farm.wall()))
        await self.service.hold_paused()

    def _check_target(self, target: str) -> None:
        if target not in self.service.targets:
            raise no_target(target, self.service.targets)

    async def _job(self, number: int) -> Job:
        return await self.farm.records.read(partial(_get, number=number))


def no_job(number: int) -> NotFoundError:
    """
    The error for a job that does not exist, or that the caller may not see.
    """
    return NotFoundError(f"There is no job {number}.  See: buildbot-lite package list")


def _get(connection: Connection, number: int) -> Job:
    job = job_records.get(connection, number)
    if job is None:
        raise no_job(number)
    return job


def _kill(connection: Connection, number: int, by: str, now: float) -> Job:
    job = _get(connection, number)
    if job.state in (JobState.KILLED, JobState.FAILED):
        return job
    if job.state in (JobState.PUSHED, JobState.FINISHED):
        raise RefusedError(f"Job {number} is {job.state}, and cannot be killed any more.")
    return job_records.go(connection, job, JobState.KILLED, now, f"killed by {by}")


def _resume(connection: Connection, number: int, now: float) -> Job:
    job = _get(connection, number)
    if job.state in (JobState.FAILED, JobState.KILLED):
        return job_records.go(connection, job, JobState.BUILDING if job.built else JobState.PREP, now)
    return job


def _to_build(connection: Connection, job: Job) -> list[JobArch]:
    """
    The architectures of *job* that did not succeed, or whose results were removed; all of them, if all succeeded and
    their packages were refused.  For a job whose source is not examined yet: the build that makes the source, unless
    that had succeeded when the job was killed.
    """
    if job.source is not None and not job.built:
        made = job.source.state is ArchState.DONE and _has_artifacts(connection, job.source)
        return [] if made and job.state is JobState.KILLED else [job.source]
    again = [each for each in job.built if each.state is not ArchState.DONE or not _has_artifacts(connection, each)]
    kept = any(state == JobState.REPOWAIT for state, _ in job.history)
    return list(job.built) if not again and job.state is JobState.FAILED and not kept else again


def _has_artifacts(connection: Connection, arch: JobArch) -> bool:
    return any(stream.kind == "artifact" for stream in streams.of_build(connection, arch.build or 0))
