"""
Jobs that go on: from results to repositories, one state at a time.

::

    source made ──► prep ──► builds of its packages
    built ──► results ──► repowait ──► needsign ──► pushed ──► finished
                         (each step recorded before the next begins)

Only `JobAdvance` moves a job on, starting from its recorded state.  So a crash needs no recovery: the start lets every
job go on that has not ended.  A step that was done before the crash, but not recorded, is done again and finds its work
already done.
"""

from collections.abc import Collection, Sequence
from functools import partial

from attrs import evolve
from sqlalchemy import Connection
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from ...deferreds import background
from ...errors import BuildbotLiteError, InputError, RecordsClosedError, RecordsFailingError
from ...master.farm import Farm
from ...storage.retrying import read_retrying
from ..records import job_records, results
from ..records.job_progress import built
from ..records.job_states import ENDS, JobState
from ..records.jobs import Job
from ..records.results import JobResults
from ..targets.target import Target
from .checked_builds import built_version, checked_builds, submitted_file
from .giving_way import why_kept
from .job_story import story_of
from .made_source import examine_made, submit_made
from .served_targets import ServedTargets
from .target_repository import TargetRepository
from .target_troubles import TargetTroubles

LOOK_AGAIN = 30.0
"""Seconds until requests are looked at again, or a job goes on, when the records took no change."""


