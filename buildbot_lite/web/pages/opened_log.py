"""
A log that is read for a page: what its addresses name, its files, and what its templates say of it.
"""

from collections.abc import Mapping
from typing import Any
from zlib import crc32

from attrs import frozen

from ...model.whole_numbers import whole_number
from ..html.rendering import page_of_build, segment
from ..logs.farm_logs import FarmLogs
from ..logs.log_reader import LogReader
from ..logs.stored_log import StoredLog
from ..logs.windows import LogWindow
from ..page_request import PageRequest
from ..view import FarmView, Reply

PATH = "/builders/<builder>/<int:number>/steps/<step>/logs/<log>"
NUMBERS_WITHIN = 0.3
"""Seconds for which a page waits until its lines are counted; then it is shown without their numbers."""
LINE_WITHIN = 3.0
"""Seconds for which a page waits for the place of a line."""
_LARGEST = 1 << 60
_DIGITS = 19


@frozen
class OpenLog:
    """
    A log that is read for a page.
    """

    stored: StoredLog
    reader: LogReader
    logs: FarmLogs

    def context(self, root: str) -> Mapping[str, Any]:
        """
        What the templates say of the log.  *root*: the relative address of the first page.
        """
        build, step = self.stored.build, self.stored.step
        of_build = f"{root}{page_of_build(build.builder, build.number)}"
        logs = f"{of_build}/steps/{step.number}/logs/"
        return {
            "builder": build.builder,
            "number": build.number,
            "build_id": build.id,
            "step": step,
            "log": self.stored.name,
            "names": self.stored.names,
            "length": self.reader.length,
            "ended": self.stored.ended,
            "of_build": of_build,
            "of_logs": logs,
            "base": f"{logs}{segment(self.stored.name)}",
        }

    def layout(self, like: str = "") -> str:
        """
        What offsets in this log count on: which files come before the last one, and how long they are.  *like*: of as
        many files as in this layout.
        """
        parts = self.reader.parts[: whole_number(like.partition(".")[0])]
        before = [*parts[:-1], *(part.path for part in parts[-1:])]
        return f"{len(parts)}.{crc32(repr(before).encode())}"

    async def first_line(self, shown: LogWindow) -> int | None:
        """
        The number of the first line that is *shown*, or None.
        """
        return await self.logs.line_at(self.reader, shown.start, NUMBERS_WITHIN) if shown.rows else None


async def opened_log(view: FarmView, builder: str, number: int, step: str, log: str) -> OpenLog:
    """
    The log at these names in an address; its reader must be closed.  `NotFoundError` if there is none.
    """
    stored = await view.logs.find(view.records, view.news, builder, number, step, log)
    return OpenLog(stored, view.logs.reader(stored, view.places().streams), view.logs)


def number_in(asked: PageRequest, name: str) -> int | None:
    """
    The number in the query's field *name*, at most 2⁶⁰; None if there is none.
    """
    number = whole_number(asked.query.get(name, ""), _DIGITS)
    return None if number is None else min(number, _LARGEST)


async def counting_page(view: FarmView, asked: PageRequest, opened: OpenLog) -> Reply:
    """
    The page for a line whose place is not known yet; the browser asks again by itself.
    """
    part = opened.logs.numbers.counted(opened.reader) / max(1, opened.reader.length)
    sentence = f"The lines of this log are being counted: {part:.0%}.  This page comes again in two seconds."
    reply = await view.page(asked, "sentence.html", 503, title="One moment", sentence=sentence)
    return Reply(reply.status, reply.body, headers={"refresh": "2", "retry-after": "2"})
