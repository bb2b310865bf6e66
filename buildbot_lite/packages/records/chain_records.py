"""
Chains of packages in the records: each job of a chain begins when the packages of the job before it are in the
repository.

::

    job 12 ──► results ──► repowait ──► in the repository for builds ──► job 13 begins ──► …
       '── failed, killed, finished without being published ──► job 13 is killed, and all after it

A job records the number of the job before it.  That job is older, so there are no cycles.  Whether its packages are in
the repository is recorded nowhere, because packages also leave the repository; it is read from the repository each
time.
"""

from enum import Enum

from attrs import evolve, frozen
from sqlalchemy import Connection

from ...errors import InputError
from ...model import wait_reasons
from ...model.wait_reasons import WaitReason
from ...storage.records import feed
from ...storage.records.feed import Event
from . import job_lists, job_records
from .job_options import MOST_MEMBERS
from .job_progress import look
from .job_states import ArchState, JobState
from .jobs import Job

CHAINED = "package.chained"
"""The kind of the event in the feed for new requests of a job that has a job before it in a chain."""

_BUILT = (JobState.WAITING, JobState.BUILDING)
_WITHOUT_ROOT = (ArchState.WAITING, ArchState.DOWNLOADING, ArchState.PREPPING)
_STAYING = (JobState.NEEDSIGN, JobState.PUSHED)


class Standing(Enum):
    """
    Whether the packages of a job are not in the repository for builds yet, are there for good, or will never be there.
    """

    COMING = "coming"
    STAYING = "staying"
    GONE = "gone"


@frozen(kw_only=True)
class ChainedJob:
    """
    A *job* of a *target* with a job before it, whose number, title and state are *after*, *title* and *state*.
    *requests*: those of *job*, which are held until the packages of the job before are in the repository.
    """

    job: int
    target: str
    requests: tuple[int, ...]
    after: int
    title: str
    state: str

    @classmethod
    def of_event(cls, event: Event) -> "ChainedJob":
        """
        The job of a `CHAINED` event.
        """
        return cls(**{**event.body, "requests": tuple(event.body["requests"])})

    @property
    def reason(self) -> WaitReason:
        """
        The reason why the requests wait, for people.
        """
        return wait_reasons.after_another(self.title, self.state)


def before(connection: Connection, number: int, target: str, grant: int) -> list[Job]:
    """
    The job *number* of *target*, after which a new job will be built, and then the jobs before it in its chain, the
    latest first.  `InputError` when the holder of *grant* may not see that job, when nothing can be built after it, and
    when the chain has `MOST_MEMBERS` jobs.
    """
    job = job_records.get(connection, number)
    if job is None or job.target != target or job.by_grant != grant:
        raise InputError(f"There is no job {number} that was submitted to {target} with this string.")
    if job.scratch:
        raise InputError(
            f"{_capital(job.title)} is a scratch build, which enters no repository: nothing is built after it."
        )
    if standing_of(job) is Standing.GONE:
        raise InputError(
            f"{_capital(job.title)} {_fate(job)}, so nothing is built after it.  To build it again: buildbot-lite "
            f"package requeue {number}"
        )
    found = [job]
    while (earlier := _predecessor(connection, found[-1])) is not None:
        found.append(earlier)
    if len(found) >= MOST_MEMBERS:
        raise InputError(f"The chain of {job.title} has {len(found)} jobs; at most {MOST_MEMBERS} are allowed.")
    return found


def tell(connection: Connection, job: Job, now: float) -> None:
    """
    If *job* has a job before it, publish an event for its new requests.  Call this in the transaction that adds the
    requests, so that they are held before they can start.
    """
    if (chained := _chained(connection, job)) is not None:
        body = {name: getattr(chained, name) for name in ("job", "target", "after", "title", "state")}
        feed.publish(connection, CHAINED, now=now, body={**body, "requests": list(chained.requests)})


def unfinished(connection: Connection) -> list[ChainedJob]:
    """
    The jobs of chains whose builds have not ended.
    """
    jobs = [job for job in job_lists.unfinished(connection) if job.state in _BUILT]
    return [chained for job in jobs if (chained := _chained(connection, job)) is not None]


def standing_of(job: Job | None) -> Standing:
    """
    The standing of *job*; None is a job that the records no longer have.
    """
    if job is None or job.state in (JobState.FAILED, JobState.KILLED):
        return Standing.GONE
    if job.state is JobState.FINISHED:
        published = any(state == JobState.PUSHED for state, _ in job.history)
        return Standing.STAYING if published else Standing.GONE
    return Standing.STAYING if job.state in _STAYING else Standing.COMING


def check_predecessor(connection: Connection, job: Job) -> None:
    """
    `InputError` when *job* cannot be built again before the job before it in its chain.
    """
    if job.after_job is None:
        return
    earlier = _predecessor(connection, job)
    if standing_of(earlier) is Standing.GONE:
        why = f"job {job.after_job} is not known any more" if earlier is None else f"{earlier.title} {_fate(earlier)}"
        raise InputError(
            f"Job {job.id} is built after another, and {why}.  First: buildbot-lite package requeue {job.after_job}"
        )


def end(connection: Connection, chained: ChainedJob, earlier: Job | None, now: float) -> Job | None:
    """
    Kill and return the job of *chained*, because the packages of the job before it, *earlier*, will not be in the
    repository.  Does nothing and returns None when all its builds have their roots already, or when *earlier* has
    changed its state meanwhile.
    """
    job = job_records.get(connection, chained.job)
    if job is not None:
        # The end of a build of it may be recorded, and not seen yet.
        job = look(connection, job, now)
    if job is None or job.state not in _BUILT or all(each.state not in _WITHOUT_ROOT for each in job.built):
        return None
    current = job_records.get(connection, chained.after)
    if earlier is None or current is None:
        why = f"job {chained.after} is not known any more"
    elif current.state is not earlier.state:
        return None
    else:
        why = _why(connection, current)
    return job_records.go(connection, job, JobState.KILLED, now, f"{why}, and this job is built after it")


def _why(connection: Connection, job: Job) -> str:
    if standing_of(job) is not Standing.GONE:
        return f"{job.title} is not in the repository for builds any more"
    # Name the first job of the chain that failed: it is the cause for all jobs after it.
    while (earlier := _predecessor(connection, job)) is not None and standing_of(earlier) is Standing.GONE:
        job = earlier
    return f"{job.title} {_fate(job)}"


def _fate(job: Job) -> str:
    if job.state is JobState.FINISHED:
        return "was finished without being published"
    return "failed" if job.state is JobState.FAILED else f"was {job.state}"


def _chained(connection: Connection, job: Job) -> ChainedJob | None:
    if job.after_job is None:
        return None
    # *job* may be older than the changes of this transaction.
    arches = (job_records.get(connection, job.id) or job).built
    requests = tuple(each.request for each in arches if each.request is not None)
    found = ChainedJob(
        job=job.id,
        target=job.target,
        requests=requests,
        after=job.after_job,
        title=f"job {job.after_job}",
        state="gone",
    )
    earlier = _predecessor(connection, job)
    return found if earlier is None else evolve(found, title=earlier.title, state=earlier.state.value)


def _predecessor(connection: Connection, job: Job) -> Job | None:
    return None if job.after_job is None else job_records.get(connection, job.after_job)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
