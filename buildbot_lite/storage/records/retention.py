"""
Retention in the records: which builds are old enough to lose their files, or to be removed.

Queries read pages in the order of the builds' ids, so that a large farm costs many short ones.  `removal` removes.
"""

from collections.abc import Callable, Collection, Iterable, Sequence

from attrs import frozen
from sqlalchemy import (
    Connection,
    ScalarSelect,
    Select,
    Table,
    bindparam,
    exists,
    func,
    select,
)

from .. import schema
from ..statements import Query
from . import states
from .marks import why_kept

_builds = schema.builds
_requests = schema.requests
_buildsets = schema.buildsets
_streams = schema.streams
_inputs = schema.inputs

OWNER = "retention"
"""The owner of the state: ``log`` and ``artifact``, directories to be removed; ``logs_up_to``, a build's id."""
PAGE = 500
"""Builds that one query looks at."""

_NO_BOUND = 1 << 62


@frozen
class OldBuild:
    """
    A finished build: *started*, *finished* in seconds since 1970; *rows*: of its files, or of all that it recorded.

    *kept*: it has a mark, or its parent's build is unfinished, or it is the newest of its builder, whose number the
    next build counts from.
    """

    id: int
    builder: str
    number: int
    started: float
    finished: float
    rows: int
    kept: bool


@frozen
class RetentionHolder:
    """
    Something that needs old builds.  *name*: unique among holders.  *held*: returns which of the given
    builds, by id, must stay with their files; called in the transaction that would remove them.
    """

    name: str
    held: Callable[[Connection, Collection[int]], Collection[int]]


def not_held(connection: Connection, builds: Sequence[OldBuild], holders: Iterable[RetentionHolder]) -> list[OldBuild]:
    """
    Those of *builds* that none of the *holders* needs, and that have got no mark since they were found.
    """
    ids = [build.id for build in builds]
    held = {id for holder in holders for id in holder.held(connection, ids)}
    return [build for build in builds if build.id not in held and why_kept(connection, build.id) is None]


def _old(id: int, builder: str, number: int, started: float, finished: float, rows: int, kept: int) -> OldBuild:
    return OldBuild(id, builder, number, started, finished, rows, bool(kept))


_parents = _builds.alias("parents")
_of_unfinished = exists(
    select(_parents.c.id)
    .join(_buildsets, _buildsets.c.parent_build == _parents.c.id)
    .join(_requests, _requests.c.buildset == _buildsets.c.id)
    .where(_requests.c.id == _builds.c.request, _parents.c.finished.is_(None))
)
_marked = _builds.c.kept.is_not(None) | _of_unfinished


def _with_files(kind: str) -> Select[tuple[int, str, int, float, float, int, int]]:
    return (
        select(
            _builds.c.id,
            _builds.c.builder,
            _builds.c.number,
            _builds.c.started,
            _builds.c.finished,
            func.count(),
            _marked,
        )
        .join_from(_streams, _builds, _builds.c.id == _streams.c.build)
        .where(_streams.c.build > bindparam("after"), _streams.c.kind == kind, _builds.c.finished.is_not(None))
        .group_by(_streams.c.build)
        .order_by(_streams.c.build)
        .limit(PAGE)
    )


_newer = _builds.alias("newer")
_is_newest = ~exists(
    select(_newer.c.id).where(_newer.c.builder == _builds.c.builder, _newer.c.number > _builds.c.number)
)
_unfinished_request = exists(
    select(_requests.c.id).where(_requests.c.id == _builds.c.request, _requests.c.finished.is_(None))
)


def _rows_in(table: Table) -> ScalarSelect[int]:
    return select(func.count()).select_from(table).where(table.c.build == _builds.c.id).scalar_subquery()


_WITH_FILES = {kind: Query(_with_files(kind), _old) for kind in ("log", "artifact")}
_FINISHED = Query(
    select(
        _builds.c.id,
        _builds.c.builder,
        _builds.c.number,
        _builds.c.started,
        _builds.c.finished,
        _rows_in(schema.journal) + _rows_in(schema.remarks) + _rows_in(schema.steps),
        _marked | _is_newest | _unfinished_request,
    )
    .where(_builds.c.id > bindparam("after"), _builds.c.finished.is_not(None))
    .order_by(_builds.c.id)
    .limit(PAGE),
    _old,
)
_SIZES = Query(
    select(_streams.c.build, _builds.c.builder, func.coalesce(func.sum(_streams.c.length), 0))
    .join_from(_streams, _builds, _builds.c.id == _streams.c.build)
    .where(_streams.c.build < bindparam("before"), _streams.c.kind == "log")
    .group_by(_streams.c.build)
    .order_by(_streams.c.build.desc())
    .limit(PAGE),
    lambda build, builder, length: (build, builder, length),
)
_NEWEST_NUMBER = Query(
    select(_builds.c.builder, func.max(_builds.c.number)).group_by(_builds.c.builder),
    lambda builder, number: (builder, number),
)


