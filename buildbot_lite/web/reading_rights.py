"""
Answers that take long are cut when their reader may not read any more.
"""

from typing import Any

from attrs import evolve

from ..errors import NeedsHolderError
from .master_watch import FarmChange
from .page_request import Holder, PageRequest
from .view import FarmView, Reply, Streamed


async def check_reader(view: FarmView, asked: PageRequest) -> None:
    """
    `NeedsHolderError` if who *asked* may no longer read: while it waits, its grant can be revoked, or the farm become
    private.
    """
    if asked.holder is not None:
        may_read = await view.sessions.holder(asked) is not None
    else:
        may_read = not await view.live.is_private()
    if not may_read:
        raise NeedsHolderError


def may_be_revoked(holder: Holder, change: FarmChange) -> bool:
    """
    Whether the grant of *holder* may be among those that *change* names as revoked.
    """
    return change.revoked is None or holder.grant in change.revoked


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
            if holder is not None and may_be_revoked(holder, change):
                cut()

        stop = view.live.on_private(cut) if holder is None else view.news.on_news(hear)
        try:
            await reply.write(request)
        finally:
            stop()

    return evolve(reply, write=write)
