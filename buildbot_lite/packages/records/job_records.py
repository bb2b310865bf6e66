"""
Jobs of packages in the farm's database: a row for each job, and one for each of its architectures.  `job_lists` has the
queries for several jobs.
"""

from collections.abc import Collection, Mapping

from attrs import evolve
from sqlalchemy import Connection, bindparam, delete, select, update

from ...model.properties import OF_ONE_SUBMISSION
from ...storage.records import buildsets, feed
from ...storage.records.retention import RetentionHolder
from ...storage.statements import Query, Statement, inserting, to_json
from .job_rows import ARCHES, JOB_FIELDS, JOBS, SELECT, job_of_row, origin_text, with_arches
from .job_states import ARCH_TRANSITIONS, ENDS, JOB_TRANSITIONS, ArchState, JobState
from .jobs import JOB_NUMBER, SOURCE, History, Job, JobArch, NewJob

EVENT = "package.job"
"""The kind of the event in the feed for a new state of a job.  Its body has "job", "state" and "reason"."""
MOST_STATES = 60
"""States in one history; of a longer one the first and the newest are kept."""
MOST_FINISHED = 20_000
"""Jobs that have ended and are remembered."""

PRUNED_EVERY = 100
"""New jobs after which old ones are forgotten."""

_ADD = Statement(inserting(JOBS, *JOB_FIELDS[1:]).returning(JOBS.c.id))
_ADD_ARCH = Statement(inserting(ARCHES, *[column.name for column in ARCHES.columns]))
_GET = Query(SELECT.where(JOBS.c.id == bindparam("id")), job_of_row)
_OF_REQUEST = Query(select(ARCHES.c.job).where(ARCHES.c.request == bindparam("request")), int)
_SET = Statement(
    update(JOBS)
    .where(JOBS.c.id == bindparam("which"))
    .values(
        state=bindparam("to_state"),
        reason=bindparam("why"),
        changed=bindparam("now"),
        finished=bindparam("ended"),
        history=bindparam("so_far"),
    )
)
_SET_SOURCE = Statement(
    update(JOBS)
    .where(JOBS.c.id == bindparam("which"))
    .values(
        name=bindparam("to_name"),
        version=bindparam("to_version"),
        buildset=bindparam("with_buildset"),
        origin=bindparam("of_origin"),
    )
)
_SET_BUILT_VERSION = Statement(
    update(JOBS).where(JOBS.c.id == bindparam("which")).values(built_version=bindparam("to_version"))
)
_SET_REASON = Statement(update(JOBS).where(JOBS.c.id == bindparam("which")).values(reason=bindparam("why")))
_SET_ARCH = Statement(
    update(ARCHES)
    .where(ARCHES.c.job == bindparam("of_job"), ARCHES.c.architecture == bindparam("called"))
    .values(
        request=bindparam("with_request"),
        build=bindparam("with_build"),
        state=bindparam("to_state"),
        reason=bindparam("why"),
        history=bindparam("so_far"),
    )
)
_HELD = Query(
    select(ARCHES.c.build).where(
        ARCHES.c.job.in_(select(JOBS.c.id).where(JOBS.c.finished.is_(None))), ARCHES.c.build.is_not(None)
    ),
    int,
)
_OLD = Query(
    select(JOBS.c.id)
    .where(JOBS.c.finished.is_not(None))
    .order_by(JOBS.c.id.desc())
    .limit(bindparam("most"))
    .offset(bindparam("kept")),
    int,
)
_DROP = [
    Statement(delete(ARCHES).where(ARCHES.c.job == bindparam("job"))),
    Statement(delete(JOBS).where(JOBS.c.id == bindparam("job"))),
]


def add(connection: Connection, new: NewJob, now: float) -> Job:
    """
    Record a job.  If its source is there and examined, it waits for its builds.
    """
    history: History = ((JobState.INITIALIZE, now),)
    if SOURCE not in new.builders:
        history = (*history, (JobState.WAITING, now))
    values = {
        "target": new.target,
        "name": new.name,
        "version": new.version,
        "submitter": new.submitter,
        "by_grant": new.by_grant,
        "scratch": int(new.scratch),
        "priority": new.priority,
        "buildset": new.buildset,
        "state": str(history[-1][0]),
        "reason": "",
        "created": now,
        "changed": now,
        "finished": None,
        "history": to_json(history),
        "after_job": new.after_job,
        "origin": origin_text(new.origin),
        "built_version": None,
    }
    id = _ADD.number(connection, **values)
    buildsets.set_property(connection, new.buildset, JOB_NUMBER, id, OF_ONE_SUBMISSION)
    _add_arches(connection, id, new.builders, new.skipped, now)
    if id % PRUNED_EVERY == 0:
        prune(connection)
    found = get(connection, id)
    assert found is not None
    return found


