"""
What is offered to signers: the jobs that wait, and what is to be signed of their packages.
"""

from collections.abc import Mapping, Sequence
from functools import partial

from attrs import evolve, frozen
from sqlalchemy import Connection

from ...errors import FileError, InputError, RefusedError
from ...model.input_kinds import name_of_stdin
from ...storage.records import buildsets, inputs
from ...storage.records.inputs import Input
from ..building.steps import SINGLE_FILE
from ..records.jobs import Job
from ..records.results import ResultFile
from . import signing_jobs
from .signed_files import SignedFiles
from .signing_jobs import JOBS_OF_PAGE, SigningJobs, Surroundings
from .wanted_signatures import ToSign

MOST_PACKAGES = 10_000
"""Packages of one offer of several jobs."""
MOST_CONTENTS = 8 << 20
"""Bytes of the contents in one answer."""
MOST_OFFERED = 50_000
"""Offered packages that are remembered.  Beyond that, the earliest are forgotten and must be offered again."""


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


class JobOffers:
    """
    The offers of *jobs*, and their signatures, which *files* keeps.
    """

    def __init__(self, jobs: SigningJobs, files: SignedFiles, farm: Surroundings) -> None:
        self._jobs = jobs
        self._files = files
        self._farm = farm
        self._offered: dict[str, ToSign] = {}

    async def make(self, jobs: Sequence[int] | None) -> list[Offer]:
        """
        The offers of *jobs*; None: of all jobs that wait and are not in the signed snapshot.  `NotFoundError`,
        `RefusedError` name a job that does not wait for a signature.
        """
        if jobs is not None:
            found = await self._jobs.waiting(jobs)
            sources = await self._sources(found)
            named = [evolve(await self._offer(job), source=sources[job.id]) for job in found]
            self._remember(named)
            return named
        waiting = await self._jobs.waiting(None)
        offers, left = await self._those_of(waiting)
        self._remember(offers)
        if left is None and len(waiting) < signing_jobs.MOST_JOBS:
            await self._tidy(offers)
        return offers

    async def page(self, after: int) -> OfferPage:
        """
        The offers of at most `JOBS_OF_PAGE` waiting jobs with larger numbers than *after*.
        """
        waiting = await self._jobs.waiting_after(after)
        offers, left = await self._those_of(waiting)
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

    async def _those_of(self, waiting: Sequence[Job]) -> tuple[list[Offer], Job | None]:
        """
        The offers of those jobs of *waiting* that can be signed; and the first job that does not fit any more.
        """
        offers: list[Offer] = []
        size = 0
        sources = await self._sources(waiting)
        # Jobs whose packages rpm refused are tried again when somebody names them.
        for job in (job for job in waiting if not self._jobs.is_refused(job)):
            try:
                offer = await self._offer(job)
            except (InputError, FileError) as error:
                await self._jobs.leave_out(job, error)
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
        found: dict[str, bytes] = await self._farm.in_thread(lambda: {each.id: each.contents() for each in wanted})
        return found

    async def give(self, signatures: Mapping[str, bytes]) -> None:
        """
        Check and store *signatures*, by id.  `InputError` names the first wrong one; those before it are stored.
        """
        wanted = [(self._wanted(id), signature) for id, signature in signatures.items()]
        await self._farm.in_thread(partial(self._files.keep, wanted))

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


def _source_of(connection: Connection, job: Job) -> Input | None:
    buildset = buildsets.get(connection, job.buildset)
    if buildset is None or buildset.input is None:
        return None
    source = inputs.get(connection, buildset.input)
    if source is None or source.name != name_of_stdin(source.kind):
        return source
    # Nobody named it, so it is called what it was found to be when it was submitted.
    single = buildset.properties.get(SINGLE_FILE)
    return evolve(source, name=single[0] if single else f"{job.name}_{job.version.rpartition(':')[2]}.tar")