def with_files(connection: Connection, kind: str, after: int) -> list[OldBuild]:
    """
    At most `PAGE` finished builds with ids above *after* that have files of a *kind*, log or artifact; oldest first.
    """
    return _WITH_FILES[kind].all(connection, after=after)


def finished(connection: Connection, after: int) -> list[OldBuild]:
    """
    At most `PAGE` finished builds with ids above *after*, oldest first.
    """
    return _FINISHED.all(connection, after=after)


def log_sizes(connection: Connection, before: int | None) -> list[tuple[int, str, int]]:
    """
    At most `PAGE` builds with logs, newest first, with ids below *before*: id, builder, bytes.
    """
    return _SIZES.all(connection, before=_NO_BOUND if before is None else before)


def newest_numbers(connection: Connection) -> dict[str, int]:
    """
    The number of each builder's newest build.
    """
    return dict(_NEWEST_NUMBER.all(connection))


_parent = _builds.alias("parent")
_BUILDSETS_WITHOUT_BUILDS = Query(
    select(_buildsets.c.id)
    .where(
        _buildsets.c.id > bindparam("after"),
        _buildsets.c.finished < bindparam("before"),
        ~exists(
            select(_builds.c.id)
            .join(_requests, _requests.c.id == _builds.c.request)
            .where(_requests.c.buildset == _buildsets.c.id)
        ),
        ~exists(select(_parent.c.id).where(_parent.c.id == _buildsets.c.parent_build, _parent.c.finished.is_(None))),
    )
    .order_by(_buildsets.c.id)
    .limit(PAGE),
    int,
)


def buildsets_without_builds(connection: Connection, after: int, before: float) -> list[int]:
    """
    At most `PAGE` buildsets with ids above *after* that finished before *before* and have no build (any more).
    """
    return _BUILDSETS_WITHOUT_BUILDS.all(connection, after=after, before=before)


_UNUSED_INPUTS = Query(
    select(_inputs.c.id).where(
        _inputs.c.stored < bindparam("before"),
        ~_inputs.c.id.in_(select(_buildsets.c.input).where(_buildsets.c.input.is_not(None))),
    ),
    int,
)
_SUMS = Query(select(_inputs.c.sha256).distinct(), str)


def unused_inputs(connection: Connection, before: float) -> list[int]:
    """
    The inputs stored before *before* that no buildset has.  None of them can get one: a new buildset has a new input,
    or that of another buildset.
    """
    return _UNUSED_INPUTS.all(connection, before=before)


def input_sums(connection: Connection) -> Collection[str]:
    """
    The SHA-256 of every input that is recorded.
    """
    return frozenset(_SUMS.all(connection))


_OLDEST_BUILD = Query(select(_builds.c.started).order_by(_builds.c.id).limit(1), float)
_OLDEST_LOG = Query(
    select(_builds.c.started)
    .where(_builds.c.id == select(func.min(_streams.c.build)).where(_streams.c.kind == "log").scalar_subquery())
    .limit(1),
    float,
)


def oldest(connection: Connection) -> tuple[float | None, float | None]:
    """
    When the oldest recorded build started, and the oldest that has a log, in seconds since 1970.
    """
    return _OLDEST_BUILD.first(connection), _OLDEST_LOG.first(connection)


def logs_removed(connection: Connection, build: int) -> bool:
    """
    Whether logs of *build*, if it had any, were removed.
    """
    state = states.get(connection, OWNER) or {}
    return build <= int(state.get("logs_up_to", 0)) and why_kept(connection, build) is None


Slices = Sequence[Sequence[OldBuild]]


def slices(builds: Sequence[OldBuild], rows: Callable[[OldBuild], int], most: int) -> Slices:
    """
    *builds* in groups with at most *most* rows each, as *rows* counts them, and at least one build.
    """
    found: list[list[OldBuild]] = []
    room = 0
    for build in builds:
        if not found or rows(build) > room:
            found.append([])
            room = most
        found[-1].append(build)
        room -= rows(build)
    return found