class JobAdvance:
    """
    Moves the jobs of the targets *served* by *farm* on.
    """

    _log = Logger()

    def __init__(self, farm: Farm, served: ServedTargets) -> None:
        self._farm = farm
        self._served = served
        self._proceeding: set[int] = set()
        self._again: set[int] = set()
        self._later: dict[int, IDelayedCall] = {}
        self.troubles = TargetTroubles(farm.clock, farm.wall, self.proceed)

    def stop(self) -> None:
        """
        Try nothing again.
        """
        for call in self._later.values():
            call.cancel()
        self._later.clear()
        self.troubles.stop()

    def proceed(self, job: int) -> None:
        """
        Move *job* on if it can be, for example because its signatures have arrived.
        """
        # A signature may have come after the last look.
        self._again.add(job)
        if job not in self._proceeding:
            self._proceeding.add(job)
            background(self._proceed(job), self._log, f"job {job} cannot go on")

    async def _proceed(self, number: int) -> None:
        target = ""
        try:
            while number in self._again:
                self._again.discard(number)
                while (job := await self.get(number)) is not None:
                    target = job.target
                    if not await self._step(job):
                        break
                    # Before the next step, which may take an hour.
                    self.troubles.worked(target, number)
        except (RecordsFailingError, RecordsClosedError) as error:
            if isinstance(error, RecordsFailingError):
                self._proceed_later(number)
            self.troubles.went_on(target, number, worked=False)
            raise
        except BuildbotLiteError as error:
            # The fault is the machine's, like a full disk or a broken program: what is the package's ends the job.
            self.troubles.failed(target, number, str(error))
            raise
        except Exception:
            self.troubles.went_on(target, number, worked=False)
            raise
        else:
            self.troubles.went_on(target, number, worked=False)
        finally:
            self._proceeding.discard(number)

    def _proceed_later(self, number: int) -> None:
        def try_again() -> None:
            del self._later[number]
            self.proceed(number)

        if number not in self._later:
            self._later[number] = self._farm.clock.callLater(LOOK_AGAIN, try_again)

    async def _step(self, job: Job) -> bool:
        """
        Do what is next for *job*; whether something was done.
        """
        target = self._served.by_name.get(job.target)
        if target is None or job.state in ENDS:
            return False
        repository = self._served.repository(job, target)
        try:
            if job.state is JobState.PREP:
                made = await examine_made(self._farm, job, target)
                # In the turn, so that the job is not just being killed.
                await self._served.in_turn(target, partial(submit_made, self._farm, job, target, made))
                return False
            if built(job):
                await self._served.in_turn(target, partial(self._store, job, target))
                return await self._go(job, JobState.FINISHED if repository is None else JobState.REPOWAIT)
            if repository is not None and job.state is JobState.PUSHED:
                # Outside the turn: the repo_script may take an hour, and other jobs go on meanwhile.
                self.troubles.takes_long(job.target, job.id)
                await repository.announce(job)
                return await self._go(job, JobState.FINISHED)
            if repository is not None:
                return await self._served.in_turn(target, partial(self._through, job, target, repository))
        except InputError as error:
            return await self._refused(job, str(error))
        except BuildbotLiteError as error:
            await self._remark(job, str(error))
            raise
        except Exception:
            await self._remark(job, "an error of buildbot_lite itself; the master's log has its traceback")
            raise
        return False

    async def _through(self, job: Job, target: Target, repository: TargetRepository) -> bool:
        current = await self.get(job.id)
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
        found: JobResults = await self._farm.in_thread(partial(results.load, self._served.place(job, target)))
        return found

    async def _store(self, job: Job, target: Target) -> None:
        try:
            await self._store_new(job, target)
        except InputError:
            await self._correct_version(job, target)
            raise

    async def _store_new(self, job: Job, target: Target) -> None:
        def read(connection: Connection) -> list[results.ArchOutput]:
            return [results.output_of(connection, arch) for arch in job.built]

        outputs = await read_retrying(self._farm.records, read, self._farm.clock)
        storage = self._farm.stream_storage
        submitted = await submitted_file(self._farm, job)
        version = await self._farm.in_thread(partial(built_version, target, job, submitted, outputs, storage.artifacts))
        version = await self._farm.in_thread(partial(self._version_there, job, target, outputs, version))
        replaced = await self._farm.in_thread(partial(self._with_other_bytes, job, target, outputs, version))
        for place, name in replaced.items():
            if sentence := await why_kept(self._farm, self._served, job, target, place, name):
                raise InputError(sentence)

        def record(connection: Connection) -> tuple[Job, list[str]]:
            built = job_records.set_built_version(connection, job, version)
            return built, [story_of(connection, built, arch) for arch in built.built]

        # Recorded first: what looks for results that nobody needs must know whose these are.
        job, stories = await self._farm.records.write(record)
        await self._farm.in_thread(
            partial(
                results.store,
                self._served.place(job, target),
                [evolve(output, story=story) for output, story in zip(outputs, stories, strict=True)],
                artifacts=storage.artifacts,
                streams=storage.streams,
                check=partial(checked_builds, submitted, target.suffix),
                replaced=tuple(replaced),
            )
        )

    async def _correct_version(self, before: Job, target: Target) -> None:
        """
        Record of which version results of a job are there, now that others of it were refused.  *before*: the job as it
        was before that.
        """
        job = await self.get(before.id)
        if job is None or job.built_version is None:
            return
        version = None
        if any(state == JobState.REPOWAIT for state, _ in before.history):
            version = before.built_version
        elif await self._farm.in_thread(partial(results.are_of, self._served.place(job, target), job)):
            # An earlier master was killed when it had stored them: `result_retention` removes them in its time.
            version = job.built_version
        if version != job.built_version:
            await self._farm.records.write(partial(job_records.set_built_version, job=job, version=version))

    def _version_there(self, job: Job, target: Target, outputs: Sequence[results.ArchOutput], version: str) -> str:
        """
        The version under which *outputs* are stored already: until 2026-11-30 that was always the submitted one.
        *version*, if they are not.  Blocks.
        """
        for other in self._earlier_versions(job, target, version):
            if results.are_there(results.place_of(self._farm.basedir, job, other), outputs):
                return other
        return version

    def _with_other_bytes(
        self, job: Job, target: Target, outputs: Sequence[results.ArchOutput], version: str
    ) -> dict[str, str]:
        """
        By directory: a package of *outputs* that is stored there with other bytes.  Blocks.
        """
        place = partial(results.place_of, self._farm.basedir, job)
        found = {place(version): results.with_other_bytes(place(version), outputs, whole=True)}
        for other in self._earlier_versions(job, target, version):
            found[place(other)] = results.with_other_bytes(place(other), outputs)
        return {each: name for each, name in found.items() if name}

    def _earlier_versions(self, job: Job, target: Target, version: str) -> list[str]:
        """
        The versions but *version* under which an earlier master may have stored what *job* made.
        """
        place = partial(results.place_of, self._farm.basedir, job)
        earlier = [job.built_version] if job.built_version is not None else []
        return [each for each in (*earlier, target.built_version(job.version)) if place(each) != place(version)]

    async def get(self, number: int) -> Job | None:
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
