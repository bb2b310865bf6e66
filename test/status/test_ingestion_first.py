"""
Ingestion of logs has priority over followers.
"""

from collections import Counter

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.status.ingestion_first import LEFT_FOR_FOLLOWERS, LITTLE, MUCH, IngestionFirst
from buildbot_lite.storage.notifications import Notifications
from buildbot_lite.wire.flow_control import SMALLEST_CHUNK

CHUNK = 256 << 10
TICK = 0.01


class IngestionFirstTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        No log grows.
        """
        self.clock = Clock()
        self.notifications = Notifications()
        self.first = IngestionFirst(self.notifications, self.clock)
        self.sent: Counter[str] = Counter()

    def follow(self, holder: str = "holder", size: int = CHUNK) -> "Deferred[None]":
        """
        A follower of *holder* that takes *size* bytes per turn, for a bounded number of turns.
        """

        async def following() -> None:
            for _ in range(4000):
                await self.first.turn(holder, size)
                self.sent[holder] += size

        return Deferred.fromCoroutine(following())

    def stream(self, bytes_per_second: int, seconds: float) -> None:
        """
        Advance the clock while logs grow.
        """
        for _ in range(round(seconds / TICK)):
            self.notifications.changed("log", round(bytes_per_second * TICK))
            self.clock.advance(TICK)

    def test_quiet(self) -> None:
        """
        While logs grow slowly or not at all, followers get everything at once.
        """
        following = self.follow()
        self.clock.pump([0] * 4000)
        self.successResultOf(following)
        self.stream(MUCH // 2, 1.0)
        following = self.follow()
        self.stream(MUCH // 2, 41.0)
        self.successResultOf(following)

    def test_in_turn(self) -> None:
        """
        Each turn of the reactor sends one chunk, in the order of the requests, so that followers of one log stay
        together.
        """
        sent: list[str] = []

        async def following(name: str) -> None:
            for _ in range(4):
                await self.first.turn("holder", CHUNK)
                sent.append(name)

        def something_else() -> None:
            sent.append(" ")
            self.clock.callLater(0 if len(sent) < 24 else 1, something_else)

        everybody = [Deferred.fromCoroutine(following(name)) for name in ("a", "b", "c")]
        something_else()
        self.clock.advance(0)

        self.assertEqual("".join(sent).strip(), "a b c a b c a b c a b c")
        self.assertTrue(all(each.called for each in everybody))

    def test_crowd(self) -> None:
        """
        Promise 7.5: the only follower of one holder gets as much as the thousand followers of another together.
        """
        self.stream(10 * MUCH, 0.1)
        crowd = [self.follow("crowd", SMALLEST_CHUNK) for _ in range(1000)]
        alone = self.follow("alone", SMALLEST_CHUNK)
        self.sent.clear()
        self.stream(10 * MUCH, 5.0)

        self.assertFalse(any(each.called for each in (*crowd, alone)))
        self.assertGreater(self.sent["crowd"], LEFT_FOR_FOLLOWERS)
        self.assertLessEqual(abs(self.sent["alone"] - self.sent["crowd"]), SMALLEST_CHUNK)

    def test_disconnected(self) -> None:
        """
        A follower that disconnects gives its turn to the next.
        """
        first, second = self.first.turn("a", CHUNK), self.first.turn("b", CHUNK)
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.clock.advance(0)
        self.successResultOf(second)
        self.clock.advance(1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_fast_logs(self) -> None:
        """
        Promise 7.5: while logs grow fast, fifty followers together get the same few MiB/s as one.
        """
        for followers in (1, 50):
            self.setUp()
            self.stream(10 * MUCH, 0.1)
            following = [self.follow() for _ in range(followers)]
            self.stream(10 * MUCH, 10.0)
            self.assertFalse(any(each.called for each in following))
            self.assertLess(self.sent.total(), 11 * LEFT_FOR_FOLLOWERS + followers * CHUNK)
            self.assertGreater(self.sent.total(), 4 * LEFT_FOR_FOLLOWERS)

    def test_fast_logs_after_quiet(self) -> None:
        """
        Bytes that were sent in quiet times do not count: when logs grow fast, followers get their share at once.
        """
        following = self.follow()
        self.clock.pump([0] * 4000)
        self.successResultOf(following)
        self.sent.clear()
        following = self.follow()
        self.stream(10 * MUCH, 1.0)
        self.assertNoResult(following)
        self.assertGreater(self.sent.total(), LEFT_FOR_FOLLOWERS // 2)

    def test_afterwards(self) -> None:
        """
        When logs stop growing, followers get the rest at once.
        """
        self.stream(10 * MUCH, 0.1)
        following = self.follow()
        self.stream(10 * MUCH, 1.0)
        self.assertNoResult(following)
        self.clock.pump([TICK] * 20)
        self.clock.pump([0] * 4000)
        self.successResultOf(following)

    def test_slowed(self) -> None:
        """
        A build whose output slows down keeps its priority until it writes little.
        """
        self.stream(10 * MUCH, 0.1)
        following = self.follow()
        self.stream(2 * LITTLE, 10.0)
        self.assertLess(self.sent.total(), 12 * LEFT_FOR_FOLLOWERS)
        self.stream(LITTLE // 2, 41.0)
        self.successResultOf(following)
