"""
The backlog of a peer that does not read.
"""

from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.wire.contract import MOST_BYTES_UNREAD
from buildbot_lite.wire.limits.send_backlog import SendBacklog


class SendBacklogTests(SynchronousTestCase):
    """
    A backlog and its transport.
    """

    def setUp(self) -> None:
        self.transport = StringTransport()
        self.backlog = SendBacklog(self.transport)

    def test_reads(self) -> None:
        """
        While the peer reads, any number of bytes may be sent.
        """
        self.assertFalse(self.backlog.full)
        self.assertFalse(self.backlog.add(10 * MOST_BYTES_UNREAD))

    def test_does_not_read(self) -> None:
        """
        Bytes are counted while the transport's buffer is full; after the peer has read, counting starts again.
        """
        producer: Any = self.transport.producer
        for _ in range(2):
            producer.pauseProducing()
            self.assertTrue(self.backlog.full)
            self.assertFalse(self.backlog.add(MOST_BYTES_UNREAD))
            self.assertTrue(self.backlog.add(1))
            producer.resumeProducing()
            self.assertFalse(self.backlog.full)

    def test_when_clear(self) -> None:
        """
        `when_clear` fires when the peer has read, or when the connection ends.
        """
        producer: Any = self.transport.producer
        self.successResultOf(self.backlog.when_clear())
        for clear in (producer.resumeProducing, producer.stopProducing, self.backlog.unregister):
            producer.pauseProducing()
            waiting, gave_up = self.backlog.when_clear(), self.backlog.when_clear()
            gave_up.cancel()
            self.failureResultOf(gave_up, CancelledError)
            self.assertNoResult(waiting)
            clear()
            self.successResultOf(waiting)

    def test_unregister(self) -> None:
        """
        `unregister` removes the producer; a second call does nothing.
        """
        self.backlog.unregister()
        self.backlog.unregister()
        producer: Any = self.transport.producer

        self.assertIsNone(producer)
