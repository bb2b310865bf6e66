"""
CPU time for unauthenticated handshakes.
"""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.wire.contract import UNAUTHENTICATED_SHARE
from buildbot_lite.wire.limits.handshakes import _BURST, HandshakeQueue


class HandshakeQueueTest(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.queue = HandshakeQueue(self.clock, self.clock.seconds)
        self.begun: list[str] = []

    def busy(self, seconds: float) -> None:
        """
        Spend *seconds* on an unauthenticated peer; no timer fires meanwhile.
        """
        self.queue.metered(lambda: self._passes(seconds))

    def _passes(self, seconds: float) -> None:
        self.clock.rightNow += seconds

    def handshake(self, name: str, cost: float = 0.1) -> None:
        """
        Enqueue a handshake from the address that is the first letter of *name*.
        """

        def begin() -> None:
            self.begun.append(name)
            self.busy(cost)

        self.queue.enqueue(name[0], begin)

    def test_time_enough(self) -> None:
        """
        Promise 3.12: while CPU time is left, handshakes begin at once.
        """
        for name in ("a1", "a2", "a3"):
            self.handshake(name)
        self.assertEqual(self.begun, ["a1", "a2", "a3"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_share(self) -> None:
        """
        Promise 3.12: any number of handshakes gets the configured share of CPU time and no more.
        """
        for number in range(1000):
            self.handshake(f"a{number}")
        begun, since = len(self.begun), self.clock.seconds()

        while self.clock.seconds() < since + 20:
            self.clock.advance(0.01)

        self.assertLessEqual(abs(len(self.begun) - begun - 20 * UNAUTHENTICATED_SHARE / 0.1), 10)

    def test_after_a_flood(self) -> None:
        """
        Promise 3.12: the debt for work before TLS is bounded, so other peers are served soon after a flood.
        """
        for _ in range(100):
            self.queue.metered_plaintext(lambda: self._passes(1.0))
        self.handshake("a1")
        self.clock.pump([0.01] * 200)

        self.assertEqual(self.begun, ["a1"])

    def test_turns(self) -> None:
        """
        Promise 3.12: addresses are served in turn; within an address, the newest handshake comes first.
        """
        self.busy(_BURST + 0.01)
        for name in ("a1", "a2", "a3", "b1", "c1", "b2"):
            self.handshake(name)
        while self.clock.getDelayedCalls():
            self.clock.advance(0.1)
        self.assertEqual(self.begun, ["a3", "b2", "c1", "a2", "b1", "a1"])

    def test_debt_delays_later_peers(self) -> None:
        """
        Promise 3.12: the debt for handshakes is unbounded and delays later peers too, so the share holds exactly.
        """
        self.busy(10.0)
        self.queue.metered_plaintext(lambda: self._passes(1.0))
        self.handshake("a1")
        self.clock.pump([0.1] * 250)
        self.assertEqual(self.begun, [])
        self.clock.pump([0.1] * 40)
        self.assertEqual(self.begun, ["a1"])

    def test_cancelled(self) -> None:
        """
        A cancelled handshake does not begin; when none is left, no timer runs.
        """
        self.busy(_BURST + 1.0)
        begins = {name: lambda name=name: self.begun.append(name) for name in ("a1", "a2")}
        for name, begin in begins.items():
            self.queue.enqueue(name[0], begin)

        self.queue.cancel("a", begins["a2"])
        self.queue.cancel("a", begins["a2"])
        self.queue.cancel("b", begins["a2"])
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.queue.cancel("a", begins["a1"])

        self.assertEqual((self.begun, self.clock.getDelayedCalls()), ([], []))
