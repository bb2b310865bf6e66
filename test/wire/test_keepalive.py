"""
Pings, and the loss of a silent link, on a fake clock.
"""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.wire.keepalive import Keepalive


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

    def test_stopped(self) -> None:
        """
        Nothing happens after `stop`.
        """
        self.keepalive.stop()
        self.passes(60)
        self.keepalive.stop()

        self.assertEqual(self.happened, [])
