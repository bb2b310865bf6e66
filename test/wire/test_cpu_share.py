"""
The CPU time that the holder of a FURL may use (promise 14).
"""

from typing import Any
from unittest import mock

from twisted.internet import reactor  # noqa: TID251 - these tests use the network
from twisted.internet.defer import succeed
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.wire.contract import (
    FREE_SECONDS_PER_BYTE,
    HOLDER_BURST,
    HOLDER_SHARE,
    LOG_LINES_BURST,
    SILENCE,
)
from buildbot_lite.wire.control import RemoteFollower
from buildbot_lite.wire.exposed import Revocable
from buildbot_lite.wire.flapp import RemoteWatcher
from buildbot_lite.wire.limits.cpu_share import SLOWED, CpuShare

from .test_broker import BrokerTestCase
from .tub_case import (
    turn,
    until,
    with_reactor,
)


class CpuShareTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.used = 0.0
        self.bucket = Revocable().cpu_bucket(self.clock)
        self.transport = StringTransport()
        self.slowed: list[str] = []
        self.share = CpuShare(self.clock, self.bucket, self.transport, lambda: self.used, self.slowed.append)

    def work(self, seconds: float) -> None:
        """
        Spend *seconds* of CPU time on the link; the clock does not advance.
        """
        with self.share.metered():
            self.used += seconds

    def test_burst(self) -> None:
        """
        A burst, such as that of a slave which attaches with a thousand commands, does not pause the link.
        """
        self.work(HOLDER_BURST)
        self.assertEqual((self.share.paused, self.transport.producerState, self.slowed), (False, "producing", []))

    def test_share(self) -> None:
        """
        Promise 14: a link that uses more than its share is paused until its debt is paid.
        """
        self.work(HOLDER_BURST + 1.0)
        self.assertEqual((self.share.paused, self.transport.producerState), (True, "paused"))
        self.clock.advance(1.0 / HOLDER_SHARE - 0.1)
        self.assertEqual(self.transport.producerState, "paused")
        self.clock.advance(0.1)
        self.assertEqual((self.share.paused, self.transport.producerState), (False, "producing"))

    def test_data_before_the_pause(self) -> None:
        """
        Work for data that arrived before the pause is charged.
        """
        self.work(HOLDER_BURST + 1.0)
        self.work(1.0)
        self.clock.advance(1.0 / HOLDER_SHARE)
        self.assertEqual(self.transport.producerState, "paused")
        self.clock.advance(1.0 / HOLDER_SHARE)
        self.assertEqual(self.transport.producerState, "producing")

    def test_long_run(self) -> None:
        """
        Promise 14: however much a link sends, in the long run it gets its share.
        """
        for _ in range(100_000):
            if self.share.paused:
                self.clock.advance(0.001)
            else:
                self.work(0.001)
                self.clock.advance(0.001)

        self.assertLess(self.used, self.clock.seconds() * HOLDER_SHARE + HOLDER_BURST + 0.1)

    def test_bytes_are_free(self) -> None:
        """
        A log of any length and rate never pauses a link.
        """
        for _ in range(10_000):
            self.share.refund(1 << 18)
            self.work((1 << 18) * FREE_SECONDS_PER_BYTE)
        self.assertEqual(self.transport.producerState, "producing")

    def test_bytes_are_not_saved_up(self) -> None:
        """
        Promise 14: refunds for streams cannot be saved up.
        """
        self.share.refund(1 << 40)
        self.work(HOLDER_BURST + 0.1)
        self.assertEqual(self.transport.producerState, "paused")

    def test_pause_is_reported(self) -> None:
        """
        The reason for a pause is reported at most once a minute.
        """
        for _ in range(10):
            self.work(HOLDER_BURST + 1.0)
            self.clock.advance(4.0 / HOLDER_SHARE)
        self.assertEqual(self.slowed, [SLOWED, SLOWED])

    def test_one_bucket(self) -> None:
        """
        Promise 14: presenting a FURL on many links gives no more CPU time.
        """
        other = CpuShare(self.clock, self.bucket, StringTransport(), lambda: self.used, self.slowed.append)
        self.work(HOLDER_BURST)
        with other.metered():
            self.used += 0.1
        self.assertTrue(other.paused)

    def test_lost(self) -> None:
        """
        After the link is lost, no timer runs.
        """
        self.work(HOLDER_BURST + 1.0)
        self.share.stop()
        self.work(HOLDER_BURST + 1.0)
        self.assertEqual((self.clock.getDelayedCalls(), self.share.paused), ([], False))


