"""
The pages of a log: its lines, a search in it, what it has got meanwhile, and its bytes.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from zlib import crc32

from attrs import evolve, frozen
from markupsafe import Markup

from ..deferreds import next_turn
from ..errors import LimitError, NeedsHolderError, NotFoundError
from ..model.display import file_name
from ..storage.records.remarks import Remark
from .farm_logs import FarmLogs, digest_of
from .logs.log_reader import LogReader
from .logs.log_search import LONGEST_TEXT, FoundLine, SearchState, TextSearch
from .logs.terminal import visible
from .logs.windows import LogRow, LogWindow, start_before
from .master_watch import FarmChange
from .page_request import Holder, PageRequest
from .raw_log import ByteRange, raw_reply
from .rendering import segment
from .stored_log import StoredLog
from .view import FarmView, Reply, Route, Streamed

PATH = "/builders/<builder>/<int:number>/steps/<step>/logs/<log>"
NUMBERS_WITHIN = 0.3
"""Seconds for which a page waits until its lines are counted; then it is shown without their numbers."""
LINE_WITHIN = 3.0
"""Seconds for which a page waits for the place of a line."""
FOLLOWED = 25.0
"""Seconds after which a request for new lines is answered without any: proxies cut those that are silent for longer."""
POLLED = 2.0
"""Seconds between two looks at a log while the master tells no news."""
LARGE = 64 << 10
"""Bytes of new lines that are sent without a pause."""
_BEFORE = 50
_LARGEST = 1 << 60


@frozen
class _OpenLog:
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
        of_build = f"{root}builders/{segment(build.builder)}/{build.number}"
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
        count = like.partition(".")[0]
        parts = self.reader.parts[: int(count)] if count.isascii() and count.isdigit() else self.reader.parts
        before = [*parts[:-1], *(part.path for part in parts[-1:])]
        return f"{len(parts)}.{crc32(repr(before).encode())}"

    async def first_line(self, shown: LogWindow, seconds: float = NUMBERS_WITHIN) -> int | None:
        """
        The number of the first line that is *shown*, or None.
        """
        return await self.logs.line_at(self.reader, shown.start, seconds) if shown.rows else None


async def _opened(view: FarmView, builder: str, number: int, step: str, log: str) -> _OpenLog:
    stored = await view.logs.find(view, builder, number, step, log)
    return _OpenLog(stored, view.logs.reader(stored, view.places().streams), view.logs)


def _number(asked: PageRequest, name: str) -> int | None:
    text = asked.query.get(name, "")
    return min(int(text), _LARGEST) if text.isascii() and text.isdigit() and len(text) < 20 else None


async def log_page(view: FarmView, asked: PageRequest, builder: str, number: int, step: str, log: str) -> Reply:
    """
    The lines of a log: at its tail, or where the query says.  ``line=N`` or ``line=N-M``: around these lines, which are
    marked; ``before=``, ``after=``: the lines up to or from this offset.  ``search=``: the lines with a text.
    """
    opened = await _opened(view, builder, number, step, log)
    if opened.stored.removed:
        sentence = f"The logs of {builder}/{number} were removed, as those of all builds of its age (c['retention'])."
        return await view.page(asked, "sentence.html", 410, title="The log was removed", sentence=sentence)
    try:
        if text := asked.query.get("search", ""):
            return await _found(view, asked, opened, text)
        return await _lines(view, asked, opened)
    finally:
        opened.reader.close()


async def _lines(view: FarmView, asked: PageRequest, opened: _OpenLog) -> Reply:
    reader, logs = opened.reader, opened.logs
    marked = _line_range(asked.query.get("line", ""))
    is_beyond = False
    before, after = _number(asked, "before"), _number(asked, "after")
    if marked is not None:
        offset = await logs.offset_of_line(reader, marked[0], LINE_WITHIN)
        if offset is None:
            return await _counting(view, asked, opened)
        is_beyond = bool(reader.length) and offset >= reader.length and marked[0] > 1
        shown = await logs.window(reader, start_before(reader, offset, _BEFORE), reader.length)
    elif after is not None:
        shown = await logs.window(reader, after, reader.length)
    else:
        shown = await logs.window_before(reader, reader.length if before is None else min(before, reader.length))
    if reader.length and not shown.rows and shown.start < reader.length:
        raise NotFoundError("The file of this log is not there any more.")
    first = await opened.first_line(shown)
    rows = await _rendered(view, opened, shown, first, asked.root, marked=marked)
    return await view.page(
        asked,
        "log.html",
        **opened.context(asked.root),
        shown=shown,
        # Safe: a template of ours made it.
        lines=Markup(rows.decode()),  # noqa: S704
        empty=not shown.rows and not opened.stored.remarks,
        counted=first is not None or not shown.rows,
        search=None,
        # An empty log says so itself.
        beyond=marked[0] if marked is not None and is_beyond else None,
        longest=LONGEST_TEXT,
    )


async def _rendered(
    view: FarmView,
    opened: _OpenLog,
    shown: LogWindow,
    first: int | None,
    root: str,
    *,
    marked: tuple[int, int] | None = None,
    after: int = -1,
    moved: bool = False,
) -> bytes:
    """
    The lines that are *shown*, as a part of a page.  All who look at the same ones get the same bytes.
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
                **_entries(opened.stored, shown, first, marked, after),
            },
        )

    of = (opened.context(root)["base"], digest_of(opened.reader.parts), opened.stored.ended, len(opened.stored.remarks))
    return await opened.logs.parts.get((*of, shown.start, shown.end, first, marked, after, moved), render)


