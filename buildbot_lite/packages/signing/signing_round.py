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

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from attrs import evolve, frozen
from sqlalchemy import Connection

from ...errors import BuildbotLiteError, FileError, InputError, NotFoundError, RefusedError
from ...storage.records import inputs, requests
from ...storage.records.inputs import Input
from .. import job_lists, job_records
from ..job_states import JobState
from ..jobs import Job
from ..results import JobResults, ResultFile
from .signed_files import SignedFiles
from .signed_snapshot import SignedSnapshot, ended, may_be_public, without
from .wanted_signatures import ToSign, digest_of

MOST_JOBS = 1000
"""Jobs of one round."""
JOBS_OF_PAGE = 200
"""Jobs of one page of an offer."""
MOST_PACKAGES = 10_000
"""Packages in one round, unless one job has more."""
MOST_CONTENTS = 8 << 20
"""Bytes of the contents in one answer."""
MOST_OFFERED = 50_000
"""Offered packages that are remembered.  Beyond that, the earliest are forgotten and must be offered again."""


class Surroundings(Protocol):
    """
    The parts of the farm that a round uses.
    """

    def read(self, query: Callable[[Connection], Any]) -> Awaitable[Any]:
        """
        The result of *query* on the records.
        """

    def write(self, change: Callable[[Connection], Any]) -> Awaitable[Any]:
        """
        The result of *change* of the records, once it is committed.
        """

    def in_thread(self, work: Callable[[], Any]) -> Awaitable[Any]:
        """
        The result of *work*, which blocks.
        """

    def in_turn(self, work: Callable[[], Awaitable[Any]]) -> Awaitable[Any]:
        """
        The result of *work*, while nothing else changes the target's repositories.
        """

    def results_of(self, job: Job) -> Awaitable[JobResults]:
        """
        The results of *job*.
        """

    def wall(self) -> float:
        """
        Seconds since 1970.
        """


@frozen
class Offer:
    """
    A *job*, and the signatures that its packages need.  *missing*: the signatures that have not arrived.  *packages*:
    all packages that become public, each with its size in bytes.  *source*: the submitted file, if it is known.
    """

    job: Job
    wanted: Sequence[ToSign]
    missing: Sequence[ToSign]
    packages: Sequence[tuple[ResultFile, int]]
    source: Input | None = None

    @property
    def size(self) -> int:
        """
        Bytes of all packages.
        """
        return sum(size for _, size in self.packages)


@frozen
class OfferPage:
    """
    The *offers* of some jobs, by their numbers.  *after*: the number of the job after which the next page begins; None:
    this is the last page.
    """

    offers: Sequence[Offer]
    after: int | None


@frozen
class _Preparation:
    snapshot: str
    jobs: Mapping[int, str]
    wanted: Sequence[ToSign]


