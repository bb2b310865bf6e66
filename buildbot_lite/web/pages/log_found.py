"""
The page with the lines of a log in which a text was found.
"""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from ...errors import LimitError
from ...model.whole_numbers import whole_number
from ..html.rendering import size
from ..logs.log_search import LONGEST_TEXT, FoundLine, SearchState, TextSearch
from ..logs.visible import visible
from ..page_request import PageRequest
from ..view import FarmView, Reply
from .opened_log import LINE_WITHIN, OpenLog, counting_page

_GONE = "What {} cannot be read: the file is gone, or shorter than it was."


async def found_page(view: FarmView, asked: PageRequest, opened: OpenLog, text: str) -> Reply:
    """
    The page with the next lines that contain *text*.  ``case=1``: not those in which its letters have another case.
    ``at=``: from there on, or ``back=``: from there back to the beginning; a line, "end", or the state of a search that
    goes on.
    """
    ignores_case = asked.query.get("case") != "1"
    back = asked.query.get("back", "")
    start = await asked.outside_turn(_place(opened, back or asked.query.get("at", "")))
    if start is None:
        return await counting_page(view, asked, opened)
    found: Sequence[FoundLine] = ()
    refused = ""
    try:
        wanted = TextSearch(text, ignores_case=ignores_case)
        search = opened.logs.search(opened.reader, wanted, start, asked.occupant, back=bool(back))
        found, stop = await asked.outside_turn(search)
    except LimitError as error:
        stop, refused = start, str(error)
    context = {
        "text": text[:LONGEST_TEXT],
        "case": not ignores_case,
        "refused": refused,
        **_found(opened, found, start, stop, back=bool(back)),
    }
    return await view.page(asked, "log.html", **opened.context(asked.root), search=context, longest=LONGEST_TEXT)


def _found(
    opened: OpenLog, found: Sequence[FoundLine], start: SearchState, stop: SearchState, *, back: bool
) -> dict[str, Any]:
    """
    What the page says of a search that went from *start* to *stop*.
    """
    length = opened.reader.length
    is_over = not stop.offset if back else stop.offset >= length
    # The file was removed, or is shorter than its record says.
    is_gone = not is_over and not opened.reader.read(stop.offset - 1 if back else stop.offset, 1)
    first, last = (stop, start) if back else (start, stop)
    previous = _going_on(first) if first.offset and not (back and is_gone) else None
    following = _going_on(last) if last.offset < length and (back or not is_gone) else None
    goes_on = "" if is_over else f"; searched {'back ' if back else ''}as far as {size(stop.offset)} of {size(length)}"
    return {
        "found": [_found_line(each) for each in (reversed(found) if back else found)],
        "back": back,
        "said": _said(len(found), goes_on, is_part=bool(following if back else previous), back=back),
        "gone": _GONE.format("comes before" if back else "follows") if is_gone else "",
        "part": stop.offset / max(1, length),
        "state": _going_on(stop),
        "previous": previous,
        "next": following,
    }


def _said(count: int, goes_on: str, *, is_part: bool, back: bool) -> str:
    """
    How many lines were found.  *is_part*: lines on the other side of its beginning were not looked at.  *goes_on*: how
    far it came, if it is not over.
    """
    if not count:
        nothing = " before this place" if back else " from here on"
        return f"Nothing{goes_on or (nothing if is_part else ' in the whole log')}."
    end = "" if goes_on or not is_part else ", the first" if back else ", the last"
    return f"{count} line{'s' if count > 1 else ''}{' here' if is_part else ''}{end}{goes_on}."


async def _place(opened: OpenLog, text: str) -> SearchState | None:
    """
    The place that *text* names; the beginning if it names none.  None: it is not counted yet.
    """
    if text == "end":
        return await _beginning_at(opened, opened.reader.length)
    parts = text.split(".")
    numbers = [number for each in parts if (number := whole_number(each)) is not None]
    if len(numbers) < len(parts):
        return SearchState()
    if len(numbers) == 3:
        offset, line, skips = numbers
        return SearchState(min(offset, opened.reader.length), line, skips > 0)
    if len(numbers) == 1:
        beginning = await opened.logs.offset_of_line(opened.reader, numbers[0], LINE_WITHIN)
        return None if beginning is None else await _beginning_at(opened, beginning)
    return SearchState()


async def _beginning_at(opened: OpenLog, offset: int) -> SearchState | None:
    line = await opened.logs.line_at(opened.reader, offset, LINE_WITHIN)
    return None if line is None else SearchState(offset, line)


def _going_on(state: SearchState) -> str:
    return f"{state.offset}.{state.line}.{state.skips:d}"


def _found_line(found: FoundLine) -> dict[str, Any]:
    pieces = (visible(each.decode("utf-8", "replace")) for each in (found.before, found.text, found.after))
    # Safe: `visible` escapes all characters of the log.
    before, text, after = (Markup(each) for each in pieces)  # noqa: S704
    # Of a long line, the page shows only the beginning.
    place = f"after={found.offset}" if found.far else f"line={found.number}"
    return {"number": found.number, "place": place, "before": before, "text": text, "after": after}
