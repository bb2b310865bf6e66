"""
Pings, and the loss of a silent link, on a fake clock.
"""

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.wire.contract import KEEPALIVE, SILENCE
from buildbot_lite.wire.exposed import ExposedDesk, Revocable
from buildbot_lite.wire.keepalive import LATE, Keepalive
from buildbot_lite.wire.reconnecting import connect
from buildbot_lite.wire.roles import Desk, Link
from buildbot_lite.wire.tub import make_tub

from .recording_roles import RecordingDesk
from .tub_case import FARM_KEY, SLAVE_KEY, SWISSNUM, TubTestCase, until, with_reactor


class KeepaliveTests(SynchronousTestCase):
    """
    Collects the pings and losses with their times.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.happened: list[tuple[str, float]] = []
        self.paused_until = 0.0
        self.keepalive = Keepalive(
            self.clock,
            ping=lambda: self.happened.append(("ping", self.clock.seconds())),
            silent=lambda: self.happened.append(("silent", self.clock.seconds())),
            paused_until=lambda: self.paused_until,
        )

    def passes(self, seconds: int) -> None:
        """
        Advance the clock by *seconds*, in steps of an eighth.
        """
        self.clock.pump([0.125] * (8 * seconds))

    def test_silence(self) -> None:
        """
        A silent link is pinged after 10 and 20 seconds, and lost after 25, once.
        """
        self.passes(60)

        self.assertEqual(self.happened, [("ping", 10), ("ping", 20), ("silent", 25)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_data_received(self) -> None:
        """
        Silence is measured from the last received data.
        """
        self.passes(24)
        self.keepalive.heard()
        self.assertEqual((self.keepalive.heard_at, self.keepalive.silence), (24, 0))
        self.passes(24)

        self.assertEqual(self.happened, [("ping", 10), ("ping", 20), ("ping", 34), ("ping", 44)])
        self.assertEqual(self.keepalive.silence, 24)

    def test_data_keeps_arriving(self) -> None:
        """
        A peer that keeps sending is never pinged.
        """
        for _ in range(100):
            self.passes(1)
            self.keepalive.heard()

        self.assertEqual(self.happened, [])

    def test_tolerated_silence(self) -> None:
        """
        A link with tolerated silence is pinged without end and never lost.
        """
        self.passes(12)
        self.keepalive.tolerate_silence()
        self.passes(100)

        self.assertEqual(self.happened, [("ping", float(at)) for at in range(10, 111, 10)])

    def test_reading_paused(self) -> None:
        """
        Silence while reading was paused does not count.
        """
        self.passes(9)
        self.paused_until = 9.0
        self.passes(26)

        self.assertEqual(self.happened, [("ping", 19), ("ping", 29), ("silent", 34)])

    def test_paused(self) -> None:
        """
        After a pause of this process, in which data may have come that was not read, the peer is pinged, and lost only
        after 10 more seconds.
        """
        self.passes(22)
        self.clock.advance(30)
        self.passes(60)

        self.assertEqual(self.happened, [("ping", 10), ("ping", 20), ("ping", 52), ("silent", 62)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_heard_after_a_pause(self) -> None:
        """
        A peer that answers after a pause has all of its time again; its silence is told as it was.
        """
        self.passes(24)
        self.clock.advance(30)
        self.assertEqual(self.keepalive.silence, 54)
        self.passes(9)
        self.keepalive.heard()
        self.passes(24)

        self.assertEqual([at for what, at in self.happened if what == "ping"], [10, 20, 54, 73, 83])
        self.assertEqual(self.keepalive.silence, 24)

    def test_paused_early(self) -> None:
        """
        A pause that ends before the silence is too long does not end the link earlier, or later.
        """
        self.passes(9)
        self.clock.advance(3)
        self.passes(60)

        self.assertEqual(self.happened, [("ping", 12), ("ping", 22), ("silent", 25)])

    def test_paused_again_and_again(self) -> None:
        """
        At most three timers that are late spare a silent link.
        """
        for _ in range(10):
            self.clock.advance(30)

        self.assertEqual(self.happened, [("ping", 30), ("ping", 60), ("ping", 90), ("silent", 120)])

    def test_late_each_time(self) -> None:
        """
        A process whose timers are each a second late gives up a silent peer, too, and keeps one that answers.
        """
        for _ in range(10):
            self.clock.advance(KEEPALIVE + LATE)
            self.keepalive.heard()
        self.assertEqual({what for what, _ in self.happened}, {"ping"})
        while self.clock.getDelayedCalls():
            (timer,) = self.clock.getDelayedCalls()
            self.clock.advance(timer.getTime() + LATE - self.clock.seconds())
            self.assertLess(self.keepalive.silence, 60)

        self.assertEqual(self.happened[-1][0], "silent")

    def test_stopped(self) -> None:
        """
        Nothing happens after `stop`.
        """
        self.keepalive.stop()
        self.passes(60)
        self.keepalive.stop()

        self.assertEqual(self.happened, [])


class PauseTests(TubTestCase):
    """
    Both ends of a link over TLS, on one fake clock.
    """

    @with_reactor
    async def test_both_ends_paused(self) -> None:
        """
        Promise 3: a link outlives a pause of both ends that is longer than the silence after which a link is lost; a
        peer that does not answer after the pause is lost.
        """
        clock = Clock()
        revocable = Revocable()
        farm, slave = (
            make_tub(clock, FARM_KEY, {SWISSNUM: ExposedDesk(RecordingDesk(), revocable)}.get),
            make_tub(clock, SLAVE_KEY),
        )
        for tub in (farm, slave):
            tub.startService()
            self.tubs.append(tub)
        connected: Deferred[tuple[Desk, Link]] = Deferred()
        connection = connect(
            slave,
            self.furl(farm, farm.listen("tcp:0:interface=127.0.0.1")),
            [],
            lambda *both: connected.callback(both),
            connected.errback,
        )
        _, link = await connected
        connection.stop()
        (other,) = revocable.links

        for _ in range(3):
            clock.advance(2 * SILENCE)
            self.assertFalse(link.lost or other.lost)
            await until(lambda: not link.silence() and not other.silence())
        # From now on nothing is read: no turn of the reactor.
        clock.advance(2 * SILENCE)
        self.assertFalse(link.lost or other.lost)
        clock.advance(KEEPALIVE)

        self.assertTrue(link.lost and other.lost)
        clock.advance(SILENCE)
