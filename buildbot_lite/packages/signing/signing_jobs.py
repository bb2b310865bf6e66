"""
The jobs of a target that wait for signatures, as the records have them.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, Protocol

from attrs import field, frozen
from sqlalchemy import Connection

from ...errors import BuildbotLiteError, NotFoundError, RefusedError
from ..records import job_lists, job_records
from ..records.job_states import JobState
from ..records.jobs import Job
from ..records.results import JobResults
from .signed_snapshot import SignedSnapshot

MOST_JOBS = 1000
"""Jobs of one round."""
JOBS_OF_PAGE = 200
"""Jobs of one page of an offer."""


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
class SigningJobs:
    """
    The jobs of *target*, in the records of *farm*.  *refused*: jobs whose packages rpm refuses, with the time since
    when they wait, which differs when a job was built again.
    """

    target: str
    farm: Surroundings
    refused: set[tuple[int, float]] = field(factory=set)

    def is_refused(self, job: Job) -> bool:
        """
        Whether rpm refuses a package of *job*.
        """
        return (job.id, job.changed) in self.refused

    async def refuse(self, job: Job, error: BuildbotLiteError) -> None:
        """
        Offer *job*, whose package rpm refuses because of *error*, only when somebody names it.
        """
        self.refused.add((job.id, job.changed))
        await self.leave_out(job, error)

    async def waiting(self, numbers: Sequence[int] | None) -> list[Job]:
        """
        The jobs with these *numbers*, of which each must wait (`NotFoundError`, `RefusedError`); None: those that wait,
        at most `MOST_JOBS`.
        """

        def read(connection: Connection) -> list[Job]:
            if numbers is not None:
                return [self.in_needsign(connection, number) for number in dict.fromkeys(numbers)]
            waiting = job_lists.in_state(connection, self.target, JobState.NEEDSIGN)
            signed = SignedSnapshot.of(connection, self.target)
            done = signed.jobs if signed is not None else {}
            # The oldest first, but jobs that are signed already last, so that they take no room from the others.
            return sorted(waiting, key=lambda job: job.id in done)[:MOST_JOBS]

        found: list[Job] = await self.farm.read(read)
        return found

    async def waiting_after(self, after: int) -> list[Job]:
        """
        At most `JOBS_OF_PAGE` jobs that wait, with larger numbers than *after*.
        """

        def read(connection: Connection) -> list[Job]:
            return job_lists.in_state(connection, self.target, JobState.NEEDSIGN, after=after, most=JOBS_OF_PAGE)

        found: list[Job] = await self.farm.read(read)
        return found

    def in_needsign(self, connection: Connection, number: int) -> Job:
        """
        The job with that *number*, which must wait: `NotFoundError`, `RefusedError`.
        """
        job = self.job(connection, number)
        if job.state is not JobState.NEEDSIGN:
            raise RefusedError(f"Job {number} waits for no signature: it is {job.state}.")
        return job

    def job(self, connection: Connection, number: int) -> Job:
        """
        The job with that *number*; `NotFoundError` when the target has none.
        """
        job = job_records.get(connection, number)
        if job is None or job.target != self.target:
            raise NotFoundError(f"{self.target} has no job {number}.")
        return job

    async def still_waiting(self, numbers: Collection[int]) -> list[Job]:
        """
        Those of *numbers* that wait.
        """

        def read(connection: Connection) -> list[Job]:
            jobs = [job_records.get(connection, number) for number in numbers]
            return [job for job in jobs if job is not None and job.state is JobState.NEEDSIGN]

        found: list[Job] = await self.farm.read(read)
        return found

    async def leave_out(self, job: Job, error: BuildbotLiteError) -> None:
        """
        Record *error* as the reason why *job* is not signed with the others.
        """
        if job.reason != str(error):
            await self.farm.write(lambda connection: job_records.remark(connection, job, str(error)))
