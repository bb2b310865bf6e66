"""
Answers that lead to another address of ours.  All are relative (RFC 9110, 10.2.2), so they hold below any path of a
reverse proxy.
"""

from http import HTTPStatus

from ..page_request import PageRequest
from ..view import Reply


def moved_to(asked: PageRequest, page: str) -> Reply:
    """
    The answer that what was *asked* for is at *page*, relative to the farm's first page, for good; the query goes with
    it.
    """
    query = asked.address.partition("?")[2]
    address = f"{asked.root}{page}"
    location = f"{address}?{query}" if query else address
    return Reply(HTTPStatus.PERMANENT_REDIRECT, b"", headers={"location": location})


def without_slashes(asked: PageRequest) -> Reply:
    """
    The answer that what was *asked* for has no slash at its end, and no two together.
    """
    path = asked.address.partition("?")[0]
    return moved_to(asked, "/".join(filter(None, path.split("/"))))
