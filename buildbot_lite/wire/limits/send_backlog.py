"""
Whether the peer reads what we send.

Whoever asks for much and reads nothing would fill our memory with answers.  Twisted tells a producer when the transport
holds more than it likes to; so here is one that produces nothing, and only counts what is added from then on.
"""

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IConsumer, IPushProducer
from zope.interface import implementer

from ...deferreds import OneShot
from ..contract import MOST_BYTES_UNREAD


@implementer(IPushProducer)
class Unread:
    """
    What *transport* was given since it had enough.
    """

    def __init__(self, transport: IConsumer) -> None:
        self._transport: IConsumer | None = transport
        self._bytes: int | None = None
        self._clear: OneShot[None] = OneShot()
        transport.registerProducer(self, True)

    @property
    def clogged(self) -> bool:
        """
        Whether the peer is to read something before it gets more.
        """
        return self._bytes is not None

    def when_clear(self) -> Deferred[None]:
        """
        Fires when the peer need not read anything before it gets more, or when the connection ends.
        """
        if not self.clogged or self._transport is None:
            return succeed(None)
        return self._clear.wait()

    def adds(self, size: int) -> bool:
        """
        It is given *size* bytes more: whether that is too much.
        """
        if self._bytes is None:
            return False
        self._bytes += size
        return self._bytes > MOST_BYTES_UNREAD

    def unplug(self) -> None:
        """
        The transport is to be closed: it would wait for its producer first.
        """
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.unregisterProducer()
        self._wake()

    def pauseProducing(self) -> None:
        """
        The transport has enough.
        """
        self._bytes = 0

    def resumeProducing(self) -> None:
        """
        The peer has read it.
        """
        self._bytes = None
        self._wake()

    def stopProducing(self) -> None:
        """
        The transport is closed.
        """
        self._wake()

    def _wake(self) -> None:
        clear, self._clear = self._clear, OneShot()
        clear.fire(None)
