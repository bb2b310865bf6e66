"""
The backlog of unread answers of one connection.

A peer that sends many requests and reads nothing would fill our memory with answers.  Twisted tells a registered
producer when the transport's buffer is full.  The producer here exists only to be told; from then on, it counts the
bytes that are added.
"""

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IConsumer, IPushProducer
from zope.interface import implementer

from ...deferreds import OneShot
from ..contract import MOST_BYTES_UNREAD


@implementer(IPushProducer)
class SendBacklog:
    """
    The bytes that were written to *transport* since its buffer was full.
    """

    def __init__(self, transport: IConsumer) -> None:
        self._transport: IConsumer | None = transport
        self._bytes: int | None = None
        self._clear: OneShot[None] = OneShot()
        transport.registerProducer(self, True)

    @property
    def full(self) -> bool:
        """
        Whether the transport's buffer is full, because the peer does not read.
        """
        return self._bytes is not None

    def when_clear(self) -> Deferred[None]:
        """
        Fires when the buffer is not full, or the connection ends.
        """
        if not self.full or self._transport is None:
            return succeed(None)
        return self._clear.wait()

    def add(self, size: int) -> bool:
        """
        Count *size* more bytes; return whether the backlog is larger than `MOST_BYTES_UNREAD` now.
        """
        if self._bytes is None:
            return False
        self._bytes += size
        return self._bytes > MOST_BYTES_UNREAD

    def unregister(self) -> None:
        """
        Detach from the transport.  Call it before closing the transport, which would otherwise wait for this producer.
        """
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.unregisterProducer()
        self._wake()

    def pauseProducing(self) -> None:
        self._bytes = 0

    def resumeProducing(self) -> None:
        self._bytes = None
        self._wake()

    def stopProducing(self) -> None:
        self._wake()

    def _wake(self) -> None:
        clear, self._clear = self._clear, OneShot()
        clear.fire(None)