def source_made(connection: Connection, job: Job, made: NewJob, now: float) -> Job:
    """
    Record that the source package of *job* is made, as *made* describes it; returns the job, which waits for its
    builds.
    """
    _SET_SOURCE.run(
        connection,
        which=job.id,
        to_name=made.name,
        to_version=made.version,
        with_buildset=made.buildset,
        of_origin=origin_text(made.origin),
    )
    _add_arches(connection, job.id, made.builders, made.skipped, now, after=len(job.arches))
    go(connection, job, JobState.WAITING, now)
    found = get(connection, job.id)
    assert found is not None
    return found


def _add_arches(
    connection: Connection,
    id: int,
    builders: Mapping[str, tuple[str, int]],
    skipped: Mapping[str, str],
    now: float,
    after: int = 0,
) -> None:
    built = [
        JobArch(id, arch, 0, builder, request, None, ArchState.WAITING, "", ((ArchState.WAITING, now),))
        for arch, (builder, request) in builders.items()
    ]
    left_out = [
        JobArch(id, arch, 0, "", None, None, ArchState.SKIPPED, reason, ((ArchState.SKIPPED, now),))
        for arch, reason in skipped.items()
        if arch not in builders
    ]
    for place, each in enumerate([*built, *left_out], after):
        _ADD_ARCH.run(
            connection,
            job=id,
            architecture=each.architecture,
            place=place,
            builder=each.builder,
            request=each.request,
            build=None,
            state=each.state.value,
            reason=each.reason,
            history=to_json(each.history),
        )


def get(connection: Connection, id: int) -> Job | None:
    """
    The job with that *id*.
    """
    job = _GET.first(connection, id=id)
    return None if job is None else with_arches(connection, job)


def of_request(connection: Connection, request: int) -> Job | None:
    """
    The job that *request* builds an architecture of.
    """
    id = _OF_REQUEST.first(connection, request=request)
    return None if id is None else get(connection, id)


def go(connection: Connection, job: Job, state: JobState, now: float, reason: str = "") -> Job:
    """
    *job* in another *state*, recorded.  `ValueError` when that may not follow its state.
    """
    if state not in JOB_TRANSITIONS[job.state]:
        raise ValueError(f"job {job.id} cannot go from {job.state} to {state}")
    history = _longer(job.history, state, now)
    ended = now if state in ENDS else None
    _SET.run(connection, which=job.id, to_state=state.value, why=reason, now=now, ended=ended, so_far=to_json(history))
    feed.publish(connection, EVENT, now=now, body={"job": job.id, "state": state.value, "reason": reason})
    return evolve(job, state=state, reason=reason, changed=now, finished=ended, history=history)


def set_built_version(connection: Connection, job: Job, version: str | None) -> Job:
    """
    *job*, whose packages have *version*, recorded.  None: none of its packages are kept.
    """
    _SET_BUILT_VERSION.run(connection, which=job.id, to_version=version)
    return evolve(job, built_version=version)


def remark(connection: Connection, job: Job, reason: str) -> Job:
    """
    *job* with the *reason* why it cannot go on now.
    """
    _SET_REASON.run(connection, which=job.id, why=reason)
    return evolve(job, reason=reason)


def see(
    connection: Connection, arch: JobArch, state: ArchState, now: float, *, build: int | None, reason: str
) -> JobArch:
    """
    *arch* as it is seen now, recorded.  `ValueError` when *state* may not follow its state.
    """
    if state is not arch.state and state not in ARCH_TRANSITIONS[arch.state]:
        raise ValueError(f"{arch.architecture} of job {arch.job} cannot go from {arch.state} to {state}")
    history = arch.history if state is arch.state else _longer(arch.history, state, now)
    return _replace(connection, evolve(arch, state=state, build=build, reason=reason, history=history))


def build_again(connection: Connection, arch: JobArch, request: int, now: float) -> JobArch:
    """
    *arch*, which failed or was killed, waiting for the build of *request*.
    """
    return see(connection, evolve(arch, request=request), ArchState.WAITING, now, build=None, reason="")


def prune(connection: Connection, kept: int = MOST_FINISHED, most: int = 2 * PRUNED_EVERY) -> int:
    """
    Forget at most *most* of the jobs that have ended, all but the newest *kept*; returns their number.
    """
    old = _OLD.all(connection, kept=kept, most=most)
    for id in old:
        for statement in _DROP:
            statement.run(connection, job=id)
    return len(old)


def _replace(connection: Connection, arch: JobArch) -> JobArch:
    _SET_ARCH.run(
        connection,
        of_job=arch.job,
        called=arch.architecture,
        with_request=arch.request,
        with_build=arch.build,
        to_state=arch.state.value,
        why=arch.reason,
        so_far=to_json(arch.history),
    )
    return arch


def _longer(history: History, state: str, now: float) -> History:
    longer = (*history, (str(state), now))
    return longer if len(longer) <= MOST_STATES else (longer[0], *longer[-MOST_STATES + 1 :])


def _held(connection: Connection, builds: Collection[int]) -> Collection[int]:
    return set(_HELD.all(connection)).intersection(builds)


BUILDS_OF_JOBS = RetentionHolder("builds of jobs of packages that have not ended", _held)
