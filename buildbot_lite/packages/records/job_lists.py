"""
Lists of jobs from the farm's database.
"""

from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, exists, func, or_, select

from ...storage.records import builds
from ...storage.records.builds import Build
from ...storage.statements import Query
from .job_rows import ARCHES, JOBS, SELECT, job_of_row, with_arches
from .job_states import ARCH_ENDS, JobState
from .jobs import Job, JobFilter

_UNFINISHED = Query(SELECT.where(JOBS.c.finished.is_(None)).order_by(JOBS.c.id), job_of_row)
_IN_STATE = Query(
    SELECT.where(
        JOBS.c.target == bindparam("of_target"),
        JOBS.c.state == bindparam("in_state"),
        JOBS.c.finished.is_(None),
        JOBS.c.id > bindparam("after"),
    )
    .order_by(JOBS.c.id)
    .limit(bindparam("most")),
    job_of_row,
)
_KILLED_UNFINISHED = Query(
    SELECT.where(
        JOBS.c.state == JobState.KILLED.value,
        exists(
            select(ARCHES.c.job).where(
                ARCHES.c.job == JOBS.c.id, *[ARCHES.c.state != state.value for state in sorted(ARCH_ENDS)]
            )
        ),
    ).order_by(JOBS.c.id),
    job_of_row,
)
_PAGE = Query(
    SELECT.where(
        JOBS.c.id < bindparam("before"),
        *[
            or_(bindparam(column.name).is_(None), column == bindparam(column.name))
            for column in (JOBS.c.target, JOBS.c.state, JOBS.c.name, JOBS.c.submitter, JOBS.c.by_grant)
        ],
        or_(bindparam("active").is_(None), JOBS.c.finished.is_(None)),
    )
    .order_by(JOBS.c.id.desc())
    .limit(bindparam("most")),
    job_of_row,
)
_NEWEST_FINISHED = Query(
    select(JOBS.c.name, func.coalesce(JOBS.c.built_version, JOBS.c.version), JOBS.c.id)
    .where(
        JOBS.c.id.in_(
            select(func.max(JOBS.c.id))
            .where(
                JOBS.c.target == bindparam("target"),
                JOBS.c.state == JobState.FINISHED.value,
                JOBS.c.scratch == 0,
                JOBS.c.name > bindparam("after"),
                or_(bindparam("pushed").is_(None), JOBS.c.history.like(f'%"{JobState.PUSHED.value}"%')),
            )
            .group_by(JOBS.c.name)
        )
    )
    .order_by(JOBS.c.name)
    .limit(bindparam("most")),
    lambda name, version, job: (name, version, job),
)
_COUNTS = Query(
    select(JOBS.c.target, JOBS.c.state, func.count())
    .where(JOBS.c.finished.is_(None))
    .group_by(JOBS.c.target, JOBS.c.state),
    lambda target, state, count: (target, state, count),
)
_NO_BOUND = 1 << 62


def unfinished(connection: Connection) -> list[Job]:
    """
    All jobs that have not ended, oldest first.
    """
    return [with_arches(connection, job) for job in _UNFINISHED.all(connection)]


def in_state(
    connection: Connection, target: str, state: JobState, *, after: int = 0, most: int = _NO_BOUND
) -> list[Job]:
    """
    At most *most* jobs of *target* in *state*, with numbers above *after*, oldest first.  *state* is one in which a job
    has not ended.
    """
    found = _IN_STATE.all(connection, of_target=target, in_state=state.value, after=after, most=most)
    return [with_arches(connection, job) for job in found]


def killed_unfinished(connection: Connection) -> list[Job]:
    """
    The jobs that were killed and have builds that have not ended.
    """
    return [with_arches(connection, job) for job in _KILLED_UNFINISHED.all(connection)]


def page(connection: Connection, wanted: JobFilter, most: int, before: int | None = None) -> list[Job]:
    """
    At most *most* jobs, newest first; with *before*, only those with smaller numbers.
    """
    found = _PAGE.all(
        connection,
        target=wanted.target,
        state=wanted.state,
        name=wanted.name,
        submitter=wanted.submitter,
        by_grant=wanted.by_grant,
        active=1 if wanted.active else None,
        most=most,
        before=_NO_BOUND if before is None else before,
    )
    return [with_arches(connection, job) for job in found]


def newest_finished(
    connection: Connection, target: str, most: int, *, after: str = "", pushed: bool = False
) -> list[tuple[str, str, int]]:
    """
    Name, version and number of the newest finished job of each source package of *target*, without scratch builds: at
    most *most* by name, those with names after *after*.  *pushed*: only jobs that were published.  Jobs that are not
    recorded any more (`job_records.MOST_FINISHED`) are missing, even if the repository still has their packages.
    """
    return _NEWEST_FINISHED.all(connection, target=target, most=most, after=after, pushed=1 if pushed else None)


def counts(connection: Connection) -> dict[str, dict[str, int]]:
    """
    The number of unfinished jobs, by target and state.
    """
    return counts_of(counted(connection))


def counted(connection: Connection) -> list[tuple[str, str, int]]:
    """
    Target, state, and the number of unfinished jobs.
    """
    return _COUNTS.all(connection)


def counts_of(rows: Iterable[tuple[str, str, int]]) -> dict[str, dict[str, int]]:
    """
    The numbers in *rows* by target and state.
    """
    found: dict[str, dict[str, int]] = {}
    for target, state, count in rows:
        found.setdefault(target, {})[state] = count
    return found


def builds_of(connection: Connection, jobs: Iterable[Job]) -> dict[int, Build]:
    """
    The builds of the architectures of *jobs*, by id.
    """
    ids = {arch.build for job in jobs for arch in job.arches if arch.build is not None}
    return {each: build for each in ids if (build := builds.get(connection, each)) is not None}
