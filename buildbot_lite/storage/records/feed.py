"""
The feed: the ordered table of committed events.

`publish` numbers an event and collects it in ``connection.info``.  At the end of the transaction `write_collected`
writes all events together, which takes half the time of a statement for each; after the commit the writer passes them
to the subscribers.  Events that are rolled back reach no subscriber.  A follower that reads all events `since` its last
one and then subscribes misses none: ``seq`` only grows, and one thread writes the table.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from attrs import field, frozen
from sqlalchemy import Connection, bindparam, delete, func, select

from .. import schema
from ..statements import (
    Query,
    Statement,
    from_json,
    inserting,
    selecting,
    to_json,
)

_feed = schema.feed
_builds, _requests = schema.builds, schema.requests
_COLLECTED = "buildbot_lite events"


@frozen
class Event:
    """
    One event.  *seq*: its place in the order.  *at*: seconds since 1970.  *kind*: for example ``build.started``.
    *body*: its details.
    """

    seq: int
    at: float
    kind: str
    request: int | None = None
    build: int | None = None
    body: Mapping[str, Any] = field(factory=dict)


@frozen
class FeedPage:
    """
    Events with the builder of each (None: it is about no request).  *oldest*, *newest*: numbers of the oldest and the
    newest event that are stored, 0 if there is none.  *upto*: no event up to this number is missing from the page.
    """

    events: Sequence[tuple[Event, str | None]]
    oldest: int
    newest: int
    upto: int


class _Collected(NamedTuple):
    """
    An event of the present transaction.  *body*: as JSON.
    """

    event: Event
    body: str


def _row(event: Event, body: str) -> dict[str, float | str | None]:
    return {
        "seq": event.seq,
        "at": event.at,
        "kind": event.kind,
        "request": event.request,
        "build": event.build,
        "body": body,
    }


def _event(seq: int, at: float, kind: str, request: int | None, build: int | None, body: str) -> Event:
    return Event(seq, at, kind, request, build, from_json(body))


_ADD = Statement(inserting(_feed, "seq", "at", "kind", "request", "build", "body"))
_AFTER = selecting(_feed, Event).where(_feed.c.seq > bindparam("seq")).order_by(_feed.c.seq).limit(bindparam("most"))
_SINCE = Query(_AFTER, _event)
_OF_REQUEST = Query(_AFTER.where(_feed.c.request == bindparam("request")), _event)
# Found by the build's request: its events are events of the request too, so one index is enough.
_OF_BUILD = Query(
    _AFTER.where(
        _feed.c.request == select(_builds.c.request).where(_builds.c.id == bindparam("build")).scalar_subquery(),
        _feed.c.build == bindparam("build"),
    ),
    _event,
)
_WITH_BUILDERS = Query(
    selecting(_feed, Event)
    .add_columns(_requests.c.builder)
    .join_from(_feed, _requests, _requests.c.id == _feed.c.request, isouter=True)
    .where(_feed.c.seq > bindparam("seq"))
    .order_by(_feed.c.seq)
    .limit(bindparam("most")),
    lambda *row: (_event(*row[:-1]), row[-1]),
)
_OLDEST = Query(
    select(_feed.c.seq, _feed.c.at).order_by(_feed.c.seq).limit(bindparam("most")), lambda seq, at: (seq, at)
)
_TIME = Query(select(_feed.c.at).where(_feed.c.seq == bindparam("seq")), float)
_PRUNE = Statement(delete(_feed).where(_feed.c.seq <= bindparam("upto")))
_FIRST = Statement(select(func.coalesce(func.min(_feed.c.seq), 0)))
_LAST = Statement(select(func.coalesce(func.max(_feed.c.seq), 0)))


def publish(
    connection: Connection,
    kind: str,
    *,
    now: float,
    request: int | None = None,
    build: int | None = None,
    body: Mapping[str, Any] | None = None,
) -> Event:
    """
    Add an event, which becomes visible when the transaction commits.  An event with a *build* needs its *request*.
    """
    body = {} if body is None else dict(body)
    event = Event(last(connection) + 1, now, kind, request, build, body)
    connection.info.setdefault(_COLLECTED, []).append(_Collected(event, to_json(body)))
    return event


def since(
    connection: Connection, seq: int, *, request: int | None = None, build: int | None = None, most: int = 1000
) -> list[Event]:
    """
    At most *most* events after *seq*, in order; with *request* or *build* only the events of that one.
    """
    if request is not None:
        return _OF_REQUEST.all(connection, seq=seq, most=most, request=request)
    if build is not None:
        return _OF_BUILD.all(connection, seq=seq, most=most, build=build)
    return _SINCE.all(connection, seq=seq, most=most)


def page(connection: Connection, after: int, most: int) -> FeedPage:
    """
    At most *most* events after the number *after*, in order.
    """
    newest = last(connection)
    events = _WITH_BUILDERS.all(connection, seq=after, most=most)
    upto = events[-1][0].seq if len(events) == most else max(after, newest)
    return FeedPage(events, _FIRST.number(connection), newest, upto)


def prune(connection: Connection, before: float, most: int = 10_000) -> int:
    """
    Delete at most *most* events older than *before*, the oldest first; returns their number.  The newest event stays.
    """
    newest = last(connection)
    old = [seq for seq, at in _OLDEST.all(connection, most=most) if at < before and seq < newest]
    return _PRUNE.changed(connection, upto=old[-1]) if old else 0


def last(connection: Connection) -> int:
    """
    The ``seq`` of the newest event, also of this transaction; 0 when there is none.
    """
    collected = connection.info.get(_COLLECTED)
    return collected[-1].event.seq if collected else _LAST.number(connection)


def first(connection: Connection) -> int:
    """
    The ``seq`` of the oldest event that is stored; 0 when there is none.
    """
    return _FIRST.number(connection)


def newest_time(connection: Connection) -> float | None:
    """
    When the newest stored event happened, in seconds since 1970; None if there is none.
    """
    return _TIME.first(connection, seq=_LAST.number(connection))


def mark(connection: Connection) -> int:
    """
    The number of events that this transaction has published so far.
    """
    return len(connection.info.get(_COLLECTED, ()))


def drop_after(connection: Connection, mark: int) -> None:
    """
    Discard the events published after *mark*, because they were rolled back.
    """
    del connection.info.get(_COLLECTED, [])[mark:]


def write_collected(connection: Connection) -> tuple[Event, ...]:
    """
    Write the events that this transaction published, at its end; returns them, and resets the collection.
    """
    collected: list[_Collected] = connection.info.pop(_COLLECTED, [])
    _ADD.run_for_each(connection, [_row(*each) for each in collected])
    return tuple(event for event, _body in collected)


def forget_collected(connection: Connection) -> None:
    """
    Reset the collection, because the transaction is rolled back.
    """
    connection.info.pop(_COLLECTED, None)
