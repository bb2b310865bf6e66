"""
Answers that take long are cut when their reader may not read any more.
"""

from typing import Any

from attrs import evolve
from twisted.internet.interfaces import IDelayedCall

from ...errors import BuildbotLiteError, NeedsHolderError
from ..farm.live import is_private
from ..farm.master_watch import FarmChange
from ..page_request import Holder, PageRequest
from ..view import FarmView, Reply, Streamed


async def check_reader(view: FarmView, asked: PageRequest) -> None:
    """
    `NeedsHolderError` if who *asked* may no longer read: while it waits, its grant can be revoked, or the farm become
    private.
    """
    if asked.holder is not None:
        may_read = await view.sessions.holder(asked) is not None
    else:
        may_read = not is_private(await view.told(asked, "www"))
    if not may_read:
        raise NeedsHolderError


def may_be_revoked(holder: Holder, change: FarmChange) -> bool:
    """
    Whether the grant of *holder* may be among those that *change* names as revoked.
    """
    return change.revoked is None or holder.grant in change.revoked


def until_revoked(view: FarmView, asked: PageRequest, reply: Streamed | Reply) -> Streamed | Reply:
    """
    *reply* to *asked*, which is cut when the grant of its holder expires or may have been revoked, or all sessions end;
    or, if it has no holder, when the farm becomes private.  The client can ask for the rest.
    """
    if not isinstance(reply, Streamed):
        return reply
    holder = asked.holder
    # The turn is over when the answer is written.
    without_turn = evolve(asked, turn=None)

    async def write(request: Any) -> None:
        def cut(_: object = None) -> None:
            # None: its client has hung up.
            if request.channel is not None:
                request.channel.transport.abortConnection()

        def hear(change: FarmChange) -> None:
            if holder is not None and may_be_revoked(holder, change):
                cut()

        expiry: IDelayedCall | None = None
        if holder is None:
            stops = [view.live.on_private(cut)]
        else:
            stops = [view.news.on_news(hear), view.sessions.on_end_of_all(cut)]
            expiry = view.logs.clock.callLater(view.sessions.left(holder), cut)
        try:
            # It took a while until here, in which nobody listened.
            try:
                await check_reader(view, without_turn)
            except BuildbotLiteError:
                cut()
            await reply.write(request)
        finally:
            for stop in stops:
                stop()
            if expiry is not None and expiry.active():
                expiry.cancel()

    return evolve(reply, write=write)
