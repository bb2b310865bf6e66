"""
History: pages of builds with their origins, newest first, filtered.

A page examines at most `LOOKED_AT` builds, whether or not they pass the filter.  So a query costs the same on a farm
with a million builds; the next page continues where this one ended.

Filters are SQL.  Properties are JSON, ``{"name": [value, source]}``; values are compared in their written form: text
unchanged, numbers by their digits, and ``true``, ``false``, ``null`` as these words.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import evolve, field, fields, frozen
from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Select,
    Subquery,
    Text,
    bindparam,
    case,
    cast,
    func,
    or_,
    select,
)

from ...model.results import Result
from .. import schema
from ..statements import Query
from .builds import Build, branch_of, from_row

LOOKED_AT = 10_000
"""Builds that a page examines."""
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
    The submission that led to a build.  *at*: seconds since 1970.  *by*: the label of the submitting grant, or its verb
    (``admin``); None when no FURL was used.  *source*: branch, revision, repository, project.
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


def _page(*, of_builder: bool) -> Select[tuple[Any, ...]]:
    """
    The SELECT of a page: among the newest `LOOKED_AT` builds before a number (of one builder) or an id (of all), those
    that pass the filter.
    """
    window = _older(select(_builds), of_builder=of_builder).limit(bindparam("looked_at")).subquery("looked_at")
    return _passing(window).order_by(window.c.id.desc()).limit(bindparam("most"))


def _first_after() -> Select[tuple[Any, ...]]:
    """
    The SELECT of the first build that passes the filter, among the `LOOKED_AT` builds of a builder after a number.
    """
    newer = select(_builds).where(_builds.c.builder == bindparam("builder"), _builds.c.number > bindparam("after"))
    window = newer.order_by(_builds.c.number).limit(bindparam("looked_at")).subquery("looked_at")
    return _passing(window).order_by(window.c.number).limit(1)


def _passing(window: Subquery) -> Select[tuple[Any, ...]]:
    """
    The builds of *window* that pass the filter, with their origins.
    """
    return (
        select(
            *(window.c[each.name] for each in fields(Build)),
            *(_buildsets.c[name] for name in ("scheduler", "reason", "submitted", "source")),
            _grants.c.label,
            _grants.c.verb,
        )
        .join_from(window, _requests, _requests.c.id == window.c.request)
        .join(_buildsets, _buildsets.c.id == _requests.c.buildset)
        .outerjoin(_grants, _grants.c.id == _buildsets.c.by_grant)
        .where(*_passes(window))
    )


def _end(*, of_builder: bool) -> Select[tuple[Any, ...]]:
    """
    The SELECT of the last build that a page examines; no row when the page examines all older builds.
    """
    number = _builds.c.number if of_builder else _builds.c.id
    return _older(select(number, _builds.c.started), of_builder=of_builder).limit(1).offset(bindparam("looked_at") - 1)


def _older(selected: Select[tuple[Any, ...]], *, of_builder: bool) -> Select[tuple[Any, ...]]:
    number = _builds.c.number if of_builder else _builds.c.id
    older = selected.where(number < bindparam("before")).order_by(number.desc())
    return older.where(_builds.c.builder == bindparam("builder")) if of_builder else older


def _passes(window: FromClause) -> Iterable[ColumnElement[bool]]:
    results = func.json_each(bindparam("results")).table_valued("value", name="wanted_results")
    branch = branch_of(window)
    wanted = func.json_each(bindparam("properties")).table_valued("key", "value", name="wanted_properties")
    had = func.json_each(window.c.properties).table_valued("key", "value", name="had_properties")
    kind = func.json_type(had.c.value, "$[0]")
    written = case(
        (or_(kind == "true", kind == "false", kind == "null"), kind),
        else_=cast(func.json_extract(had.c.value, "$[0]"), Text),
    )
    has_it = (
        select(had.c.key).where(had.c.key == wanted.c.key, written == wanted.c.value).correlate(window, wanted).exists()
    )
    yield or_(bindparam("slave").is_(None), window.c.slave == bindparam("slave"))
    yield or_(bindparam("since").is_(None), window.c.started >= bindparam("since"))
    yield or_(bindparam("branch").is_(None), branch == bindparam("branch"))
    yield or_(bindparam("results").is_(None), func.coalesce(window.c.result, RUNNING).in_(select(results.c.value)))
    yield ~select(wanted.c.key).where(~has_it).correlate(window).exists()


def _entry(*row: Any) -> HistoryEntry:
    *build, scheduler, reason, at, source, label, verb = row
    return HistoryEntry(from_row(*build), BuildOrigin(scheduler, reason, at, json.loads(source), label or verb))


_OF_ALL = Query(_page(of_builder=False), _entry)
_OF_BUILDER = Query(_page(of_builder=True), _entry)
_FIRST_AFTER = Query(_first_after(), _entry)
_END_OF_ALL = Query(_end(of_builder=False), lambda number, started: (number, started))
_END_OF_BUILDER = Query(_end(of_builder=True), lambda number, started: (number, started))


def page(connection: Connection, wanted: Filter, most: int, before: int | None = None) -> Page:
    """
    At most *most* builds that pass *wanted*, newest first: with a builder, those with a number less than *before*;
    otherwise those with an id less than *before*.
    """
    of_builder = wanted.builder is not None
    # If every build passes the filter, the page examines no more builds than it returns.
    passes_all = evolve(wanted, results=tuple(wanted.results)) == Filter(wanted.builder)
    looked_at = min(most, LOOKED_AT) if passes_all else LOOKED_AT
    bounds: dict[str, Any] = {"before": _NO_BOUND if before is None else before, "looked_at": looked_at}
    if of_builder:
        bounds["builder"] = wanted.builder
    found = (_OF_BUILDER if of_builder else _OF_ALL).all(connection, **bounds, most=most, **_parameters(wanted))
    if len(found) == most:
        last = found[-1].build
        return Page(found, last.number if of_builder else last.id)
    end = (_END_OF_BUILDER if of_builder else _END_OF_ALL).first(connection, **bounds)
    is_last = end is None or (wanted.since is not None and end[1] < wanted.since)
    return Page(found, None if end is None or is_last else end[0])


def first_after(connection: Connection, wanted: Filter, after: int) -> HistoryEntry | None:
    """
    The first build after the number *after* that passes *wanted*, which names a builder, among the next `LOOKED_AT`.
    """
    return _FIRST_AFTER.first(
        connection, builder=wanted.builder, after=after, looked_at=LOOKED_AT, **_parameters(wanted)
    )


def _parameters(wanted: Filter) -> dict[str, Any]:
    results = [RUNNING if result is None else int(result) for result in wanted.results]
    return {
        "slave": wanted.slave,
        "since": wanted.since,
        "branch": wanted.branch,
        "results": json.dumps(results) if results else None,
        "properties": json.dumps(dict(wanted.properties)),
    }
