"""
Buildsets: what was submitted at a time, for one or more builders.
"""

from collections.abc import Mapping
from typing import Any

from attrs import evolve, frozen
from sqlalchemy import Connection, bindparam, func, select, update

from ...model.results import BY_NUMBER, Result
from .. import schema
from ..statements import (
    Query,
    Statement,
    from_json,
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


def _from_row(*row: Any) -> Buildset:
    id, scheduler, reason, submitted, source, properties, input, parent, finished, result, *by = row
    values = from_json(properties)
    ended = BY_NUMBER[result]
    return Buildset(id, scheduler, reason, submitted, from_json(source), values, input, parent, finished, ended, *by)


_ADD = Statement(
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
_SET_PROPERTIES = Statement(
    update(_buildsets).where(_buildsets.c.id == bindparam("which")).values(properties=bindparam("all_of_them"))
)
_GET = Query(selecting(_buildsets, Buildset).where(_buildsets.c.id == bindparam("id")), _from_row)
_BY_PARENT = Query(selecting(_buildsets, Buildset).where(_buildsets.c.parent == bindparam("parent")), _from_row)
_SUBMITTER_OF_BUILD = Query(
    select(func.coalesce(_buildsets.c.by_grant, _buildsets.c.for_grant)).where(
        _builds.c.id == bindparam("build"), _requests.c.id == _builds.c.request, _buildsets.c.id == _requests.c.buildset
    ),
    lambda grant: grant,
)
_AFTER = Query(
    select(_buildsets.c.id, _buildsets.c.scheduler)
    .where(_buildsets.c.id > bindparam("after"))
    .order_by(_buildsets.c.id)
    .limit(bindparam("most")),
    lambda id, scheduler: (id, scheduler),
)
_LAST = Statement(select(func.coalesce(func.max(_buildsets.c.id), 0)))
_UNFINISHED = Query(
    selecting(_buildsets, Buildset)
    .where(_buildsets.c.id.in_(select(_requests.c.buildset).where(_requests.c.finished.is_(None))))
    .order_by(_buildsets.c.id),
    _from_row,
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
_FINISH = Query(
    update(_buildsets)
    .where(_buildsets.c.id == bindparam("which"))
    .values(finished=bindparam("now"), result=bindparam("with_result"))
    .returning(*selecting(_buildsets, Buildset).selected_columns),
    _from_row,
)


def add(connection: Connection, new: Buildset) -> Buildset:
    """
    Add *new*, whose *id* is set here.  With a *parent_build* it has that build's submitter.
    """
    if new.parent_build is not None:
        new = evolve(new, for_grant=_SUBMITTER_OF_BUILD.first(connection, build=new.parent_build))
    id = _ADD.number(
        connection,
        scheduler=new.scheduler,
        reason=new.reason,
        submitted=new.submitted,
        source=to_json(new.source),
        properties=to_json(new.properties),
        input=new.input,
        parent=new.parent,
        by_grant=new.by_grant,
        parent_build=new.parent_build,
        for_grant=new.for_grant,
    )
    return evolve(new, id=id)


def set_property(connection: Connection, id: int, name: str, value: Any, source: str) -> None:
    """
    Set a property of the buildset *id*, in the transaction that adds it.
    """
    buildset = get(connection, id)
    if buildset is not None:
        _SET_PROPERTIES.run(connection, which=id, all_of_them=to_json({**buildset.properties, name: [value, source]}))


def submission_times(connection: Connection, by_grant: int, since: float) -> list[float]:
    """
    The times of the submissions with a grant after *since*, oldest first.
    """
    return _SUBMISSION_TIMES.all(connection, by_grant=by_grant, since=since)


def granted(connection: Connection, first: int) -> dict[int, int]:
    """
    The buildsets from id *first* that were submitted with a FURL: id → grant.
    """
    return dict(_GRANTED.all(connection, first=first))


def get(connection: Connection, id: int) -> Buildset | None:
    """
    The buildset with that *id*.
    """
    return _GET.first(connection, id=id)


def by_parent(connection: Connection, parent: str) -> Buildset | None:
    """
    The buildset that the journal entry *parent* submitted.
    """
    return _BY_PARENT.first(connection, parent=parent)


def after(connection: Connection, number: int, most: int = 1000) -> list[tuple[int, str]]:
    """
    At most *most* buildsets with a number above *number*, oldest first: the number, and the scheduler.
    """
    return _AFTER.all(connection, after=number, most=most)


def last(connection: Connection) -> int:
    """
    The number of the newest buildset; 0 when there is none.
    """
    return _LAST.number(connection)


def unfinished(connection: Connection) -> list[Buildset]:
    """
    The buildsets that have requests without a result, oldest first.
    """
    return _UNFINISHED.all(connection)


def finish(connection: Connection, id: int, result: Result, now: float) -> Buildset:
    """
    Record the buildset's result.
    """
    (buildset,) = _FINISH.all(connection, which=id, now=now, with_result=int(result))
    return buildset
