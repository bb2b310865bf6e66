"""
Pings, and the end of patience, on a clock that the test moves.
"""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.wire.keepalive import Keepalive


class KeepaliveTests(SynchronousTestCase):
    """
    One list of what happened, and when.
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
        So much time, an eighth of a second after the other.
        """
        self.clock.pump([0.125] * (8 * seconds))

    def test_silence(self) -> None:
        """
        Asked after ten seconds, and after ten more; given up after 25, once.
        """
        self.passes(60)

        self.assertEqual(self.happened, [("ping", 10), ("ping", 20), ("silent", 25)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_sign(self) -> None:
        """
        Whatever comes counts from when it came.
        """
        self.passes(24)
        self.keepalive.heard()
        self.assertEqual((self.keepalive.heard_at, self.keepalive.silence), (24, 0))
        self.passes(24)

        self.assertEqual(self.happened, [("ping", 10), ("ping", 20), ("ping", 34), ("ping", 44)])
        self.assertEqual(self.keepalive.silence, 24)

    def test_talkative(self) -> None:
        """
        Who says something all the time is never asked.
        """
        for _ in range(100):
            self.passes(1)
            self.keepalive.heard()

        self.assertEqual(self.happened, [])

    def test_patience(self) -> None:
        """
        Who may stand still is asked for ever.
        """
        self.passes(12)
        self.keepalive.tolerate_silence()
        self.passes(100)

        self.assertEqual(self.happened, [("ping", float(at)) for at in range(10, 111, 10)])

    def test_deaf(self) -> None:
        """
        Silence while we did not listen means nothing.
        """
        self.passes(9)
        self.paused_until = 9.0
        self.passes(26)

        self.assertEqual(self.happened, [("ping", 19), ("ping", 29), ("silent", 34)])

    def test_stopped(self) -> None:
        """
        Nothing more after the end, however it came.
        """
        self.keepalive.stop()
        self.passes(60)
        self.keepalive.stop()

        self.assertEqual(self.happened, [])
