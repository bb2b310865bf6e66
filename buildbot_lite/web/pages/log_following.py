"""
What a log has got meanwhile: an answer that waits until there is something, or until the log has ended.
"""

from ...deferreds import next_turn
from ..logs.stored_log import StoredLog
from ..page_request import PageRequest
from ..replies.reading_rights import check_reader, may_be_revoked
from ..view import FarmView, Reply
from .log_lines import rendered_lines
from .opened_log import OpenLog, number_in, opened_log

FOLLOWED = 25.0
"""Seconds after which a request for new lines is answered without any: proxies cut those that are silent for longer."""
POLLED = 2.0
"""Seconds between two looks at a log while the master tells no news."""
LARGE = 64 << 10
"""Bytes of new lines that are sent without a pause."""


async def lines(view: FarmView, asked: PageRequest, builder: str, number: int, step: str, log: str) -> Reply:
    """
    A part of the page: the lines from the offset ``after=`` on, once there are any, or after `FOLLOWED` seconds without
    one.  ``remark=``: the number of the last remark that the client has.  With ``ended=1`` the client knows that the
    log gets no more bytes.
    """
    after, remark = number_in(asked, "after") or 0, number_in(asked, "remark") or 0
    length = number_in(asked, "length") or after
    until = view.logs.clock.seconds() + FOLLOWED
    paced = False
    while True:
        before = view.news.latest
        opened = await opened_log(view, builder, number, step, log)
        try:
            await check_reader(view, asked)
            grown = opened.reader.length - length
            is_news = grown != 0 or any(each.id > remark for each in opened.stored.remarks)
            is_over = opened.stored.ended or view.logs.clock.seconds() >= until
            if is_over or (is_news and (paced or grown > LARGE)):
                return await _new_lines(view, asked, opened, after, remark)
        finally:
            opened.reader.close()
        if is_news:
            paced = True
            await asked.outside_turn(view.logs.pace())
        elif view.news.latest is before:
            await asked.outside_turn(_news_of(view, asked, opened.stored, until))
        # The sessions hear of the same news in this turn.
        await next_turn(view.logs.clock)


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
        if asked.holder is not None and may_be_revoked(asked.holder, change):
            return


async def _new_lines(view: FarmView, asked: PageRequest, opened: OpenLog, after: int, remark: int) -> Reply:
    shown = await opened.logs.window(opened.reader, after, opened.reader.length)
    first = await opened.first_line(shown)
    like = asked.query.get("layout", "")
    # The lines become part of the page, whose address is shorter by one segment.
    root = asked.root.removeprefix("../")
    moved = like != opened.layout(like)
    return Reply(200, await rendered_lines(view, opened, shown, first, root, after=remark, moved=moved))
