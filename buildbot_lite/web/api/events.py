"""
``/api/v1/events``: the feed as server-sent events.
"""

from ...errors import LimitError, MessageError
from ..view import FarmView, PageRequest, Reply, Route, Streamed
from .event_stream import Topic
from .problems import problem

EVENT_STREAM = "text/event-stream; charset=utf-8"
# The second is for nginx, which would collect the events.
_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}
_DIGITS = 18
_UNKNOWN = -1
"""A place that is in no feed."""


async def events(view: FarmView, asked: PageRequest) -> Reply | Streamed:
    """
    The events of the feed after the one named by ``Last-Event-ID`` or ``after``, and all later ones.
    """
    try:
        topic, position = Topic.parse(asked.query.get("topic", "")), _position(asked)
        view.events.check_room()
    except MessageError as error:
        return problem(400, str(error))
    except LimitError as error:
        return problem(503, str(error), {"retry-after": "10"})
    if asked.method == "HEAD":
        return Reply(200, b"", EVENT_STREAM, _HEADERS)
    return Streamed(lambda request: view.events.serve(request, position, topic), 200, EVENT_STREAM, _HEADERS)


def _position(asked: PageRequest) -> int | None:
    # A browser that comes back has both: the header is the newer one.
    if last := asked.headers.get("last-event-id"):
        return int(last) if _is_number(last) else _UNKNOWN
    after = asked.query.get("after")
    if after is None:
        return None
    if not _is_number(after):
        raise MessageError(f"after={after!r:.50} is not the number of an event: at most {_DIGITS} digits.")
    return int(after)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS


ROUTES = (Route("/api/v1/events", events, kept=0),)
