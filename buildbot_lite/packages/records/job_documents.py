"""
Jobs and targets as JSON.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from attrs import asdict
from sqlalchemy import Connection

from ...storage.records.builds import Build
from . import job_lists
from .jobs import Job, JobArch

Document = dict[str, Any]


def of_job(connection: Connection, job: Job) -> Document:
    """
    A job with its architectures.  Times are seconds since 1970.
    """
    return job_from(job, job_lists.builds_of(connection, [job]))


def job_from(job: Job, of_arches: Mapping[int, Build]) -> Document:
    """
    A job as `of_job`.  *of_arches*: the builds of its architectures, by id.
    """
    return {
        "job": job.id,
        "target": job.target,
        "name": job.name,
        "version": job.version,
        "built_version": job.built_version,
        "submitter": job.submitter,
        "scratch": job.scratch,
        "priority": job.priority,
        "after": job.after_job,
        "state": job.state.value,
        "reason": job.reason,
        "created": job.created,
        "changed": job.changed,
        "finished": job.finished,
        "history": _history(job.history),
        "origin": None if job.origin is None else asdict(job.origin),
        "arches": [_arch(each, of_arches) for each in job.arches],
    }


class ShownTarget(Protocol):
    """
    What a document says of a `Target`: its name, the further names under which packages are submitted to it, and its
    builders by architecture.
    """

    name: str
    builders: Mapping[str, Any]

    @property
    def aliases(self) -> Sequence[str]: ...


def of_target(
    target: ShownTarget, counts: Mapping[str, int], paused: Mapping[str, Any] | None, trouble: Document | None = None
) -> Document:
    """
    A target, with the number of its unfinished jobs by state.  *trouble*: what keeps its jobs from going on, as
    `TargetTroubles.of` says it.
    """
    return {
        "target": target.name,
        "aliases": list(target.aliases),
        "kind": type(target).__name__,
        "arches": list(target.builders),
        "paused": None if paused is None else dict(paused),
        "trouble": trouble,
        "jobs": dict(counts),
    }


def _arch(arch: JobArch, of_arches: Mapping[int, Build]) -> Document:
    build = None if arch.build is None else of_arches.get(arch.build)
    return {
        "architecture": arch.architecture,
        "state": arch.state.value,
        "reason": arch.reason,
        "request": arch.request,
        "builder": arch.builder,
        "build": None if build is None else build.number,
        "slave": None if build is None else build.slave,
        "started": None if build is None else build.started,
        "finished": None if build is None else build.finished,
        "history": _history(arch.history),
    }


def _history(history: tuple[tuple[str, float], ...]) -> list[list[Any]]:
    return [[state, at] for state, at in history]
