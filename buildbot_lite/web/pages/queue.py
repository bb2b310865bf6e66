"""
The queue: what waits, in the order in which it will be built, and why.
"""

from ..page_request import PageRequest
from ..view import FarmView, Reply, Route

ON_PAGE = 200


async def queue(view: FarmView, asked: PageRequest) -> Reply:
    """
    ``/queue``.
    """
    status = await view.told(asked, "status")
    schedulers = await view.told(asked, "schedulers")
    wanted = asked.field("builder")
    waiting = [each for each in status.get("waiting", ()) if not wanted or each["builder"] == wanted]
    return await view.page(
        asked,
        "queue.html",
        is_known=bool(status),
        waiting=waiting[:ON_PAGE],
        total=status.get("waiting_total", 0),
        builder=wanted,
        schedulers=schedulers.get("schedulers", ()),
        sources=status.get("change_sources", ()),
    )


ROUTES = (Route("/queue", queue),)
