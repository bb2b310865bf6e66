"""
The client of an admin's question that follows a log, in the forms that the senders of logs need.
"""

from attrs import frozen
from twisted.internet.defer import Deferred, DeferredLock

from ..wire.control import Follower

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