def _line_range(text: str) -> tuple[int, int] | None:
    """
    The first and the last line of "10" or "10-20".
    """
    first, _, last = text.removeprefix("L").partition("-")
    last = last.removeprefix("L") or first
    if not all(each.isascii() and each.isdigit() and len(each) < 16 for each in (first, last)):
        return None
    return (int(first), int(last)) if 0 < int(first) <= int(last) else None


async def _counting(view: FarmView, asked: PageRequest, opened: _OpenLog) -> Reply:
    """
    The page for a line whose place is not known yet; the browser asks again by itself.
    """
    part = opened.logs.numbers.counted(opened.reader) / max(1, opened.reader.length)
    sentence = f"The lines of this log are being counted: {part:.0%}.  This page comes again in two seconds."
    reply = await view.page(asked, "sentence.html", 503, title="One moment", sentence=sentence)
    return Reply(reply.status, reply.body, headers={"refresh": "2", "retry-after": "2"})


def _entries(
    stored: StoredLog, shown: LogWindow, first: int | None, marked: tuple[int, int] | None = None, after: int = -1
) -> dict[str, Any]:
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
        entries.append(_row(row, end, first, marked))
        while waiting and waiting[0].offset <= end:
            entries.append(_remark(waiting.pop(0)))
    if shown.end == shown.length:
        entries += [_remark(each) for each in waiting]
    return {"entries": entries, "remark": max((each.id for each in stored.remarks), default=0)}


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
    }


def _remark(remark: Remark) -> dict[str, Any]:
    return {"remark": remark}


async def lines(view: FarmView, asked: PageRequest, builder: str, number: int, step: str, log: str) -> Reply:
    """
    A part of the page: the lines from the offset ``after=`` on, once there are any, or after `FOLLOWED` seconds without
    one.  ``remark=``: the number of the last remark that the client has.  With ``ended=1`` the client knows that the
    log gets no more bytes.
    """
    after, remark = _number(asked, "after") or 0, _number(asked, "remark") or 0
    length = _number(asked, "length") or after
    until = view.logs.clock.seconds() + FOLLOWED
    paced = False
    while True:
        before = view.news.latest
        opened = await _opened(view, builder, number, step, log)
        try:
            await _check_reader(view, asked)
            grown = opened.reader.length - length
            is_news = grown != 0 or any(each.id > remark for each in opened.stored.remarks)
            is_over = opened.stored.ended or view.logs.clock.seconds() >= until
            if is_over or (is_news and (paced or grown > LARGE)):
                return await _new_lines(view, asked, opened, after, remark)
        finally:
            opened.reader.close()
        if is_news:
            paced = True
            await view.logs.pace()
        elif view.news.latest is before:
            await _news_of(view, asked, opened.stored, until)
        # The sessions hear of the same news in this turn.
        await next_turn(view.logs.clock)


