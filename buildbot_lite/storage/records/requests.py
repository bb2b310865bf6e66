"""
Buildsets, and their requests: one for each builder.

A buildset is finished when its last request is; its result is the worst result of its requests.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen
from sqlalchemy import Connection, bindparam, func, select, update

from ...model.results import Result, worst
from .. import schema
from ..statements import (
    Query,
    Statement,
    inserting,
    selecting,
    to_json,
)

_builds = schema.builds
_buildsets = schema.buildsets
_requests = schema.requests


@frozen
class Buildset:
    """
    The row of a buildset: one submission.

    *source*: branch, revision, repository, project.  *properties*: name → [value, source].  *input*: id of the
    submitted input.  *parent*: the journal entry of the Trigger that submitted it; *parent_build*: that Trigger's
    build.  *by_grant*: id of the grant of the FURL that submitted it; *for_grant*: the same of the buildset at the root
    of its triggers.
    """

    id: int
    scheduler: str
    reason: str
    submitted: float
    source: Mapping[str, Any]
    properties: Mapping[str, Any]
    input: int | None = None
    parent: str | None = None
    finished: float | None = None
    result: Result | None = None
    by_grant: int | None = None
    parent_build: int | None = None
    for_grant: int | None = None

    @property
    def submitter(self) -> int | None:
        """
        The grant of the FURL that submitted it, or the buildset at the root of its triggers; None: a scheduler did.
        """
        return self.for_grant if self.by_grant is None else self.by_grant


@frozen
class Request:
    """
    The row of a request: one build of *builder*.  *retries*: so far.  *not_before*: earliest start of the next attempt,
    in seconds since 1970.  *reason*: of the result, for people.
    """

    id: int
    buildset: int
    builder: str
    submitted: float
    priority: int = 0
    retries: int = 0
    not_before: float = 0.0
    finished: float | None = None
    result: Result | None = None
    reason: str = ""


@frozen
class SubmittedBuildset:
    """
    A buildset and its requests, in the order of its builders.  *title*: a phrase for its submitter, or "".  *number*:
    by which the submitter may name it, if there is one.
    """

    buildset: Buildset
    requests: tuple[Request, ...]
    title: str = ""
    number: int | None = None


def _buildset(*row: Any) -> Buildset:
    id, scheduler, reason, submitted, source, properties, input, parent, finished, result, *by = row
    values = json.loads(properties)
    ended = None if result is None else Result(result)
    return Buildset(id, scheduler, reason, submitted, json.loads(source), values, input, parent, finished, ended, *by)


def request_from_row(*row: Any) -> Request:
    """
    The request with these columns, in the order of the fields.
    """
    id, buildset, builder, submitted, priority, retries, not_before, finished, result, reason = row
    ended = None if result is None else Result(result)
    return Request(id, buildset, builder, submitted, priority, retries, not_before, finished, ended, reason)


_ADD_BUILDSET = Statement(
    inserting(
        _buildsets,
        "scheduler",
        "reason",
        "submitted",
        "source",
        "properties",
        "input",
        "parent",
        "by_grant",
        "parent_build",
        "for_grant",
    ).returning(_buildsets.c.id)
)
_ADD_REQUEST = Statement(inserting(_requests, "buildset", "builder", "submitted", "priority").returning(_requests.c.id))
_GET = Query(selecting(_requests, Request).where(_requests.c.id == bindparam("id")), request_from_row)
_BUILDSET = Query(selecting(_buildsets, Buildset).where(_buildsets.c.id == bindparam("id")), _buildset)
_BY_PARENT = Query(selecting(_buildsets, Buildset).where(_buildsets.c.parent == bindparam("parent")), _buildset)
_OF_PARENT = Query(
    selecting(_buildsets, Buildset).where(_buildsets.c.parent_build == bindparam("build")).order_by(_buildsets.c.id),
    _buildset,
)
_SUBMITTER_OF_BUILD = Query(
    select(func.coalesce(_buildsets.c.by_grant, _buildsets.c.for_grant)).where(
        _builds.c.id == bindparam("build"), _requests.c.id == _builds.c.request, _buildsets.c.id == _requests.c.buildset
    ),
    lambda grant: grant,
)
_OF_BUILDSET = Query(
    selecting(_requests, Request).where(_requests.c.buildset == bindparam("buildset")).order_by(_requests.c.id),
    request_from_row,
)
_SUBMITTED_BY = Query(
    select(_buildsets.c.id, _buildsets.c.scheduler)
    .where(_buildsets.c.id > bindparam("after"))
    .order_by(_buildsets.c.id)
    .limit(bindparam("most")),
    lambda id, scheduler: (id, scheduler),
)
_LAST_BUILDSET = Statement(select(func.coalesce(func.max(_buildsets.c.id), 0)))
_UNFINISHED = Query(
    selecting(_requests, Request).where(_requests.c.finished.is_(None)).order_by(_requests.c.id), request_from_row
)
_BUILDSETS_UNFINISHED = Query(
    selecting(_buildsets, Buildset)
    .where(_buildsets.c.id.in_(select(_requests.c.buildset).where(_requests.c.finished.is_(None))))
    .order_by(_buildsets.c.id),
    _buildset,
)
_NEWEST = Query(
    selecting(_requests, Request)
    .where(_requests.c.id < bindparam("before"))
    .order_by(_requests.c.id.desc())
    .limit(bindparam("most")),
    request_from_row,
)
_SUBMISSION_TIMES = Query(
    select(_buildsets.c.submitted)
    .where(_buildsets.c.by_grant == bindparam("by_grant"), _buildsets.c.submitted > bindparam("since"))
    .order_by(_buildsets.c.submitted),
    float,
)
_GRANTED = Query(
    select(_buildsets.c.id, _buildsets.c.by_grant).where(
        _buildsets.c.id >= bindparam("first"), _buildsets.c.by_grant.is_not(None)
    ),
    lambda id, by_grant: (id, by_grant),
)
_FINISH = Statement(
    update(_requests)
    .where(_requests.c.id == bindparam("which"), _requests.c.finished.is_(None))
    .values(finished=bindparam("now"), result=bindparam("with_result"), reason=bindparam("because"))
    .returning(_requests.c.buildset)
)
_REQUEUE = Statement(
    update(_requests)
    .where(_requests.c.id == bindparam("which"), _requests.c.finished.is_(None))
    .values(retries=_requests.c.retries + 1, not_before=bindparam("until"))
)
_COLLAPSE = Statement(
    update(_requests)
    .where(_requests.c.id == bindparam("which"), _requests.c.finished.is_(None))
    .values(collapsed_into=bindparam("into"))
)
_COLLAPSED_INTO = Query(select(_requests.c.collapsed_into).where(_requests.c.id == bindparam("id")), lambda into: into)
_RESULTS = Query(
    select(_requests.c.finished, _requests.c.result).where(_requests.c.buildset == bindparam("buildset")),
    lambda finished, result: None if finished is None else Result(result),
)
_FINISH_BUILDSET = Query(
    update(_buildsets)
    .where(_buildsets.c.id == bindparam("which"))
    .values(finished=bindparam("now"), result=bindparam("with_result"))
    .returning(*selecting(_buildsets, Buildset).selected_columns),
    _buildset,
)

_NO_BOUND = 1 << 62


def submit(
    connection: Connection,
    *,
    scheduler: str,
    builders: Sequence[str],
    reason: str,
    now: float,
    source: Mapping[str, Any] | None = None,
    properties: Mapping[str, Any] | None = None,
    input: int | None = None,
    parent: str | None = None,
    priority: int = 0,
    by_grant: int | None = None,
    parent_build: int | None = None,
) -> SubmittedBuildset:
    """
    Add a buildset with a request for each of *builders*.

    With a *parent* it is submitted only once: a second call returns the buildset of the first one.  With a
    *parent_build* it has that build's submitter.
    """
    if parent is not None:
        earlier = by_parent(connection, parent)
        if earlier is not None:
            return SubmittedBuildset(earlier, tuple(of_buildset(connection, earlier.id)))
    source = dict(source or {})
    properties = dict(properties or {})
    for_grant = None if parent_build is None else _SUBMITTER_OF_BUILD.first(connection, build=parent_build)
    id = _ADD_BUILDSET.number(
        connection,
        scheduler=scheduler,
        reason=reason,
        submitted=now,
        source=to_json(source),
        properties=to_json(properties),
        input=input,
        parent=parent,
        by_grant=by_grant,
        parent_build=parent_build,
        for_grant=for_grant,
    )
    requests = tuple(
        Request(
            _ADD_REQUEST.number(connection, buildset=id, builder=builder, submitted=now, priority=priority),
            id,
            builder,
            now,
            priority,
        )
        for builder in builders
    )
    buildset = Buildset(
        id,
        scheduler,
        reason,
        now,
        source,
        properties,
        input,
        parent,
        by_grant=by_grant,
        parent_build=parent_build,
        for_grant=for_grant,
    )
    return SubmittedBuildset(buildset, requests)


def submission_times(connection: Connection, by_grant: int, since: float) -> list[float]:
    """
    The times of the submissions with a grant after *since*, oldest first.
    """
    return _SUBMISSION_TIMES.all(connection, by_grant=by_grant, since=since)


def granted_buildsets(connection: Connection, first: int) -> dict[int, int]:
    """
    The buildsets from id *first* that were submitted with a FURL: id → grant.
    """
    return dict(_GRANTED.all(connection, first=first))


def get(connection: Connection, id: int) -> Request | None:
    """
    The request with that *id*.
    """
    return _GET.first(connection, id=id)


def buildset(connection: Connection, id: int) -> Buildset | None:
    """
    The buildset with that *id*.
    """
    return _BUILDSET.first(connection, id=id)


def by_parent(connection: Connection, parent: str) -> Buildset | None:
    """
    The buildset that the journal entry *parent* submitted.
    """
    return _BY_PARENT.first(connection, parent=parent)


def of_parent(connection: Connection, build: int) -> list[Buildset]:
    """
    The buildsets that the build with the id *build* submitted, oldest first.
    """
    return _OF_PARENT.all(connection, build=build)


def submitted_after(connection: Connection, buildset: int, most: int = 1000) -> list[tuple[int, str]]:
    """
    At most *most* buildsets with a number above *buildset*, oldest first: the number, and the scheduler.
    """
    return _SUBMITTED_BY.all(connection, after=buildset, most=most)


def last_buildset(connection: Connection) -> int:
    """
    The number of the newest buildset; 0 when there is none.
    """
    return _LAST_BUILDSET.number(connection)


def of_buildset(connection: Connection, buildset: int) -> list[Request]:
    """
    The requests of *buildset*, in the order of its builders.
    """
    return _OF_BUILDSET.all(connection, buildset=buildset)


def unfinished(connection: Connection) -> list[Request]:
    """
    All requests without a result, oldest first.
    """
    return _UNFINISHED.all(connection)


def buildsets_unfinished(connection: Connection) -> list[Buildset]:
    """
    The buildsets of all `unfinished` requests.
    """
    return _BUILDSETS_UNFINISHED.all(connection)


def newest(connection: Connection, most: int = 50, before: int | None = None) -> list[Request]:
    """
    At most *most* requests, newest first; with *before* only those with a smaller id.
    """
    return _NEWEST.all(connection, most=most, before=_NO_BOUND if before is None else before)


def requeue(connection: Connection, id: int, not_before: float) -> bool:
    """
    Count a retry, which starts at *not_before* or later.  False when the request is finished.
    """
    return bool(_REQUEUE.changed(connection, which=id, until=not_before))


def finish(connection: Connection, id: int, result: Result, now: float, reason: str = "") -> Buildset | None:
    """
    Record the request's result.  Returns the buildset if that finishes it too; otherwise None.

    A finished request does not change.
    """
    of = _FINISH.number(connection, which=id, now=now, with_result=int(result), because=reason)
    if not of:
        return None
    results = _RESULTS.all(connection, buildset=of)
    if None in results:
        return None
    worst_of_all = worst(result for result in results if result is not None)
    (buildset,) = _FINISH_BUILDSET.all(connection, which=of, now=now, with_result=int(worst_of_all))
    return buildset


def collapse(connection: Connection, id: int, into: int) -> None:
    """
    Record that the build of the request *into* serves the request *id*, too.
    """
    _COLLAPSE.run(connection, which=id, into=into)


def collapsed_into(connection: Connection, id: int) -> int | None:
    """
    The request whose build serves the request *id*, too, if there is one.
    """
    into = _COLLAPSED_INTO.first(connection, id=id)
    return None if into is None else int(into)


def cancel(connection: Connection, id: int, now: float, reason: str) -> bool:
    """
    Finish the request with the result CANCELLED.  False when it was finished before.
    """
    request = get(connection, id)
    if request is None or request.finished is not None:
        return False
    finish(connection, id, Result.CANCELLED, now, reason)
    return True
