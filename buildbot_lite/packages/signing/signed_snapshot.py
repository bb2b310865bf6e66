"""
The record of a target's signed snapshot: which jobs are in it, and whether it may become public.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import field, frozen
from sqlalchemy import Connection

from ...storage.records import states
from ..records import job_records
from ..records.job_states import JobState
from ..records.jobs import Job


@frozen
class SignedSnapshot:
    """
    A *snapshot* of the public repository whose packages and index are signed.  *jobs*: the jobs that it adds, each with
    a digest of its packages.  *pushed*: whether somebody with that right has asked to publish it.
    """

    snapshot: str
    jobs: Mapping[int, str] = field(factory=dict)
    pushed: bool = False

    def keep(self, connection: Connection, target: str, now: float) -> None:
        """
        Record this snapshot as the signed one of *target*.
        """
        document = {
            "snapshot": self.snapshot,
            "jobs": {str(job): digest for job, digest in self.jobs.items()},
            "pushed": self.pushed,
        }
        states.put(connection, _owner(target), document, now)

    def lost(self, connection: Connection) -> Job | None:
        """
        A job of the snapshot that ended without being published, so that the snapshot must not become public; None if
        there is none.
        """
        return next((job for job in self.known(connection) if not may_be_public(job)), None)

    def known(self, connection: Connection) -> Sequence[Job]:
        """
        The jobs of the snapshot that the records still have.
        """
        jobs = [job_records.get(connection, number) for number in self.jobs]
        return [job for job in jobs if job is not None]

    @classmethod
    def of(cls, connection: Connection, target: str) -> "SignedSnapshot | None":
        """
        The recorded snapshot of *target*.
        """
        document: dict[str, Any] | None = states.get(connection, _owner(target))
        if document is None:
            return None
        jobs = {int(job): digest for job, digest in document["jobs"].items()}
        return cls(document["snapshot"], jobs, document["pushed"])


def may_be_public(job: Job) -> bool:
    """
    Whether *job* waits to become public, or is public.
    """
    # A job in needsign may also be finished without being published.
    was_public = any(state == JobState.PUSHED for state, _ in job.history)
    return job.state in (JobState.NEEDSIGN, JobState.PUSHED) or (job.state is JobState.FINISHED and was_public)


def ended(job: Job) -> str:
    """
    The state of *job*, which is not public, as words for a sentence.
    """
    return f"{job.state} without being published" if job.state is JobState.FINISHED else job.state.value


def without(lost: Job) -> str:
    """
    A sentence for the signed snapshot with the job *lost*.
    """
    return (
        f"The signed snapshot has job {lost.id}, which is {ended(lost)} now.  Sign without it: "
        "buildbot-lite package sign --all"
    )


def _owner(target: str) -> str:
    return f"signed snapshot:{target}"
