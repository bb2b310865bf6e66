"""
Lines of a log and the remarks between them, as a part of a page.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from attrs import frozen
from markupsafe import Markup

from ...storage.records.remarks import Remark
from ..logs.farm_logs import digest_of
from ..logs.stored_log import StoredLog
from ..logs.windows import LogRow, LogWindow
from ..view import FarmView
from .opened_log import OpenLog

GROUP = 50
"""Rows of a group; ``log.css`` says how high one is until the browser has laid it out."""
_NEAR = 60
"""Rows on each side of where a page opens that are seen at once, also on a large screen."""


async def rendered_lines(
    view: FarmView,
    opened: OpenLog,
    shown: LogWindow,
    first: int | None,
    root: str,
    *,
    marked: tuple[int, int] | None = None,
    after: int = -1,
    moved: bool = False,
    opens: int | None = None,
) -> bytes:
    """
    The lines that are *shown*, as a part of a page.  All who look at the same ones get the same bytes.  *opens*: the
    offset at which the page opens; None: the lines become part of a page that is there.
    """

    async def render() -> bytes:
        return view.templates.render(
            "log_lines.html",
            {
                **opened.context(root),
                "shown": shown,
                "ended": opened.stored.ended and shown.end == shown.length,
                "layout": opened.layout(),
                "moved": moved,
                "groups": _groups(_entries(opened.stored, shown, first, marked, after), opens),
                "near": opened.stored.near,
                "remark": _newest(opened.stored),
            },
        )

    of = (opened.context(root)["base"], digest_of(opened.reader.parts), opened.stored.ended, _newest(opened.stored))
    return await opened.logs.parts.get((*of, shown.start, shown.end, first, marked, after, moved, opens), render)


def _entries(
    stored: StoredLog, shown: LogWindow, first: int | None, marked: tuple[int, int] | None = None, after: int = -1
) -> list[dict[str, Any]]:
    """
    What a page shows of the window *shown*: its rows, whose numbers count from *first*, and between them the remarks
    with an id above *after*, each below the line in which it was made.
    """
    beside = sorted((each for each in stored.remarks if each.id > after), key=lambda each: each.offset)
    # On its first page, a remark stands at the end of the line before; in what comes later, each is new.
    waiting = [each for each in beside if each.offset > shown.start or not shown.start or after >= 0]
    entries: list[dict[str, Any]] = []
    # What was said before the first byte, such as the command, stands above the first line.
    while not shown.start and after < 0 and waiting and not waiting[0].offset:
        entries.append(_remark(waiting.pop(0)))
    for index, row in enumerate(shown.rows):
        end = shown.rows[index + 1].offset if index + 1 < len(shown.rows) else shown.end
        goes_on = not row.ends and not row.hidden and end < shown.length
        entries.append({**_row(row, end, first, marked), "goes_on": goes_on})
        while waiting and waiting[0].offset <= end:
            entries.append(_remark(waiting.pop(0)))
    if shown.end == shown.length:
        entries += [_remark(each) for each in waiting]
    return entries


@frozen
class RowGroup:
    """
    *entries* that stand together.  *is_far*: from where the page opens, so that the browser need not lay them out
    before the page is shown.  The last group never is: the page replaces its last line when the log goes on.
    """

    entries: Sequence[dict[str, Any]]
    is_far: bool


def _groups(entries: Sequence[dict[str, Any]], opens: int | None) -> list[RowGroup]:
    """
    The *entries* of a page that opens at the row with the offset *opens*, in groups of `GROUP` rows; the last one may
    have fewer.
    """
    places = [place for place, entry in enumerate(entries) if "offset" in entry]
    if opens is None or len(places) <= GROUP:
        return [RowGroup(entries, is_far=False)]
    opened = sum(entries[place]["offset"] < opens for place in places)
    # The first one has also what stands before its rows.
    begins = [0, *places[GROUP::GROUP], len(entries)]
    groups = []
    for number, (begin, end) in enumerate(pairwise(begins)):
        first = number * GROUP
        is_last = end == len(entries)
        is_near = first - _NEAR <= opened < first + GROUP + _NEAR
        groups.append(RowGroup(entries[begin:end], is_far=not is_last and not is_near))
    return groups


def _newest(stored: StoredLog) -> int:
    """
    The id of the newest remark, 0 without any; their number stays the same when there are more than are kept.
    """
    return max((each.id for each in stored.remarks), default=0)


def _row(row: LogRow, end: int, first: int | None, marked: tuple[int, int] | None) -> dict[str, Any]:
    number = None if first is None else first + row.number
    return {
        # Safe: `terminal` escapes all characters of the log.
        "html": Markup(row.html),  # noqa: S704
        "number": number,
        "offset": row.offset,
        "begins": row.begins,
        "hidden": row.hidden,
        "size": end - row.offset,
        "marked": marked is not None and number is not None and marked[0] <= number <= marked[1],
        "first_marked": marked is not None and number == marked[0] and row.begins,
    }


def _remark(remark: Remark) -> dict[str, Any]:
    return {"remark": remark}
