"""
The text of job.log: what happened to one architecture of a job, and when.
"""

from datetime import UTC, datetime

from sqlalchemy import Connection

from ...storage.records import builds
from ..records.jobs import Job, JobArch


def story_of(connection: Connection, job: Job, arch: JobArch) -> str:
    """
    The story of *arch* until now.
    """
    lines = [
        f"{job.title} for {job.target}, {arch.architecture}",
        f"submitted by {job.submitter}" + (", a scratch build" if job.scratch else ""),
    ]
    if (origin := job.origin) is not None:
        lines.append(f"made from {origin.repository} at {origin.revision}, commit {origin.commit}")
    attempts = [] if arch.request is None else builds.of_request(connection, arch.request)
    for build in attempts:
        result = "" if build.result is None else f": {build.result.name}"
        reason = f" ({build.reason})" if build.reason else ""
        lines.append(f"{_time(build.started)} {build.builder}/{build.number} on {build.slave}{result}{reason}")
    lines += [f"{_time(at)} {state}" for state, at in arch.history]
    lines += [f"not built for {each.architecture}: {each.reason}" for each in job.arches if each not in job.ordered]
    return "".join(f"{line}\n" for line in lines)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
