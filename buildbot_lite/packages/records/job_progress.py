"""
The states of jobs, as the records of their builds have them.

Nothing is derived from single events: a job is looked at as a whole, with the rows that there are.  So it does not
matter which events were seen, and a start of the master is a look at every job that has not ended.
"""

from collections.abc import Iterable, Sequence

from attrs import evolve
from sqlalchemy import Connection

from ...model.results import Result
from ...storage.records import builds, requests, steps
from . import job_records
from .job_states import ARCH_ENDS, MAKING_SOURCE, ArchState, JobState, observed, while_building, while_making
from .jobs import SOURCE, Job, JobArch, names_of

LOST = "the records no longer have its request"


def look(connection: Connection, job: Job, now: float) -> Job:
    """
    *job* and its architectures as the records of their requests, builds and steps say, recorded at the time *now*.
    """
    arches = tuple(each if each.state in ARCH_ENDS else _look_at(connection, each, now) for each in job.arches)
    job = evolve(job, arches=arches)
    if job.state in MAKING_SOURCE and job.source is not None:
        return _after(connection, job, while_making(job.source.state), [job.source], now)
    if job.state not in (JobState.WAITING, JobState.BUILDING):
        return job  # killed while it was built, for example
    state = while_building([each.state for each in job.built]) or JobState.BUILDING
    return _after(connection, job, state, job.built, now)


def _after(connection: Connection, job: Job, state: JobState, arches: Sequence[JobArch], now: float) -> Job:
    if state is job.state:
        return job
    reason = ""
    if state in (JobState.FAILED, JobState.KILLED):
        wanted = ArchState(state.value)
        reason = _reasons([each for each in arches if each.state is wanted])
    return job_records.go(connection, job, state, now, reason)


def look_at_requests(connection: Connection, numbers: Iterable[int], now: float) -> list[Job]:
    """
    The jobs to which the requests *numbers* belong, after a `look` at each.
    """
    jobs: dict[int, Job] = {}
    for number in numbers:
        if (job := job_records.of_request(connection, number)) is not None:
            jobs[job.id] = job
    return [look(connection, job, now) for job in jobs.values()]


def built(job: Job) -> bool:
    """
    Whether all builds of *job* have succeeded, and its results are the next matter.
    """
    return job.state is JobState.BUILDING and all(each.state is ArchState.DONE for each in job.built)


def _look_at(connection: Connection, arch: JobArch, now: float) -> JobArch:
    request = None if arch.request is None else requests.get(connection, arch.request)
    if request is None:
        return job_records.see(connection, arch, ArchState.FAILED, now, build=arch.build, reason=LOST)
    attempts = builds.of_request(connection, request.id)
    last = attempts[-1] if attempts else None
    rows = [] if last is None else steps.of_build(connection, last.id)
    state, reason = observed(request, attempts, rows)
    if arch.architecture == SOURCE and state is ArchState.FAILED:
        reason = next((each.summary for each in rows if each.result is Result.FAILURE and each.summary), reason)
    build = None if last is None else last.id
    if (state, build, reason) == (arch.state, arch.build, arch.reason):
        return arch
    if state is not ArchState.WAITING and build != arch.build and arch.state is not ArchState.WAITING:
        # Another attempt began since the last look.
        arch = job_records.see(connection, arch, ArchState.WAITING, now, build=build, reason="")
    return job_records.see(connection, arch, state, now, build=build, reason=reason)


def _reasons(arches: Sequence[JobArch]) -> str:
    """
    The reasons of *arches* in one sentence.  Architectures with the same reason share it.
    """
    by_reason: dict[str, list[JobArch]] = {}
    for each in arches:
        by_reason.setdefault(each.reason, []).append(each)
    said = [f"{names_of(those)}: {reason}" if reason else names_of(those) for reason, those in by_reason.items()]
    return "; ".join([*(each.removesuffix(".") for each in said[:-1]), *said[-1:]])
