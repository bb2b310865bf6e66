"""
The page with the lines of a log in which a text was found.
"""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from ...errors import LimitError
from ..logs.log_search import LONGEST_TEXT, FoundLine, SearchState, TextSearch
from ..logs.visible import visible
from ..page_request import PageRequest
from ..view import FarmView, Reply
from .opened_log import OpenLog


async def found_page(view: FarmView, asked: PageRequest, opened: OpenLog, text: str) -> Reply:
    """
    The page with the next lines that contain *text*.  ``case=1``: not those in which its letters have another case;
    ``at=``: the state of the search at which it goes on.
    """
    ignores_case = asked.query.get("case") != "1"
    state = _state(asked.query.get("at", ""))
    found: Sequence[FoundLine] = ()
    refused = ""
    try:
        found, after = await opened.logs.search(opened.reader, TextSearch(text, ignores_case=ignores_case), state)
    except LimitError as error:
        after, refused = state, str(error)
    return await view.page(
        asked,
        "log.html",
        **opened.context(asked.root),
        search={
            "text": text[:LONGEST_TEXT],
            "case": not ignores_case,
            "found": [_found_line(each) for each in found],
            "refused": refused,
            "from": state.offset,
            "to": after.offset,
            "part": after.offset / max(1, opened.reader.length),
            "state": (going_on := f"{after.offset}.{after.line}.{after.skips:d}"),
            # A file may be shorter than its record says: then the search does not get on.
            "next": None if after.offset >= opened.reader.length or (after == state and not refused) else going_on,
        },
        longest=LONGEST_TEXT,
    )


def _state(text: str) -> SearchState:
    numbers = text.split(".")
    if len(numbers) != 3 or not all(each.isascii() and each.isdigit() and len(each) < 19 for each in numbers):
        return SearchState()
    offset, line, skips = map(int, numbers)
    return SearchState(offset, line, skips > 0)


def _found_line(found: FoundLine) -> dict[str, Any]:
    pieces = (visible(each.decode("utf-8", "replace")) for each in (found.before, found.text, found.after))
    # Safe: `visible` escapes all characters of the log.
    before, text, after = (Markup(each) for each in pieces)  # noqa: S704
    # Of a long line, the page shows only the beginning.
    place = f"after={found.offset}" if found.far else f"line={found.number}"
    return {"number": found.number, "place": place, "before": before, "text": text, "after": after}