async def _check_reader(view: FarmView, asked: PageRequest) -> None:
    """
    `NeedsHolderError` if who *asked* may no longer read: while it waits, its grant can be revoked, or the farm become
    private.
    """
    if asked.holder is not None:
        may_read = await view.sessions.holder(asked) is not None
    else:
        may_read = not (await view.live.answer("www")).get("private", True)
    if not may_read:
        raise NeedsHolderError


async def _news_of(view: FarmView, asked: PageRequest, stored: StoredLog, until: float) -> None:
    """
    Wait until there may be something new of the log *stored*: not if only others grew.
    """
    clock, seq = view.logs.clock, view.news.latest.seq if view.news.latest is not None else None
    while True:
        seconds = max(0.0, min(FOLLOWED if view.news.flows else POLLED, until - clock.seconds()))
        change = await view.news.next().addTimeout(seconds, clock, lambda result, timeout: None)
        if change is None or change.seq != seq or change.streams is None or change.streams & stored.paths:
            return
        if asked.holder is not None and _may_be_revoked(asked.holder, change):
            return


def _may_be_revoked(holder: Holder, change: FarmChange) -> bool:
    return change.revoked is None or holder.grant in change.revoked


async def _new_lines(view: FarmView, asked: PageRequest, opened: _OpenLog, after: int, remark: int) -> Reply:
    shown = await opened.logs.window(opened.reader, after, opened.reader.length)
    first = await opened.first_line(shown)
    like = asked.query.get("layout", "")
    # The lines become part of the page, whose address is shorter by one segment.
    root = asked.root.removeprefix("../")
    moved = like != opened.layout(like)
    return Reply(200, await _rendered(view, opened, shown, first, root, after=remark, moved=moved))


async def _found(view: FarmView, asked: PageRequest, opened: _OpenLog, text: str) -> Reply:
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
            "next": None if after.offset >= opened.reader.length else f"{after.offset}.{after.line}.{after.skips:d}",
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
    return {"number": found.number, "offset": found.offset, "before": before, "text": text, "after": after}


async def raw(view: FarmView, asked: PageRequest, builder: str, number: int, step: str, log: str) -> Streamed | Reply:
    """
    The bytes of a log, or with ``offset=`` and ``size=`` some of them.
    """
    opened = await _opened(view, builder, number, step, log)
    stored = opened.stored
    if stored.removed:
        opened.reader.close()
        raise NotFoundError(f"The logs of {builder}/{number} were removed (c['retention']).")
    offset, size = _number(asked, "offset"), _number(asked, "size")
    part = None if offset is None or size is None else ByteRange.within(offset, size, opened.reader.length)
    name = file_name(f"{builder}-{number}-{stored.step.name}-{stored.name}.txt")
    reply = raw_reply(asked, opened.reader, view.logs.clock, name=name, ended=stored.ended, part=part)
    return until_revoked(view, asked.holder, reply)


def until_revoked(view: FarmView, holder: Holder | None, reply: Streamed | Reply) -> Streamed | Reply:
    """
    *reply*, which is cut when the grant of *holder* may have been revoked, or, if there is no holder, when the farm
    becomes private; the client can ask for the rest.
    """
    if not isinstance(reply, Streamed):
        return reply

    async def write(request: Any) -> None:
        def cut(_: object = None) -> None:
            request.channel.transport.abortConnection()

        def hear(change: FarmChange) -> None:
            if holder is not None and _may_be_revoked(holder, change):
                cut()

        stop = view.live.on_private(cut) if holder is None else view.news.on_news(hear)
        try:
            await reply.write(request)
        finally:
            stop()

    return evolve(reply, write=write)


ROUTES = (
    Route(PATH, log_page),
    Route(f"{PATH}/lines", lines, kept=0),
    Route(f"{PATH}/raw", raw, kept=0),
)
