"""
The queue: what waits, in the order in which it will be built, and why.

The order and the reasons are the master's.  Before it has answered for the first time, the requests that wait in the
records are shown without them.
"""

from collections.abc import Sequence
from typing import Any

from ...storage.records import listed_builds
from ...storage.records.listed_builds import ListedRequest
from ..farm.live import Document
from ..page_request import PageRequest
from ..view import FarmView, Reply, Route

ON_PAGE = 200
_BEHIND: Document = {"kind": "behind", "sentence": "it is behind the 1,000 requests that build first"}
_NEW: Document = {"kind": "new", "sentence": "the master has not told of it yet"}
_UNKNOWN: Document = {"kind": "unknown", "sentence": "why it waits is not known: the master does not answer"}


async def queue(view: FarmView, asked: PageRequest) -> Reply:
    """
    ``/queue``.
    """
    status = await view.told(asked, "status")
    schedulers = await view.told(asked, "schedulers")
    wanted = asked.field("builder")
    waiting = _told(status, wanted) if status else await _stored(view, wanted)
    return await view.page(
        asked,
        "queue.html",
        is_known=bool(status),
        waiting=waiting[:ON_PAGE],
        more=len(waiting) > ON_PAGE,
        total=status.get("waiting_total", 0),
        builder=wanted,
        schedulers=schedulers.get("schedulers", ()),
        sources=status.get("change_sources", ()),
    )


def _told(status: Document, builder: str) -> Sequence[Document]:
    return [each for each in status["waiting"] if not builder or each["builder"] == builder]


async def _stored(view: FarmView, builder: str) -> Sequence[Document]:
    """
    The requests that wait in the records, one more than a page has.
    """
    found = await view.records.read(lambda c: listed_builds.waiting_after(c, ON_PAGE + 1, 0, builder or None))
    return waiting_requests(found, {})


def waiting_requests(found: Sequence[ListedRequest], status: Document) -> list[dict[str, Any]]:
    """
    The documents of the requests *found* in the records, with what the master has told of them in *status*; {}: it has
    never answered.
    """
    told = {each["request"]: each for each in status.get("waiting", ())}
    others = _UNKNOWN if not status else _BEHIND if len(told) < status["waiting_total"] else _NEW
    return [_waiting(each, told.get(each.request.id, {}), others) for each in found]


def _waiting(found: ListedRequest, told: Document, others: Document) -> dict[str, Any]:
    """
    A waiting request, with what the master has *told* of it.  *others*: why those wait of which it tells nothing.
    """
    request = found.request
    return {
        "request": request.id,
        "builder": request.builder,
        "scheduler": found.scheduler,
        "submitted": request.submitted,
        "priority": request.priority,
        "retries": request.retries,
        "why": told.get("why", others),
        "position": told.get("position"),
        "expected_start": told.get("expected_start"),
    }


ROUTES = (Route("/queue", queue),)
