"""
The client of an admin's question that follows a log, in the forms that the senders of logs need.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NoReturn

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.python.failure import Failure

from ..errors import LinkLostError
from ..model.json_reader import JsonReader
from ..wire.control import CHUNKS_IN_ORDER, Follower
from ..wire.limits.account import Account

Answer = Mapping[str, Any]

OUT = b"1"
ERR = b"2"


class OneAtATime:
    """
    *follower*, for a command of 0.1.0: it writes each chunk in a thread of its own, so two would come in any order.
    """

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self._turn = DeferredLock()
        self.when_writable = follower.when_writable
        self.when_lost = follower.when_lost

    def chunk(self, data: bytes) -> Deferred[None]:
        """
        Send the next bytes; fires when the client has processed them.
        """
        return self._turn.run(self._follower.chunk, data)


@frozen
class FramedClient:
    """
    *follower* as `send_window.Client`.
    """

    follower: Follower

    def stdout(self, data: bytes) -> Deferred[None]:
        return self.follower.chunk(OUT + data)

    def stderr(self, data: bytes) -> Deferred[None]:
        return self.follower.chunk(ERR + data)

    def when_writable(self) -> Deferred[None]:
        return self.follower.when_writable()


def followed(
    question: Answer,
    follower: Follower,
    account: Account,
    send: Callable[[JsonReader, FramedClient], Awaitable[Answer]],
) -> Deferred[Answer]:
    """
    Have *send* answer *question*, with chunks to *follower* before the answer, and end it when the client is lost.
    *account*: its limit of followers applies.
    """
    reader = JsonReader(dict(question), "the question")
    client = FramedClient(follower if reader.flag(CHUNKS_IN_ORDER, default=False) else OneAtATime(follower))

    async def counted() -> Answer:
        with account.following():
            return await send(reader, client)

    sending = Deferred.fromCoroutine(counted())
    follower.when_lost(sending.cancel)
    return sending.addErrback(_link_lost_if_cancelled)


def _link_lost_if_cancelled(failure: Failure) -> NoReturn:
    if failure.check(CancelledError):
        raise LinkLostError
    failure.raiseException()
