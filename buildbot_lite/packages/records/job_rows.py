"""
Rows of jobs and their architectures in the farm's database, and the values that they are.
"""

from typing import Any

from attrs import asdict, evolve
from sqlalchemy import Connection, bindparam, select

from ...storage import schema
from ...storage.statements import Query, from_json, selecting, to_json
from .job_states import ArchState, JobState
from .jobs import History, Job, JobArch, Origin

JOBS, ARCHES = schema.package_jobs, schema.package_job_arches

JOB_FIELDS = [column.name for column in JOBS.columns]
SELECT = select(*JOBS.columns)


def _history(text: str) -> History:
    return tuple((str(state), float(at)) for state, at in from_json(text))


def origin_text(origin: Origin | None) -> str:
    """
    *origin* as the column of its name has it.
    """
    return "" if origin is None else to_json(asdict(origin))


def job_of_row(*row: Any) -> Job:
    """
    The job whose columns are *row*, without its architectures.
    """
    values = dict(zip(JOB_FIELDS, row, strict=True))
    values["scratch"] = bool(values["scratch"])
    values["state"] = JobState(values["state"])
    values["history"] = _history(values["history"])
    values["origin"] = Origin(**from_json(values["origin"])) if values["origin"] else None
    return Job(**values)


def _arch(*row: Any) -> JobArch:
    job, architecture, place, builder, request, build, state, reason, history = row
    return JobArch(job, architecture, place, builder, request, build, ArchState(state), reason, _history(history))


_ARCHES = Query(selecting(ARCHES, JobArch).where(ARCHES.c.job == bindparam("job")), _arch)


def with_arches(connection: Connection, job: Job) -> Job:
    """
    *job* with its architectures.
    """
    return evolve(job, arches=tuple(sorted(_ARCHES.all(connection, job=job.id), key=lambda each: each.place)))
