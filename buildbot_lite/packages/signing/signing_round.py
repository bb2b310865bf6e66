"""
The signatures of one target: from jobs that wait for signatures to a signed snapshot of the public repository.

::

    signer                                            master
    offer(jobs)             ────────────────────────►  what is to be signed of their packages, by digest
    contents(ids)           ────────────────────────►  the bytes, as many as fit into an answer
    give(signatures)        ────────────────────────►  checked with the target's key, and kept
    prepare(jobs)           ────────────────────────►  signatures applied, a snapshot made; its index
    finish(signatures)      ────────────────────────►  checked and kept: the snapshot is signed

Calls are independent, so a signer may stop after any of them, and another one may continue: signatures are stored by
the digest of the signed bytes, and an unfinished snapshot is made again.  The transaction that records the signed
snapshot checks that no job has changed meanwhile.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from attrs import frozen
from sqlalchemy import Connection

from ...errors import BuildbotLiteError, InputError, RefusedError
from ..records import job_records
from ..records.job_states import JobState
from ..records.jobs import Job
from ..records.results import JobResults
from .offers import JobOffers
from .signed_files import SignedFiles
from .signed_snapshot import SignedSnapshot, ended, may_be_public, without
from .signing_jobs import SigningJobs, Surroundings
from .wanted_signatures import ToSign, digest_of


@frozen
class _Preparation:
    snapshot: str
    jobs: Mapping[int, str]
    wanted: Sequence[ToSign]


class SigningRound:
    """
    The signatures of the target called *target*.  *files*: its signed files.  *offers*: what is to be signed of jobs.
    """

    def __init__(self, target: str, files: SignedFiles, farm: Surroundings) -> None:
        self._target = target
        self._files = files
        self._farm = farm
        self._jobs = SigningJobs(target, farm)
        self.offers = JobOffers(self._jobs, files, farm)
        self._prepared: _Preparation | None = None

    @property
    def prepared(self) -> Sequence[int]:
        """
        The jobs in the snapshot that was prepared last.
        """
        return tuple(self._prepared.jobs) if self._prepared is not None else ()

    async def prepare(self, jobs: Sequence[int]) -> Sequence[ToSign]:
        """
        Make a snapshot with *jobs*, whose packages are signed; returns the files of its index that must be signed, or
        none when the snapshot is signed already.
        """
        wanted: Sequence[ToSign] = await self._farm.in_turn(partial(self._prepare, jobs))
        return wanted

    async def finish(self, signatures: Mapping[str, bytes], *, push: bool) -> SignedSnapshot:
        """
        Check and store the *signatures* of the index, by id, and record the snapshot as signed.  *push*: whether it may
        become public.
        """
        signed: SignedSnapshot = await self._farm.in_turn(partial(self._finish, signatures, push))
        return signed

    async def push(self, jobs: Sequence[int] | None) -> Sequence[int]:
        """
        Permit the signed snapshot to become public; returns the jobs that it adds.  *jobs*: jobs that must be in it or
        be public already; None: no particular jobs.
        """
        return await self._farm.write(partial(self._push, jobs=jobs))  # type: ignore[no-any-return]  # of any change

    async def _prepare(self, numbers: Sequence[int]) -> Sequence[ToSign]:
        signed: SignedSnapshot | None = await self._farm.read(partial(SignedSnapshot.of, target=self._target))
        # Jobs that were signed and are not public yet stay in the next snapshot.
        also = await self._jobs.still_waiting(signed.jobs if signed is not None else ())
        jobs = {job.id: job for job in [*also, *await self._jobs.waiting(numbers)]}
        results = {id: await self._farm.results_of(job) for id, job in jobs.items()}
        digests = {id: digest_of(each) for id, each in results.items()}
        if signed is not None and signed.jobs == digests and await self._is_signed(signed.snapshot):
            await self._farm.write(partial(self._say_signed, jobs=signed.jobs))
            return ()
        if signed is not None and await self._becomes_public(signed):
            raise RefusedError("What was pushed becomes public just now.  Run package sign again in a minute.")
        if self._prepared is None or self._prepared.jobs != digests or not await self._there(self._prepared.snapshot):
            good = await self._good(jobs, results)
            name, wanted = await self._farm.in_thread(partial(self._files.prepare, list(good.values())))
            self._prepared = _Preparation(name, {id: digests[id] for id in good}, wanted)
        return self._prepared.wanted

    async def _good(self, jobs: Mapping[int, Job], results: Mapping[int, JobResults]) -> Mapping[int, JobResults]:
        """
        *results* with signatures, without the jobs whose packages rpm refuses.  These jobs are offered again only if
        somebody names them.
        """
        good: dict[int, JobResults] = {}
        errors: list[BuildbotLiteError] = []
        for id, each in results.items():
            try:
                good[id] = await self._farm.in_thread(partial(self._files.signed, id, each))
            except RefusedError as error:
                errors.insert(0, error)
            except InputError as error:
                errors.append(error)
                await self._jobs.refuse(jobs[id], error)
        if errors and (not good or isinstance(errors[0], RefusedError)):
            raise errors[0]
        return good

    async def _becomes_public(self, signed: SignedSnapshot) -> bool:
        """
        Whether the snapshot *signed* was pushed and waits only for the turn of the target.
        """
        waiting = await self._jobs.still_waiting(signed.jobs)
        if not signed.pushed or not waiting or await self._farm.read(signed.lost) is not None:
            return False
        if any([digest_of(await self._farm.results_of(job)) != signed.jobs[job.id] for job in waiting]):
            return False
        return await self._is_signed(signed.snapshot)

    async def _is_signed(self, snapshot: str) -> bool:
        signed: bool = await self._farm.in_thread(partial(self._files.is_signed, snapshot))
        return signed

    async def _there(self, snapshot: str) -> bool:
        there: bool = await self._farm.in_thread(partial(self._files.is_prepared, snapshot))
        return there

    async def _finish(self, signatures: Mapping[str, bytes], push: bool) -> SignedSnapshot:
        prepared = self._prepared
        if prepared is None or {each.id for each in prepared.wanted} != signatures.keys():
            raise RefusedError("The index changed meanwhile, and is not signed.  Run package sign again.")
        waiting = await self._jobs.waiting(list(prepared.jobs))
        digests = {job.id: digest_of(await self._farm.results_of(job)) for job in waiting}
        if digests != prepared.jobs:
            raise RefusedError("A job was built again meanwhile, and is not signed.  Run package sign again.")
        await self._farm.in_thread(partial(self._files.sign_index, prepared.snapshot, signatures))
        signed = SignedSnapshot(prepared.snapshot, prepared.jobs, push)

        def record(connection: Connection) -> None:
            self._say_signed(connection, prepared.jobs)
            signed.keep(connection, self._target, self._farm.wall())

        await self._farm.write(record)
        self._prepared = None
        return signed

    def _say_signed(self, connection: Connection, jobs: Iterable[int]) -> None:
        for number in jobs:
            job = self._jobs.in_needsign(connection, number)
            # Also of a job that was signed, killed and queued again since.
            if job.reason != (reason := f"signed; to publish it: buildbot-lite package push {number}"):
                job_records.remark(connection, job, reason)

    def _push(self, connection: Connection, jobs: Sequence[int] | None) -> Sequence[int]:
        signed = SignedSnapshot.of(connection, self._target)
        for number in jobs or ():
            job = self._jobs.job(connection, number)
            if job.state is JobState.NEEDSIGN and (signed is None or number not in signed.jobs):
                raise RefusedError(f"Job {number} is not signed yet.  Sign it: buildbot-lite package sign {number}")
            if not may_be_public(job):
                raise RefusedError(f"Job {number} cannot be pushed: it is {ended(job)}.")
        if signed is None:
            return ()
        if (lost := signed.lost(connection)) is not None:
            raise RefusedError(without(lost))
        waiting = [job.id for job in signed.known(connection) if job.state is JobState.NEEDSIGN]
        if waiting and not signed.pushed:
            SignedSnapshot(signed.snapshot, signed.jobs, pushed=True).keep(connection, self._target, self._farm.wall())
        return waiting