class CpuShareLinkTests(BrokerTestCase):
    @with_reactor
    async def test_log_is_bounded(self: Any) -> None:
        """
        Promise 14: a peer that reconnects each time it is cut does not fill the log.
        """
        lines = []
        for _ in range(2):
            await self.slave()
            (link,) = self.revocable.links
            with capturedLogs() as logs:
                link.drop("for no reason")
            lines.append(len([each for each in logs if "closing the connection" in each["log_format"]]))
            await until(lambda: not self.revocable.links)
            self.farm.log_lines.spend(LOG_LINES_BURST)

        self.assertEqual(lines, [1, 0])

    @with_reactor
    async def test_endless_calls(self: Any) -> None:
        """
        Promise 14: a slave that calls without end is paused, but not cut, although it is silent meanwhile; the grant is
        notified of the pause, and all calls are answered in the end.
        """
        used = [0.0]
        slowed: list[str] = []

        def each_time() -> float:
            used[0] += 0.1
            return used[0]

        _, remote = await self.command()
        self.revocable.on_slowed = slowed.append
        (broker,) = {link._broker for link in self.revocable.links}
        broker._cpu_share._time = each_time
        calls = [remote.read("x", 0, 0) for _ in range(200)]
        await until(lambda: broker._cpu_share.paused)
        read = broker.transport in reactor.getReaders()
        # In steps, none of which is a pause of the whole process.
        self.clock.pump([SILENCE / 5] * 5)
        while not all(call.called for call in calls):
            self.clock.advance(0.01)
            await turn()

        self.assertFalse(read)
        self.assertFalse(broker.disconnected)
        self.assertIn(SLOWED, slowed)
        self.assertEqual([await call for call in calls], [b""] * len(calls))


class RefundTests(SynchronousTestCase):
    def test_sent(self) -> None:
        """
        The refund for a sent byte is smaller than that for a received one, because sending is not charged: a holder
        cannot gain CPU time by following a log.
        """
        bucket = mock.Mock()
        share = CpuShare(Clock(), bucket, mock.Mock(), lambda: 0.0, lambda sentence: None)
        for refund in (share.refund, share.refund_sent):
            refund(1 << 20)
        received, sent = (-call.args[0] for call in bucket.spend.call_args_list)
        self.assertEqual(received, (1 << 20) * FREE_SECONDS_PER_BYTE)
        # A chunk on a fast link has 256 KiB, and its acknowledgement takes about 0.3 ms.
        self.assertLess(sent / 4, 0.0004)


class FollowerRefundTests(SynchronousTestCase):
    def test_refunded_by_the_byte(self) -> None:
        """
        Promise 7.5: log bytes sent to a follower are refunded like bytes that a slave sends; remarks are not.
        """
        reference = mock.Mock()
        reference.callRemote.side_effect = lambda method, **arguments: succeed(None)
        counted = reference.tracker.broker.count_stream_bytes
        self.successResultOf(RemoteFollower(reference).chunk(bytes(100)))
        watcher = RemoteWatcher(reference)
        self.successResultOf(watcher.stdout(bytes(50)))
        self.successResultOf(watcher.stderr(bytes(7)))

        self.assertEqual([call.args for call in counted.call_args_list], [(100,), (50,)])
