"""
``/events``: the feed as server-sent events.
"""

from typing import Any

from ...model.whole_numbers import whole_number
from ..farm.event_stream import Topic
from ..replies.reading_rights import until_revoked
from ..view import Reply, Streamed
from .definitions import ApiEndpoint, ApiRequest, Parameter, TextKind, WholeKind
from .problems import problem

EVENT_STREAM = "text/event-stream; charset=utf-8"
# The second is for nginx, which would collect the events.
_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}
_UNKNOWN = -1
"""A place that is in no feed."""
_TOO_MANY = "All streams of events are taken, and you have your share of them.  Try again later."


async def events(request: ApiRequest) -> Reply | Streamed:
    """
    The events of the feed after the one named by ``Last-Event-ID`` or ``after``, and all later ones.
    """
    streams, asked = request.view.events, request.asked
    topic, position = Topic.parse(request.given.get("topic", "")), _position(request)
    if asked.method == "HEAD":
        return Reply(200, b"", EVENT_STREAM, _HEADERS)

    async def write(http: Any) -> None:
        # Only now, because others that asked at the same time may have taken the places meanwhile.
        if streams.has_room(asked.occupant):
            await streams.serve(http, position, topic, asked.occupant)
        else:
            _refuse(http)

    return until_revoked(request.view, asked, Streamed(write, 200, EVENT_STREAM, _HEADERS))


def _refuse(http: Any) -> None:
    """
    Answer that there is no room.  A browser tries again only when its page says so (`live.js`).
    """
    reply = problem(503, _TOO_MANY)
    http.setResponseCode(reply.status)
    for name, value in {"content-type": reply.kind, **reply.headers}.items():
        http.setHeader(name.encode(), value.encode())
    http.write(reply.body)
    http.finish()


def _position(request: ApiRequest) -> int | None:
    # A browser that comes back sends both: the header is the newer one.
    if last := request.asked.headers.get("last-event-id"):
        place = whole_number(last)
        return _UNKNOWN if place is None else place
    after: int | None = request.given.get("after")
    return after


ENDPOINTS = (
    ApiEndpoint(
        "/events",
        "The farm's events as server-sent events: `feed`, with its number as id; `live`, when slaves or the queue "
        "changed or the master went away or came back; `resync`, when events after the given one are no longer stored. "
        "The header `Last-Event-ID` continues a stream.",
        events,
        parameters=(
            Parameter("topic", TextKind(), "Only events of `builder:NAME`, or of the build with an id: `build:ID`."),
            Parameter("after", WholeKind(), "Begin after the event with this number, and not at the newest."),
        ),
        media="text/event-stream",
        kept=0,
    ),
)
