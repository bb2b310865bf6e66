"""
The requests of buildsets: one for each builder.

A buildset is finished when its last request is; its result is the worst result of its requests.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen
from sqlalchemy import Connection, bindparam, select, update

from ...model.results import BY_NUMBER, Result, worst
from .. import schema
from ..statements import (
    Query,
    Statement,
    inserting,
    selecting,
)
from . import buildsets
from .buildsets import Buildset

_requests = schema.requests


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


def request_from_row(*row: Any) -> Request:
    """
    The request with these columns, in the order of the fields.
    """
    id, buildset, builder, submitted, priority, retries, not_before, finished, result, reason = row
    ended = BY_NUMBER[result]
    return Request(id, buildset, builder, submitted, priority, retries, not_before, finished, ended, reason)


_ADD = Statement(inserting(_requests, "buildset", "builder", "submitted", "priority").returning(_requests.c.id))
_GET = Query(selecting(_requests, Request).where(_requests.c.id == bindparam("id")), request_from_row)
_OF_BUILDSET = Query(
    selecting(_requests, Request).where(_requests.c.buildset == bindparam("buildset")).order_by(_requests.c.id),
    request_from_row,
)
_UNFINISHED = Query(
    selecting(_requests, Request).where(_requests.c.finished.is_(None)).order_by(_requests.c.id), request_from_row
)
_NEWEST = Query(
    selecting(_requests, Request)
    .where(_requests.c.id < bindparam("before"))
    .order_by(_requests.c.id.desc())
    .limit(bindparam("most")),
    request_from_row,
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
    .values(retries=_requests.c.retries + bindparam("counted"), not_before=bindparam("until"))
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
        earlier = buildsets.by_parent(connection, parent)
        if earlier is not None:
            return SubmittedBuildset(earlier, tuple(of_buildset(connection, earlier.id)))
    buildset = buildsets.add(
        connection,
        Buildset(
            id=0,
            scheduler=scheduler,
            reason=reason,
            submitted=now,
            source=dict(source or {}),
            properties=dict(properties or {}),
            input=input,
            parent=parent,
            by_grant=by_grant,
            parent_build=parent_build,
        ),
    )
    requests = tuple(_add(connection, buildset, builder, priority) for builder in builders)
    return SubmittedBuildset(buildset, requests)


def _add(connection: Connection, of: Buildset, builder: str, priority: int) -> Request:
    id = _ADD.number(connection, buildset=of.id, builder=builder, submitted=of.submitted, priority=priority)
    return Request(id, of.id, builder, of.submitted, priority)


def get(connection: Connection, id: int) -> Request | None:
    """
    The request with that *id*.
    """
    return _GET.first(connection, id=id)


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


def newest(connection: Connection, most: int = 50, before: int | None = None) -> list[Request]:
    """
    At most *most* requests, newest first; with *before* only those with a smaller id.
    """
    return _NEWEST.all(connection, most=most, before=_NO_BOUND if before is None else before)


def requeue(connection: Connection, id: int, not_before: float, *, counts: bool = True) -> bool:
    """
    Record a retry, which starts at *not_before* or later; *counts*: whether it is counted.  False when the request is
    finished.
    """
    return bool(_REQUEUE.changed(connection, which=id, until=not_before, counted=int(counts)))


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
    return buildsets.finish(connection, of, worst_of_all, now)


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
