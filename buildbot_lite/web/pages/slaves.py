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
from ..farm.slave_states import NOT_CONFIGURED, UNKNOWN, one_slave, state_of, stored_slave, with_states, words_of
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
    found = await known_slaves(view, asked)
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
    told = await told_slaves(view, asked)

    def read(connection: Connection) -> tuple[Slave | None, Page]:
        page = history.page(connection, Filter(slave=name), ON_PAGE, asked.before)
        return slaves.get(connection, name), page

    row, page = await view.records.read(read)
    found = one_slave(told, name, row)
    if found is None:
        names = [each["slave"] for each in told or ()]
        raise NotFoundError(there_is_no("slave", name, names, see="the page of all slaves"))
    (document,) = with_states([found], view.wall())
    return await view.page(
        asked,
        "slave.html",
        name=name,
        slave=document,
        is_configured=document["state"] not in {NOT_CONFIGURED, UNKNOWN},
        page=page,
        older=page.before,
        filter=Filter(slave=name),
    )


async def told_slaves(view: FarmView, asked: PageRequest) -> Sequence[Document] | None:
    """
    The slaves as the master says; None if it never did.
    """
    return (await view.told(asked, "status")).get("slaves")


async def known_slaves(view: FarmView, asked: PageRequest) -> Sequence[Document]:
    """
    The slaves as the master says; while it never did, those of the records.
    """
    told = await told_slaves(view, asked)
    if told is not None:
        return told
    return [stored_slave(row, UNKNOWN) for row in await view.records.read(slaves.get_all)]


ROUTES = (Route("/slaves", all_slaves), Route("/slaves/<name>", slave))
