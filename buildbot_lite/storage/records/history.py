"""
History: pages of builds with their origins, newest first, filtered.

A page of a filter examines builds with at most `LOOKED_AT` successive numbers, whether or not they pass it.  So a query
costs the same on a farm with a million builds; the next page continues where this one ended.  Without a filter, or with
that of a builder alone, a page is full unless it is the last one: each build that is examined is on it.

Filters are SQL.  Properties are JSON, ``{"name": [value, source]}``; values are compared in their written form: text
unchanged, numbers by their digits, and ``true``, ``false``, ``null`` as these words.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import field, fields, frozen
from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Select,
    Text,
    bindparam,
    case,
    cast,
    func,
    or_,
    select,
)

from ...model.holder_name import holder_name
from ...model.results import Result
from .. import schema
from ..statements import Query, from_json
from .builds import Build, branch_of, from_row

LOOKED_AT = 10_000
"""Numbers of builds that a page examines."""
LOOKED_INTO = 4_000
"""The same if the filter needs the properties of each, which are JSON: that takes four times as long."""
RUNNING = -1
"""The number for "no result yet" in lists of results."""

_NO_BOUND = 1 << 62


@frozen
class Filter:
    """
    A filter of builds.  A field that is None or empty excludes no build.

    *branch*: the property ``branch``, or else the submitted branch.  *results*: one of these; None: still running.
    *since*: started at this time or later, in seconds since 1970.  *properties*: name → value; the build has all.
    """

    builder: str | None = None
    branch: str | None = None
    results: Sequence[Result | None] = ()
    slave: str | None = None
    since: float | None = None
    properties: Mapping[str, str] = field(factory=dict)


@frozen
class BuildOrigin:
    """
    The submission that led to a build.  *at*: seconds since 1970.  *by*: the `holder_name` of the submitting grant, or
    its verb (``admin``) if it has no label; None when no FURL was used.  *source*: branch, revision, repository,
    project.
    """

    scheduler: str
    reason: str
    at: float
    source: Mapping[str, Any]
    by: str | None = None


@frozen
class HistoryEntry:
    """
    A build and its origin.
    """

    build: Build
    origin: BuildOrigin

    @property
    def branch(self) -> str | None:
        """
        The branch of the build, if it is known.
        """
        return _text(self.build.properties.get("branch")) or _text([self.origin.source.get("branch")])

    @property
    def revision(self) -> str | None:
        """
        The revision of the build; until it is known, the submitted one.
        """
        properties = self.build.properties
        revision = _text(properties.get("got_revision")) or _text(properties.get("revision"))
        return revision or _text([self.origin.source.get("revision")])


@frozen
class Page:
    """
    A page of builds, newest first.  *before*: the bound for the next page; None: this is the last one.
    """

    entries: Sequence[HistoryEntry]
    before: int | None


def _text(pair: Any) -> str | None:
    # With several codebases the value is a dictionary, and the build has no single revision.
    value = pair[0] if isinstance(pair, list | tuple) and pair else None
    return value if isinstance(value, str) and value else None


_builds, _requests, _buildsets, _grants = schema.builds, schema.requests, schema.buildsets, schema.grants
_ORIGIN_COLUMNS = (
    *(_buildsets.c[name] for name in ("scheduler", "reason", "submitted", "source")),
    _grants.c.label,
    _grants.c.verb,
)


def _number(*, of_builder: bool) -> ColumnElement[int]:
    """
    By what a list is ordered: builds of one builder by their numbers, others by their ids.
    """
    return _builds.c.number if of_builder else _builds.c.id


def _page(*, of_builder: bool) -> Select[tuple[Any, ...]]:
    """
    The SELECT of a page: the newest builds from *least* to one before *before* that pass the filter.

    It goes along the index of those numbers, and ends with the last row of the page.  (The newest `LOOKED_AT` builds as
    a subquery would be copied as a whole, with the properties of each.)
    """
    number = _number(of_builder=of_builder)
    return (
        _of(_passing().where(number < bindparam("before"), number >= bindparam("least")), of_builder=of_builder)
        .order_by(number.desc())
        .limit(bindparam("most"))
    )


def _first_after() -> Select[tuple[Any, ...]]:
    """
    The SELECT of the first build of a builder that passes the filter, from after *after* to *greatest*.
    """
    number = _builds.c.number
    newer = _passing().where(number > bindparam("after"), number <= bindparam("greatest"))
    return _of(newer, of_builder=True).order_by(number).limit(1)


def _passing() -> Select[tuple[Any, ...]]:
    """
    The builds that pass the filter, with their origins.
    """
    return _with_origins().where(*_passes(_builds))


def _with_origins() -> Select[tuple[Any, ...]]:
    return (
        select(
            *(_builds.c[each.name] for each in fields(Build)),
            *_ORIGIN_COLUMNS,
        )
        .join_from(_builds, _requests, _requests.c.id == _builds.c.request)
        .join(_buildsets, _buildsets.c.id == _requests.c.buildset)
        .outerjoin(_grants, _grants.c.id == _buildsets.c.by_grant)
    )


def _newest_of_each() -> Select[tuple[Any, ...]]:
    """
    The SELECT of the newest build of each of the *builders* (JSON).
    """
    wanted = func.json_each(bindparam("builders")).table_valued("value", name="wanted_builders")
    others = _builds.alias("others")
    newest = select(others.c.id).where(others.c.builder == wanted.c.value).order_by(others.c.number.desc()).limit(1)
    return _with_origins().where(_builds.c.id.in_(select(newest.scalar_subquery()).select_from(wanted)))


def _next_older(*, of_builder: bool) -> Select[tuple[Any, ...]]:
    """
    The SELECT of the newest build whose number is less than *before*.
    """
    number = _number(of_builder=of_builder)
    older = select(number, _builds.c.started).where(number < bindparam("before"))
    return _of(older, of_builder=of_builder).order_by(number.desc()).limit(1)


def _of(selected: Select[tuple[Any, ...]], *, of_builder: bool) -> Select[tuple[Any, ...]]:
    return selected.where(_builds.c.builder == bindparam("builder")) if of_builder else selected


def _passes(builds: FromClause) -> Iterable[ColumnElement[bool]]:
    results = func.json_each(bindparam("results")).table_valued("value", name="wanted_results")
    branch = branch_of(builds)
    wanted = func.json_each(bindparam("properties")).table_valued("key", "value", name="wanted_properties")
    had = func.json_each(builds.c.properties).table_valued("key", "value", name="had_properties")
    kind = func.json_type(had.c.value, "$[0]")
    written = case(
        (or_(kind == "true", kind == "false", kind == "null"), kind),
        else_=cast(func.json_extract(had.c.value, "$[0]"), Text),
    )
    has_it = (
        select(had.c.key).where(had.c.key == wanted.c.key, written == wanted.c.value).correlate(builds, wanted).exists()
    )
    yield or_(bindparam("slave").is_(None), builds.c.slave == bindparam("slave"))
    yield or_(bindparam("since").is_(None), builds.c.started >= bindparam("since"))
    yield or_(bindparam("branch").is_(None), branch == bindparam("branch"))
    yield or_(bindparam("results").is_(None), func.coalesce(builds.c.result, RUNNING).in_(select(results.c.value)))
    yield or_(bindparam("properties").is_(None), ~select(wanted.c.key).where(~has_it).correlate(builds).exists())


def _origin(scheduler: str, reason: str, at: float, source: str, label: str | None, verb: str | None) -> BuildOrigin:
    return BuildOrigin(scheduler, reason, at, from_json(source), holder_name(label) if label else verb)


def _entry(*row: Any) -> HistoryEntry:
    return HistoryEntry(from_row(*row[: -len(_ORIGIN_COLUMNS)]), _origin(*row[-len(_ORIGIN_COLUMNS) :]))


_OF_ALL = Query(_page(of_builder=False), _entry)
_OF_BUILDER = Query(_page(of_builder=True), _entry)
_FIRST_AFTER = Query(_first_after(), _entry)
_FIRST_NUMBER = Query(
    select(_builds.c.number)
    .where(_builds.c.builder == bindparam("builder"), _builds.c.number > bindparam("after"))
    .order_by(_builds.c.number)
    .limit(1),
    int,
)
_ORIGIN = Query(
    select(*_ORIGIN_COLUMNS)
    .join_from(_requests, _buildsets, _buildsets.c.id == _requests.c.buildset)
    .outerjoin(_grants, _grants.c.id == _buildsets.c.by_grant)
    .where(_requests.c.id == bindparam("request")),
    _origin,
)
_NEWEST_OF_EACH = Query(_newest_of_each(), _entry)
_NEXT_OF_ALL = Query(_next_older(of_builder=False), lambda number, started: (number, started))
_NEXT_OF_BUILDER = Query(_next_older(of_builder=True), lambda number, started: (number, started))


def page(connection: Connection, wanted: Filter, most: int, before: int | None = None) -> Page:
    """
    At most *most* builds that pass *wanted*, newest first: with a builder, those with a number less than *before*;
    otherwise those with an id less than *before*.
    """
    of_builder = wanted.builder is not None
    of: dict[str, Any] = {"builder": wanted.builder} if of_builder else {}
    following = _NEXT_OF_BUILDER if of_builder else _NEXT_OF_ALL
    newest = following.first(connection, before=_NO_BOUND if before is None else before, **of)
    if newest is None:
        return Page([], None)
    bounds = {"before": newest[0] + 1, "least": newest[0] + 1 - _examined(wanted)}
    query = _OF_BUILDER if of_builder else _OF_ALL
    found = query.all(connection, **bounds, **of, most=most, **_parameters(wanted))
    if len(found) == most:
        last = found[-1].build
        return Page(found, last.number if of_builder else last.id)
    # Numbers of builds that retention removed are passed over.
    older = following.first(connection, before=bounds["least"], **of)
    is_last = older is None or (wanted.since is not None and older[1] < wanted.since)
    return Page(found, None if older is None or is_last else older[0] + 1)


def _examined(wanted: Filter) -> int:
    """
    How many successive numbers a page of *wanted* examines.
    """
    if wanted == Filter(builder=wanted.builder):
        # Retention may have left one in ten thousand.
        return _NO_BOUND
    return LOOKED_INTO if wanted.branch is not None or wanted.properties else LOOKED_AT


def origin_of(connection: Connection, build: Build) -> BuildOrigin:
    """
    The submission that led to *build*, which is there.
    """
    (origin,) = _ORIGIN.all(connection, request=build.request)
    return origin


def newest_of_each(connection: Connection, builders: Sequence[str]) -> list[HistoryEntry]:
    """
    The newest build of each of *builders* that has any, in one query.
    """
    return _NEWEST_OF_EACH.all(connection, builders=json.dumps(list(builders)))


def first_after(connection: Connection, wanted: Filter, after: int) -> HistoryEntry | None:
    """
    The first build after the number *after* that passes *wanted*, which names a builder, among the next `LOOKED_AT`
    numbers.
    """
    oldest = _FIRST_NUMBER.first(connection, builder=wanted.builder, after=after)
    if oldest is None:
        return None
    bounds = {"after": oldest - 1, "greatest": oldest - 1 + LOOKED_AT}
    return _FIRST_AFTER.first(connection, builder=wanted.builder, **bounds, **_parameters(wanted))


def _parameters(wanted: Filter) -> dict[str, Any]:
    results = [RUNNING if result is None else int(result) for result in wanted.results]
    return {
        "slave": wanted.slave,
        "since": wanted.since,
        "branch": wanted.branch,
        "results": json.dumps(results) if results else None,
        "properties": json.dumps(dict(wanted.properties)) if wanted.properties else None,
    }
