"""
The pages of a log: its lines at its tail or elsewhere, and its bytes.

The lines that it has got meanwhile come from `log_following`, those of a search from `log_found`.
"""

from markupsafe import Markup

from ...errors import NotFoundError
from ...model.display import file_name
from ...model.whole_numbers import whole_number
from ..logs.log_search import LONGEST_TEXT
from ..logs.windows import start_before
from ..page_request import PageRequest
from ..replies.downloads import ByteRange, raw_reply
from ..replies.reading_rights import until_revoked
from ..view import FarmView, Reply, Route, Streamed
from .log_following import lines
from .log_found import found_page
from .log_lines import rendered_lines
from .opened_log import LINE_WITHIN, PATH, OpenLog, counting_page, number_in, opened_log

_BEFORE = 50


async def log_page(view: FarmView, asked: PageRequest, builder: str, number: int, step: str, log: str) -> Reply:
    """
    The lines of a log: at its tail, or where the query says.  ``line=N`` or ``line=N-M``: around these lines, which are
    marked; ``before=``, ``after=``: the lines up to or from this offset.  ``search=``: the lines with a text.
    """
    opened = await opened_log(view, builder, number, step, log)
    try:
        if opened.stored.removed:
            sentence = f"The logs of {builder}/{number} were removed, as those of all of its age (c['retention'])."
            return await view.page(asked, "sentence.html", 410, title="The log was removed", sentence=sentence)
        if text := asked.query.get("search", ""):
            return await found_page(view, asked, opened, text)
        return await _lines(view, asked, opened)
    finally:
        opened.reader.close()


async def _lines(view: FarmView, asked: PageRequest, opened: OpenLog) -> Reply:
    reader, logs = opened.reader, opened.logs
    marked = _line_range(asked.query.get("line", ""))
    is_beyond, opens = False, None
    before, after = number_in(asked, "before"), number_in(asked, "after")
    if marked is not None:
        offset = await asked.outside_turn(logs.offset_of_line(reader, marked[0], LINE_WITHIN))
        if offset is None:
            return await counting_page(view, asked, opened)
        opens = offset
        is_beyond = bool(reader.length) and offset >= reader.length and marked[0] > 1
        shown = await logs.window(reader, start_before(reader, offset, _BEFORE), reader.length)
        if shown.end <= offset < reader.length:
            # What comes before it is too long to be on the same page.
            shown = await logs.window(reader, offset, reader.length)
    elif after is not None:
        opens = after
        shown = await logs.window(reader, after, reader.length)
    else:
        shown = await logs.window_before(reader, reader.length if before is None else min(before, reader.length))
    if reader.length and not shown.rows and shown.start < reader.length:
        raise NotFoundError("The file of this log is not there any more.")
    first = await opened.first_line(shown)
    rows = await rendered_lines(
        view, opened, shown, first, asked.root, marked=marked, opens=shown.end if opens is None else opens
    )
    return await view.page(
        asked,
        "log.html",
        **opened.context(asked.root),
        shown=shown,
        # Safe: a template of ours made it.
        lines=Markup(rows.decode()),  # noqa: S704
        near=opened.stored.near,
        empty=not shown.rows and not opened.stored.remarks,
        counted=first is not None or not shown.rows,
        search=None,
        find=asked.query.get("find", "")[:LONGEST_TEXT],
        case=asked.query.get("case") == "1",
        # An empty log says so itself.
        beyond=marked[0] if marked is not None and is_beyond else None,
        longest=LONGEST_TEXT,
    )


def _line_range(text: str) -> tuple[int, int] | None:
    """
    The first and the last line of "10" or "10-20".
    """
    first, _, last = text.removeprefix("L").partition("-")
    begin, end = whole_number(first), whole_number(last.removeprefix("L") or first)
    return None if begin is None or end is None or not 0 < begin <= end else (begin, end)


async def raw(view: FarmView, asked: PageRequest, builder: str, number: int, step: str, log: str) -> Streamed | Reply:
    """
    The bytes of a log, or with ``offset=`` and ``size=`` some of them.
    """
    opened = await opened_log(view, builder, number, step, log)
    stored = opened.stored
    if stored.removed:
        opened.reader.close()
        raise NotFoundError(f"The logs of {builder}/{number} were removed (c['retention']).")
    offset, size = number_in(asked, "offset"), number_in(asked, "size")
    part = None if offset is None or size is None else ByteRange.within(offset, size, opened.reader.length)
    name = file_name(f"{builder}-{number}-{stored.step.name}-{stored.name}.txt")
    reply = raw_reply(asked, opened.reader, view.logs, name=name, ended=stored.ended, part=part)
    return until_revoked(view, asked, reply)


ROUTES = (
    Route(PATH, log_page),
    Route(f"{PATH}/lines", lines, kept=0),
    Route(f"{PATH}/raw", raw, kept=0),
)
