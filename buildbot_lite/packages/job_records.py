"""
Jobs of packages in the farm's database: a row for each job, and one for each of its architectures.

A job exists before its builds begin, waits after them (for a signature, perhaps for days), and has further builds after
a ``requeue``.  Each state that it had is in its history, with the time.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from attrs import asdict, evolve, field, frozen
from sqlalchemy import Connection, bindparam, delete, exists, func, or_, select, update

from ..storage import schema
from ..storage.records import feed
from ..storage.records.retention import RetentionHolder
from ..storage.statements import Query, Statement, inserting, selecting, to_json
from .job_states import ARCH_ENDS, ARCH_TRANSITIONS, ENDS, JOB_TRANSITIONS, ArchState, JobState

EVENT = "package.job"
"""The kind of the event in the feed for a new state of a job.  Its body has "job", "state" and "reason"."""
MOST_STATES = 60
"""States in one history; of a longer one the first and the newest are kept."""
MOST_FINISHED = 20_000
"""Jobs that have ended and are remembered."""

_jobs, _arches = schema.package_jobs, schema.package_job_arches

SOURCE = "source"
"""The architecture, as Debian calls it, of the build that makes the source package of a job from a git repository."""

PRUNED_EVERY = 100
"""New jobs after which old ones are forgotten."""

History = tuple[tuple[str, float], ...]
"""States and the times, in seconds since 1970, when they began."""


@frozen
class Origin:
    """
    The origin of a source package that the farm made: *revision* in the git repository at the address *repository*.
    *commit*: the commit that was checked out; "" until then.
    """

    repository: str
    revision: str
    commit: str = ""


@frozen
class JobArch:
    """
    One architecture of a job.

    *builder*, *request*, *build* (a row): what builds it; "" and None for one that is skipped.  *reason*: why it is
    skipped, failed, or was killed.
    """

    job: int
    architecture: str
    place: int
    builder: str
    request: int | None
    build: int | None
    state: ArchState
    reason: str
    history: History


@frozen
class Job:
    """
    A job: one source package at one target.

    *version*: with epoch and release.  *submitter*: the label of the grant *by_grant*, or the target's name.
    *buildset*: the first one that builds its packages; until there is a source package, the one that makes it.
    *reason*: why it failed, was killed, or cannot go on.  Times are seconds since 1970; *changed*: since when it is in
    its state.  *origin*: None if the source package was submitted.  Until the farm has made the source package,
    *version* is "at" and the revision.  *after_job*: the number of the job before it in its chain; None: it is built
    after no other.
    """

    id: int
    target: str
    name: str
    version: str
    submitter: str
    by_grant: int | None
    scratch: bool
    priority: int
    buildset: int
    state: JobState
    reason: str
    created: float
    changed: float
    finished: float | None
    history: History
    after_job: int | None = None
    origin: Origin | None = None
    arches: tuple[JobArch, ...] = ()

    @property
    def title(self) -> str:
        """
        Number, package and version, for people.
        """
        return f"job {self.id}: {self.name} {self.version}"

    @property
    def built(self) -> tuple[JobArch, ...]:
        """
        The architectures that are not skipped.
        """
        left_out = (ArchState.SKIPPED,)
        return tuple(each for each in self.arches if each.state not in left_out and each.architecture != SOURCE)

    @property
    def source(self) -> JobArch | None:
        """
        The build that makes the source package; None where that was submitted.
        """
        return next((each for each in self.arches if each.architecture == SOURCE), None)

    @property
    def ordered(self) -> tuple[JobArch, ...]:
        """
        All architectures and the source package for which builds were requested.
        """
        return self.built if self.source is None else (self.source, *self.built)


@frozen(kw_only=True)
class NewJob:
    """
    A job to record.  *builders*: architecture → builder and request.  *skipped*: architecture → reason.  *origin*: for
    one whose source is to be made first, or was made from git for another job.  *after_job*: the job before it in
    its chain.
    """

    target: str
    name: str
    version: str
    submitter: str
    by_grant: int | None
    buildset: int
    builders: Mapping[str, tuple[str, int]]
    skipped: Mapping[str, str] = field(factory=dict)
    scratch: bool = False
    priority: int = 0
    after_job: int | None = None
    origin: Origin | None = None


@frozen(kw_only=True)
class JobFilter:
    """
    Which jobs a list has; None: any.  *active*: only those that have not ended.
    """

    target: str | None = None
    state: str | None = None
    submitter: str | None = None
    by_grant: int | None = None
    active: bool = False


def _history(text: str) -> History:
    return tuple((str(state), float(at)) for state, at in json.loads(text))


def _origin_text(origin: Origin | None) -> str:
    return "" if origin is None else to_json(asdict(origin))


def _job(*row: Any) -> Job:
    values = dict(zip(_JOB_FIELDS, row, strict=True))
    values["scratch"] = bool(values["scratch"])
    values["state"] = JobState(values["state"])
    values["history"] = _history(values["history"])
    values["origin"] = Origin(**json.loads(values["origin"])) if values["origin"] else None
    return Job(**values)


def _arch(*row: Any) -> JobArch:
    job, architecture, place, builder, request, build, state, reason, history = row
    return JobArch(job, architecture, place, builder, request, build, ArchState(state), reason, _history(history))


_JOB_FIELDS = [column.name for column in _jobs.columns]
_ADD = Statement(inserting(_jobs, *_JOB_FIELDS[1:]).returning(_jobs.c.id))
_ADD_ARCH = Statement(inserting(_arches, *[column.name for column in _arches.columns]))
_SELECT = select(*_jobs.columns)
_GET = Query(_SELECT.where(_jobs.c.id == bindparam("id")), _job)
_ARCHES = Query(selecting(_arches, JobArch).where(_arches.c.job == bindparam("job")), _arch)
_OF_REQUEST = Query(select(_arches.c.job).where(_arches.c.request == bindparam("request")), int)
_UNFINISHED = Query(_SELECT.where(_jobs.c.finished.is_(None)).order_by(_jobs.c.id), _job)
_IN_STATE = Query(
    _SELECT.where(
        _jobs.c.target == bindparam("of_target"),
        _jobs.c.state == bindparam("in_state"),
        _jobs.c.finished.is_(None),
        _jobs.c.id > bindparam("after"),
    )
    .order_by(_jobs.c.id)
    .limit(bindparam("most")),
    _job,
)
_KILLED_UNFINISHED = Query(
    _SELECT.where(
        _jobs.c.state == JobState.KILLED.value,
        exists(
            select(_arches.c.job).where(
                _arches.c.job == _jobs.c.id, *[_arches.c.state != state.value for state in sorted(ARCH_ENDS)]
            )
        ),
    ).order_by(_jobs.c.id),
    _job,
)
_PAGE = Query(
    _SELECT.where(
        _jobs.c.id < bindparam("before"),
        *[
            or_(bindparam(column.name).is_(None), column == bindparam(column.name))
            for column in (_jobs.c.target, _jobs.c.state, _jobs.c.submitter, _jobs.c.by_grant)
        ],
        or_(bindparam("active").is_(None), _jobs.c.finished.is_(None)),
    )
    .order_by(_jobs.c.id.desc())
    .limit(bindparam("most")),
    _job,
)
_COUNTS = Query(
    select(_jobs.c.target, _jobs.c.state, func.count())
    .where(_jobs.c.finished.is_(None))
    .group_by(_jobs.c.target, _jobs.c.state),
    lambda target, state, count: (target, state, count),
)
_SET = Statement(
    update(_jobs)
    .where(_jobs.c.id == bindparam("which"))
    .values(
        state=bindparam("to_state"),
        reason=bindparam("why"),
        changed=bindparam("now"),
        finished=bindparam("ended"),
        history=bindparam("so_far"),
    )
)
_SET_SOURCE = Statement(
    update(_jobs)
    .where(_jobs.c.id == bindparam("which"))
    .values(
        name=bindparam("to_name"),
        version=bindparam("to_version"),
        buildset=bindparam("with_buildset"),
        origin=bindparam("of_origin"),
    )
)
_SET_REASON = Statement(update(_jobs).where(_jobs.c.id == bindparam("which")).values(reason=bindparam("why")))
_SET_ARCH = Statement(
    update(_arches)
    .where(_arches.c.job == bindparam("of_job"), _arches.c.architecture == bindparam("called"))
    .values(
        request=bindparam("with_request"),
        build=bindparam("with_build"),
        state=bindparam("to_state"),
        reason=bindparam("why"),
        history=bindparam("so_far"),
    )
)
_HELD = Query(
    select(_arches.c.build).where(
        _arches.c.job.in_(select(_jobs.c.id).where(_jobs.c.finished.is_(None))), _arches.c.build.is_not(None)
    ),
    int,
)
_OLD = Query(
    select(_jobs.c.id)
    .where(_jobs.c.finished.is_not(None))
    .order_by(_jobs.c.id.desc())
    .limit(bindparam("most"))
    .offset(bindparam("kept")),
    int,
)
_DROP = [
    Statement(delete(_arches).where(_arches.c.job == bindparam("job"))),
    Statement(delete(_jobs).where(_jobs.c.id == bindparam("job"))),
]
_NO_BOUND = 1 << 62


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
        "origin": _origin_text(new.origin),
    }
    id = _ADD.number(connection, **values)
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
        of_origin=_origin_text(made.origin),
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
    return None if job is None else _with_arches(connection, job)


def of_request(connection: Connection, request: int) -> Job | None:
    """
    The job that *request* builds an architecture of.
    """
    id = _OF_REQUEST.first(connection, request=request)
    return None if id is None else get(connection, id)


def unfinished(connection: Connection) -> list[Job]:
    """
    All jobs that have not ended, oldest first.
    """
    return [_with_arches(connection, job) for job in _UNFINISHED.all(connection)]


def in_state(
    connection: Connection, target: str, state: JobState, *, after: int = 0, most: int = _NO_BOUND
) -> list[Job]:
    """
    At most *most* jobs of *target* in *state*, with numbers above *after*, oldest first.  *state* is one in which a job
    has not ended.
    """
    found = _IN_STATE.all(connection, of_target=target, in_state=state.value, after=after, most=most)
    return [_with_arches(connection, job) for job in found]


def killed_unfinished(connection: Connection) -> list[Job]:
    """
    The jobs that were killed and have builds that have not ended.
    """
    return [_with_arches(connection, job) for job in _KILLED_UNFINISHED.all(connection)]


def page(connection: Connection, wanted: JobFilter, most: int, before: int | None = None) -> list[Job]:
    """
    At most *most* jobs, newest first; with *before*, only those with smaller numbers.
    """
    found = _PAGE.all(
        connection,
        target=wanted.target,
        state=wanted.state,
        submitter=wanted.submitter,
        by_grant=wanted.by_grant,
        active=1 if wanted.active else None,
        most=most,
        before=_NO_BOUND if before is None else before,
    )
    return [_with_arches(connection, job) for job in found]


def counts(connection: Connection) -> dict[str, dict[str, int]]:
    """
    The number of unfinished jobs, by target and state.
    """
    found: dict[str, dict[str, int]] = {}
    for target, state, count in _COUNTS.all(connection):
        found.setdefault(target, {})[state] = count
    return found


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


def _with_arches(connection: Connection, job: Job) -> Job:
    return evolve(job, arches=tuple(sorted(_ARCHES.all(connection, job=job.id), key=lambda each: each.place)))


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


def arches_by_name(job: Job) -> Mapping[str, JobArch]:
    """
    The architectures of *job* by name.
    """
    return {each.architecture: each for each in job.arches}


def names_of(arches: Sequence[JobArch]) -> str:
    """
    The names of *arches*, for a sentence.
    """
    return ", ".join(each.architecture for each in arches)
