"""
The grants, for admins: what was handed out, to whom, when it was used last.  No string is shown.
"""

from ..page_request import PageRequest
from ..view import FarmView, Reply, Route

MOST_SHOWN = 2000


async def grants(view: FarmView, asked: PageRequest) -> Reply:
    """
    ``/grants``.
    """
    holder = asked.permitted("grants")
    answer = await view.ask(asked, holder, {"ask": "grants", "all": asked.query.get("all") == "1"})
    found = list(answer.get("grants") or ())
    return await view.page(
        asked, "grants.html", grants=found[-MOST_SHOWN:], total=len(found), everything=asked.query.get("all") == "1"
    )


ROUTES = (Route("/grants", grants, kept=0),)
