"""
The repositories of a target with signatures or a ``repo_script``, in the role that jobs use.
"""

from collections.abc import Collection
from functools import partial
from threading import Event

from attrs import define, field, frozen
from sqlalchemy import Connection
from twisted.internet.defer import DeferredLock
from twisted.logger import Logger

from ...errors import InputError, RecordsClosedError
from ...master.farm import Farm
from ..records import job_records
from ..records.job_states import JobState
from ..records.jobs import Job
from ..records.results import JobResults
from ..service.target_repository import TargetRepository
from ..targets.target import Target
from .repo_script import run_repo_script
from .signed_files import SignedFiles
from .signed_snapshot import SignedSnapshot, without
from .wanted_signatures import digest_of


@define
class Announced:
    """
    The last run of a target's script.  *jobs*: the jobs that it was run for.  *said*: its error, "" when it succeeded.
    *lock*: held while the script runs.
    """

    lock: DeferredLock = field(factory=DeferredLock)
    jobs: Collection[int] = ()
    said: str = ""


@frozen
class SignedRepository:
    """
    The role `TargetRepository`: *unsigned*, the repositories of *target*, with its signed *files* and its script.

    *announced*: the last run of the script.  *unwanted*: set when the master stops, to end the script.
    """

    farm: Farm
    target: Target
    unsigned: TargetRepository
    files: SignedFiles
    announced: Announced
    unwanted: Event
    _log: Logger = field(factory=Logger, init=False)

    async def enter(self, job: Job, results: JobResults) -> None:
        if self.target.signing.sign is not None:
            # Checked now, because later the error would delay the other jobs that are signed together with this one.
            await self.farm.in_thread(partial(self.files.wanted, results))
        await self.unsigned.enter(job, results)

    async def keep_only(self, waiting: Collection[str]) -> None:
        await self.unsigned.keep_only(waiting)

    async def shows(self, job: Job, results: JobResults) -> bool:
        return await self.unsigned.shows(job, results)

    async def all_names(self) -> Collection[str]:
        return await self.unsigned.all_names()

    async def needs_signature(self, job: Job) -> bool:
        if self.target.signing.sign is None:
            return await self.unsigned.needs_signature(job)
        signed = await self._signed()
        return signed is None or not signed.pushed or job.id not in signed.jobs

    async def publish(self, job: Job, results: JobResults) -> Collection[int]:
        if self.target.signing.sign is None:
            return await self.unsigned.publish(job, results)
        signed = await self._signed()
        if signed is None or signed.jobs.get(job.id) != digest_of(results):
            raise InputError(f"Job {job.id} is not signed.")
        # This runs in the turn of the target.  Killing and finishing a job need the turn, too, so the state cannot
        # change here.
        if (lost := await self.farm.records.read(signed.lost)) is not None:
            raise InputError(without(lost))
        await self.farm.in_thread(partial(self.files.publish, signed.snapshot))
        for number in signed.jobs:
            await self.farm.in_thread(partial(self.files.forget, number))
        return tuple(signed.jobs)

    async def announce(self, job: Job) -> None:
        await self.unsigned.announce(job)
        script = self.target.signing.repo_script
        if not script:
            return
        signed = await self._signed()
        jobs = frozenset(signed.jobs if signed is not None and job.id in signed.jobs else (job.id,))
        async with self.announced.lock:
            # Jobs that became public together share one run.
            if job.id not in self.announced.jobs:
                await self.farm.records.write(partial(_remark, numbers=jobs, reason=f"the repo_script {script} runs"))
                said = await self._run(script, min(jobs))
                self.announced.jobs, self.announced.said = jobs, said
            if self.announced.said:
                raise InputError(self.announced.said)

    async def _run(self, script: str, job: int) -> str:
        environment = {"BUILDBOT_LITE_TARGET": self.target.name, "BUILDBOT_LITE_JOB": str(job)}
        run = partial(
            run_repo_script,
            script,
            basedir=self.farm.basedir,
            environment=environment,
            unwanted=self.unwanted,
        )
        try:
            await self.farm.in_thread(run)
        except InputError as error:
            if self.unwanted.is_set():
                # The stopping master has ended the script.  It runs again after the next start.
                raise RecordsClosedError from None
            self._log.warn("{target}: {why}", target=self.target.name, why=str(error))
            return str(error)
        return ""

    async def _signed(self) -> SignedSnapshot | None:
        return await self.farm.records.read(partial(SignedSnapshot.of, target=self.target.name))


def _remark(connection: Connection, numbers: Collection[int], reason: str) -> None:
    """
    Say of the jobs *numbers*, as far as they are pushed, what they wait for.
    """
    for number in numbers:
        job = job_records.get(connection, number)
        if job is not None and job.state is JobState.PUSHED:
            job_records.remark(connection, job, reason)
