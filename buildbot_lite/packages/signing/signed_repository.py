"""
The repositories of a target that is signed, or has a ``repo_script``, as jobs meet them.
"""

from functools import partial
from threading import Event

from attrs import frozen

from ...errors import InputError, RecordsClosedError
from ...master.farm import Farm
from ..job_records import Job
from ..repo_script import run_repo_script
from ..results import JobResults
from ..target_repository import TargetRepository
from ..targets import Target
from .signed_files import SignedFiles
from .signed_snapshot import SignedSnapshot


@frozen
class SignedRepository:
    """
    The role `TargetRepository`: *unsigned*, the repositories of *target*, with its signed *files* and its script.

    *announced*: by target, the newest snapshot for which the script ran, and what it said; "" when it succeeded.
    *unwanted* ends the script when the master stops.
    """

    farm: Farm
    target: Target
    unsigned: TargetRepository
    files: SignedFiles
    announced: dict[str, tuple[str, str]]
    unwanted: Event

    async def enter(self, job: Job, results: JobResults) -> None:
        await self.unsigned.enter(job, results)

    async def needs_signature(self, job: Job) -> bool:
        if self.target.signing.sign is None:
            return await self.unsigned.needs_signature(job)
        signed = await self._signed()
        return signed is None or not signed.pushed or job.id not in signed.jobs

    async def publish(self, job: Job, results: JobResults) -> None:
        signed = await self._signed()
        if self.target.signing.sign is None:
            await self.unsigned.publish(job, results)
            return
        if signed is None:
            raise InputError(f"Job {job.id} is not signed.")
        await self.farm.in_thread(partial(self.files.publish, signed.snapshot))
        await self.farm.in_thread(partial(self.files.forget, job.id, results))

    async def announce(self, job: Job) -> None:
        await self.unsigned.announce(job)
        script = self.target.signing.repo_script
        if not script:
            return
        signed = await self._signed()
        what = signed.snapshot if signed is not None and job.id in signed.jobs else f"job {job.id}"
        # Jobs that became public together share one run.
        announced, said = self.announced.get(self.target.name, ("", ""))
        if announced != what:
            said = await self._run(script, job)
            self.announced[self.target.name] = (what, said)
        if said:
            raise InputError(said)

    async def _run(self, script: str, job: Job) -> str:
        environment = {"BUILDBOT_LITE_TARGET": self.target.name, "BUILDBOT_LITE_JOB": str(job.id)}
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
                # The master stops, and has ended the script, which runs again after the next start.
                raise RecordsClosedError from None
            return str(error)
        return ""

    async def _signed(self) -> SignedSnapshot | None:
        return await self.farm.records.read(partial(SignedSnapshot.of, target=self.target.name))
