"""
The slaves, and one slave with its builds.
"""

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import Connection

from ...errors import NotFoundError
from ...model.suggestions import there_is_no
from ...storage.records import history, slaves
from ...storage.records.history import Filter, Page
from ...storage.records.slaves import Slave
from ..farm.live import Document
from ..farm.slave_states import state_of, with_states, words_of
from ..page_request import PageRequest
from ..view import FarmView, Reply, Route
from .stretches import stretch

MOST_SLAVES = 250
"""Slaves on one page."""
ON_PAGE = 50
"""Builds of one slave on a page."""


async def all_slaves(view: FarmView, asked: PageRequest) -> Reply:
    """
    ``/slaves``.
    """
    found = await _known(view, asked)
    text, state = asked.field("text").lower(), asked.field("state")
    shown = [
        each
        for each in found
        if (not text or text in str(each["slave"]).lower()) and (not state or state_of(each) == state)
    ]
    part = stretch(asked, shown, MOST_SLAVES)
    return await view.page(
        asked,
        "slaves.html",
        slaves=with_states(part.rows, view.wall()),
        newer=part.newer,
        older=part.older,
        states=[(each, words_of(each), count) for each, count in sorted(Counter(map(state_of, found)).items())],
        total=len(found),
        text=text,
        state=state,
    )


async def slave(view: FarmView, asked: PageRequest, name: str) -> Reply:
    """
    ``/slaves/NAME``.
    """
    known = await _known(view, asked)
    live = next((each for each in known if each["slave"] == name), None)

    def read(connection: Connection) -> tuple[Slave | None, Page]:
        page = history.page(connection, Filter(slave=name), ON_PAGE, asked.before)
        return slaves.get(connection, name), page

    row, page = await view.records.read(read)
    if live is None and row is None:
        raise NotFoundError(there_is_no("slave", name, [each["slave"] for each in known], see="the page of all slaves"))
    return await view.page(
        asked,
        "slave.html",
        name=name,
        slave={} if live is None else with_states([live], view.wall())[0],
        row=row,
        page=page,
        older=page.before,
        filter=Filter(slave=name),
    )


async def _known(view: FarmView, asked: PageRequest) -> Sequence[Document]:
    """
    The slaves as the master says; while it never did, those of the records.
    """
    status = await view.told(asked, "status")
    if known := status.get("slaves"):
        return list(known)
    rows = await view.records.read(slaves.get_all)
    return [
        {"slave": row.name, "state": "unknown", "version": row.version, "since": row.attached, "running": []}
        for row in rows
    ]


ROUTES = (Route("/slaves", all_slaves), Route("/slaves/<name>", slave))
