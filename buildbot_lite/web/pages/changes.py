"""
The console: changes, each with its builds over all builders.
"""

from sqlalchemy import Connection

from ...errors import NotFoundError
from ...status import build_documents, build_rows
from ...status.build_rows import ChangeRows
from ...storage.records import changes as records
from ..page_request import PageRequest
from ..view import FarmView, Reply, Route

ON_PAGE = 40
MOST_CELLS = 1000
"""Builds on one page: with many builders, it has fewer changes."""
LEAST_CHANGES = 2


async def changes(view: FarmView, asked: PageRequest) -> Reply:
    """
    ``/changes``.
    """
    builders_known = len((await view.told(asked, "www")).get("builders") or ())
    most = max(LEAST_CHANGES, min(ON_PAGE, MOST_CELLS // max(1, builders_known)))
    page = await view.records.read(lambda c: build_rows.page_of_changes(c, most, asked.before))
    documents = build_documents.changes_from(page)
    builders = list(dict.fromkeys(each["builder"] for change in documents for each in change["requests"]))
    return await view.page(asked, "changes.html", changes=documents, builders=builders, older=page.before)


async def change(view: FarmView, asked: PageRequest, number: int) -> Reply:
    """
    ``/changes/NUMBER``.
    """

    def read(connection: Connection) -> ChangeRows:
        # The newest one before the next number is this one, or there is none.
        return build_rows.of_changes(connection, 1, number + 1)

    found = await view.records.read(read)
    if not found.changes or found.changes[0].id != number:
        newest = await view.records.read(records.last_id)
        raise NotFoundError(f"There is no change {number}; the newest is {newest}.")
    return await view.page(asked, "change.html", change=build_documents.changes_from(found)[0])


ROUTES = (Route("/changes", changes), Route("/changes/<int:number>", change))