class SigningRound:
    """
    The signatures of the target called *target*.  *files*: its signed files.
    """

    def __init__(self, target: str, files: SignedFiles, farm: Surroundings) -> None:
        self._target = target
        self._files = files
        self._farm = farm
        self._offered: dict[str, ToSign] = {}
        self._prepared: _Preparation | None = None
        # Jobs whose packages rpm refuses, with the time since when they wait, which differs when a job was built again.
        self._refused: set[tuple[int, float]] = set()

    @property
    def prepared(self) -> Sequence[int]:
        """
        The jobs in the snapshot that was prepared last.
        """
        return tuple(self._prepared.jobs) if self._prepared is not None else ()

    async def offer(self, jobs: Sequence[int] | None) -> list[Offer]:
        """
        The offers of *jobs*; None: of all jobs that wait and are not in the signed snapshot.  `NotFoundError`,
        `RefusedError` name a job that does not wait for a signature.
        """
        if jobs is not None:
            found = await self._waiting(jobs)
            sources = await self._sources(found)
            named = [evolve(await self._offer(job), source=sources[job.id]) for job in found]
            self._remember(named)
            return named
        waiting = await self._waiting(None)
        offers, left = await self._offers(waiting)
        self._remember(offers)
        if left is None and len(waiting) < MOST_JOBS:
            await self._tidy(offers)
        return offers

    async def offer_page(self, after: int) -> OfferPage:
        """
        The offers of at most `JOBS_OF_PAGE` waiting jobs with larger numbers than *after*.
        """
        waiting = await self._waiting_after(after)
        offers, left = await self._offers(waiting)
        self._remember(offers)
        if left is not None:
            return OfferPage(offers, left.id - 1)
        if len(waiting) == JOBS_OF_PAGE:
            return OfferPage(offers, waiting[-1].id)
        if after == 0:
            await self._tidy(offers)
        return OfferPage(offers, None)

    def _remember(self, offers: Sequence[Offer]) -> None:
        # Added to the offers of other signers, who may sign at the same time.
        for each in (each for offer in offers for each in offer.wanted):
            self._offered.pop(each.id, None)
            self._offered[each.id] = each
        for id in list(self._offered)[:-MOST_OFFERED]:
            del self._offered[id]

    async def _tidy(self, offers: Sequence[Offer]) -> None:
        """
        Remove the files for all jobs except those of *offers*, which are all jobs that wait.
        """
        await self._farm.in_thread(partial(self._files.tidy, {offer.job.id: offer.wanted for offer in offers}))

    async def _offers(self, waiting: Sequence[Job]) -> tuple[list[Offer], Job | None]:
        """
        The offers of those jobs of *waiting* that can be signed; and the first job that does not fit any more.
        """
        offers: list[Offer] = []
        size = 0
        sources = await self._sources(waiting)
        # Jobs whose packages rpm refused are tried again when somebody names them.
        for job in (job for job in waiting if (job.id, job.changed) not in self._refused):
            try:
                offer = await self._offer(job)
            except (InputError, FileError) as error:
                await self._leave_out(job, error)
                continue
            size += len(offer.packages)
            if offers and size > MOST_PACKAGES:
                return offers, job
            offers.append(evolve(offer, source=sources[job.id]))
        return offers, None

    async def contents(self, ids: Sequence[str]) -> dict[str, bytes]:
        """
        The bytes to be signed for *ids*, which were offered; `RefusedError` when they are too many for one answer.
        """
        wanted = [self._wanted(id) for id in ids]
        if sum(each.length for each in wanted) > MOST_CONTENTS:
            raise RefusedError(f"That is more than {MOST_CONTENTS} bytes at a time.")
        found: dict[str, bytes] = await self._farm.in_thread(lambda: {each.id: each.read() for each in wanted})
        return found

    async def give(self, signatures: Mapping[str, bytes]) -> None:
        """
        Check and store *signatures*, by id.  `InputError` names the first wrong one; those before it are stored.
        """
        wanted = [(self._wanted(id), signature) for id, signature in signatures.items()]
        await self._farm.in_thread(partial(self._files.keep, wanted))

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

    # Packages.

    async def _waiting(self, numbers: Sequence[int] | None) -> list[Job]:
        def read(connection: Connection) -> list[Job]:
            if numbers is not None:
                return [self._in_needsign(connection, number) for number in dict.fromkeys(numbers)]
            waiting = job_lists.in_state(connection, self._target, JobState.NEEDSIGN)
            signed = SignedSnapshot.of(connection, self._target)
            done = signed.jobs if signed is not None else {}
            # The oldest first, but jobs that are signed already last, so that they take no room from the others.
            return sorted(waiting, key=lambda job: job.id in done)[:MOST_JOBS]

        found: list[Job] = await self._farm.read(read)
        return found

    async def _waiting_after(self, after: int) -> list[Job]:
        def read(connection: Connection) -> list[Job]:
            return job_lists.in_state(connection, self._target, JobState.NEEDSIGN, after=after, most=JOBS_OF_PAGE)

        found: list[Job] = await self._farm.read(read)
        return found

    def _in_needsign(self, connection: Connection, number: int) -> Job:
        job = self._job(connection, number)
        if job.state is not JobState.NEEDSIGN:
            raise RefusedError(f"Job {number} waits for no signature: it is {job.state}.")
        return job

    def _job(self, connection: Connection, number: int) -> Job:
        job = job_records.get(connection, number)
        if job is None or job.target != self._target:
            raise NotFoundError(f"{self._target} has no job {number}.")
        return job

    async def _offer(self, job: Job) -> Offer:
        results = await self._farm.results_of(job)

        def read() -> Offer:
            wanted = self._files.wanted(results)
            return Offer(job, wanted, self._files.missing(wanted), self._files.sizes(results))

        offer: Offer = await self._farm.in_thread(read)
        return offer

    async def _sources(self, jobs: Sequence[Job]) -> Mapping[int, Input | None]:
        found: Mapping[int, Input | None] = await self._farm.read(
            lambda connection: {job.id: _source_of(connection, job) for job in jobs}
        )
        return found

    def _wanted(self, id: str) -> ToSign:
        if id not in self._offered:
            raise RefusedError("A job changed meanwhile, and this was not signed.  Run package sign again.")
        return self._offered[id]

    # The snapshot.

    async def _prepare(self, numbers: Sequence[int]) -> Sequence[ToSign]:
        signed: SignedSnapshot | None = await self._farm.read(partial(SignedSnapshot.of, target=self._target))
        # Jobs that were signed and are not public yet stay in the next snapshot.
        also = await self._still_waiting(signed.jobs if signed is not None else ())
        jobs = {job.id: job for job in [*also, *await self._waiting(numbers)]}
        results = {id: await self._farm.results_of(job) for id, job in jobs.items()}
        digests = {id: digest_of(each) for id, each in results.items()}
        if signed is not None and signed.jobs == digests and await self._is_signed(signed.snapshot):
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
                self._refused.add((id, jobs[id].changed))
                await self._leave_out(jobs[id], error)
        if errors and (not good or isinstance(errors[0], RefusedError)):
            raise errors[0]
        return good

    async def _leave_out(self, job: Job, error: BuildbotLiteError) -> None:
        if job.reason != str(error):
            await self._farm.write(lambda connection: job_records.remark(connection, job, str(error)))

    async def _becomes_public(self, signed: SignedSnapshot) -> bool:
        """
        Whether the snapshot *signed* was pushed and waits only for the turn of the target.
        """
        waiting = await self._still_waiting(signed.jobs)
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

    async def _still_waiting(self, numbers: Sequence[int] | Mapping[int, str]) -> list[Job]:
        def read(connection: Connection) -> list[Job]:
            jobs = [job_records.get(connection, number) for number in numbers]
            return [job for job in jobs if job is not None and job.state is JobState.NEEDSIGN]

        found: list[Job] = await self._farm.read(read)
        return found

    async def _finish(self, signatures: Mapping[str, bytes], push: bool) -> SignedSnapshot:
        prepared = self._prepared
        if prepared is None or {each.id for each in prepared.wanted} != signatures.keys():
            raise RefusedError("The index changed meanwhile, and is not signed.  Run package sign again.")
        waiting = await self._waiting(list(prepared.jobs))
        digests = {job.id: digest_of(await self._farm.results_of(job)) for job in waiting}
        if digests != prepared.jobs:
            raise RefusedError("A job was built again meanwhile, and is not signed.  Run package sign again.")
        await self._farm.in_thread(partial(self._files.sign_index, prepared.snapshot, signatures))
        signed = SignedSnapshot(prepared.snapshot, prepared.jobs, push)

        def record(connection: Connection) -> None:
            for number in prepared.jobs:
                job = self._in_needsign(connection, number)
                job_records.remark(connection, job, f"signed; to publish it: buildbot-lite package push {number}")
            signed.keep(connection, self._target, self._farm.wall())

        await self._farm.write(record)
        self._prepared = None
        return signed

    def _push(self, connection: Connection, jobs: Sequence[int] | None) -> Sequence[int]:
        signed = SignedSnapshot.of(connection, self._target)
        for number in jobs or ():
            job = self._job(connection, number)
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


def _source_of(connection: Connection, job: Job) -> Input | None:
    buildset = requests.buildset(connection, job.buildset)
    return None if buildset is None or buildset.input is None else inputs.get(connection, buildset.input)
