"""
Builds in the order in which they ended, for what counts them.
"""

from attrs import frozen
from sqlalchemy import Connection, bindparam, func, select

from ...model.results import Result
from .. import schema
from ..statements import Query
from . import feed

_feed, _builds, _requests = schema.feed, schema.builds, schema.requests
_MOST_EVENTS = 5000
"""Events that one call looks at."""


@frozen
class EndedBuild:
    """
    A build that ended.  *lasted*: seconds.  *waited*: seconds from the request to the build; None: it is not the first
    build of its request.
    """

    builder: str
    result: Result
    lasted: float
    waited: float | None


def _ended(
    builder: str, result: int, started: float, finished: float, submitted: float, id: int, first: int
) -> EndedBuild:
    waited = max(0.0, started - submitted) if id == first else None
    return EndedBuild(builder, Result(result), max(0.0, finished - started), waited)


_others = schema.builds.alias("others")
_ENDED = Query(
    select(
        _builds.c.builder,
        _builds.c.result,
        _builds.c.started,
        _builds.c.finished,
        _requests.c.submitted,
        _builds.c.id,
        select(func.min(_others.c.id)).where(_others.c.request == _builds.c.request).scalar_subquery(),
    )
    .join_from(_feed, _builds, _builds.c.id == _feed.c.build)
    .join(_requests, _requests.c.id == _builds.c.request)
    .where(
        _feed.c.seq > bindparam("after"),
        _feed.c.seq <= bindparam("upto"),
        _feed.c.kind == "build.finished",
        _builds.c.finished.is_not(None),
        _builds.c.result.is_not(None),
    )
    .order_by(_feed.c.seq),
    _ended,
)


def ended_after(connection: Connection, after: int) -> tuple[list[EndedBuild], int, bool]:
    """
    The builds whose ends have event numbers above *after*, as far as `_MOST_EVENTS` events reach; the number that was
    reached; and whether there are more events.  Builds whose events or records were removed are not among them.
    """
    first, last = feed.first(connection), feed.last(connection)
    begin = max(after, first - 1)
    upto = min(begin + _MOST_EVENTS, last)
    return _ENDED.all(connection, after=begin, upto=upto), max(upto, after), upto < last
