"""
The endpoint that searches in a log.

Only the place at which a search goes on is in its cursor: a request looks at a bounded number of bytes, and finds a
bounded number of lines (`logs.log_search`).
"""

from ...errors import LimitError, NotFoundError
from ...model.whole_numbers import whole_number
from ...status.build_documents import Document
from ..logs.log_search import LONGEST_TEXT, FoundLine, SearchState, TextSearch
from ..pages.opened_log import LINE_WITHIN, OpenLog, opened_log
from .cursors import cursor_of_name, name_before, no_cursor
from .definitions import ApiEndpoint, ApiRequest, LineKind, Parameter, TextKind, WholeKind
from .endpoints_builds import LOG_PATH, OF_LOG

_DIGITS = 19
_NOT_COUNTED = "The lines of this log are not counted yet.  Try again in some seconds."


async def search(request: ApiRequest) -> Document:
    """
    ``/builds/BUILDER/NUMBER/logs/STEP/LOG/search``.
    """
    given, view, asked = request.given, request.view, request.asked
    opened = await opened_log(view, given["builder"], given["number"], given["step"], given["log"])
    try:
        if opened.stored.removed:
            raise NotFoundError(f"The logs of {given['builder']}/{given['number']} were removed (c['retention']).")
        back = given.get("back", 0) == 1
        start = await asked.outside_turn(_beginning(opened, request, back=back))
        wanted = TextSearch(given["text"], ignores_case=given.get("case", 0) == 0)
        going = opened.logs.search(opened.reader, wanted, start, asked.occupant, back=back)
        found, stop = await asked.outside_turn(going)
        end = 0 if back else opened.reader.length
        if stop == start and stop.offset != end:
            raise NotFoundError("The file of this log is not there any more.")
        return {
            "found": [_line(each) for each in found],
            "next": cursor_of_name(_kind(back=back), None if stop.offset == end else _written(stop)),
            "searched": stop.offset,
            "length": opened.reader.length,
            "ended": opened.stored.ended,
        }
    finally:
        opened.reader.close()


async def _beginning(opened: OpenLog, request: ApiRequest, *, back: bool) -> SearchState:
    """
    Where the search begins: at the place in the cursor, at the line that was given, or at the beginning of the log or,
    going *back*, at its end.
    """
    reader, logs = opened.reader, opened.logs
    if request.cursor is not None:
        return _read(name_before(_kind(back=back), request.cursor), reader.length)
    first = request.given.get("first")
    if first is None and not back:
        return SearchState()
    offset = reader.length if first is None else await logs.offset_of_line(reader, first, LINE_WITHIN)
    line = None if offset is None else await logs.line_at(reader, offset, LINE_WITHIN)
    if offset is None or line is None:
        raise LimitError(_NOT_COUNTED)
    return SearchState(offset, line)


def _kind(*, back: bool) -> str:
    return "search-back" if back else "search"


def _written(state: SearchState) -> str:
    return f"{state.offset}.{state.line}.{state.skips:d}"


def _read(text: str, length: int) -> SearchState:
    numbers = [whole_number(each, _DIGITS) for each in text.split(".")]
    match numbers:
        case [int(offset), int(line), int(skips)]:
            return SearchState(min(offset, length), line, skips > 0)
    raise no_cursor()


def _line(found: FoundLine) -> Document:
    before, text, after = (each.decode("utf-8", "replace") for each in (found.before, found.text, found.after))
    return {
        "line": found.number,
        "offset": found.offset,
        "is_far": found.far,
        "before": before,
        "text": text,
        "after": after,
    }


ENDPOINTS = (
    ApiEndpoint(
        f"{LOG_PATH}/search",
        "The lines of a log that contain a text.  A page has at most 200 of them, and is the result of at most two "
        "seconds: it may be empty, and not the last one.",
        search,
        "FoundLines",
        (
            *OF_LOG,
            Parameter("text", LineKind(LONGEST_TEXT), "What to search for; no expression.", is_needed=True),
            Parameter("case", WholeKind(0, 1), "1: letters must have the same case."),
            Parameter("back", WholeKind(0, 1), "1: search back, from the end; the last line comes first."),
            Parameter("first", WholeKind(1), "The number of the line at which the search begins."),
            Parameter("cursor", TextKind(200), "Where the search goes on: `next` of the page before."),
        ),
        kept=0,
    ),
)
