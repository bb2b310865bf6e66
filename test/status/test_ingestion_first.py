"""
Builds before those who watch them.
"""

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.status.ingestion_first import (
    LEFT_FOR_FOLLOWERS,
    MUCH,
    SMALL,
    IngestionFirst,
)
from buildbot_lite.storage.notifications import Notifications

CHUNK = 256 << 10
TICK = 0.01


class IngestionFirstTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        Nothing comes in.
        """
        self.clock = Clock()
        self.notifications = Notifications()
        self.first = IngestionFirst(self.notifications, self.clock)
        self.told = 0

    def follow(self, size: int = CHUNK) -> "Deferred[None]":
        """
        A follower that takes *size* bytes as often as it may, up to so much that only a defect takes more.
        """

        async def following() -> None:
            for _ in range(4000):
                self.told += size
                await self.first.turn(size)

        return Deferred.fromCoroutine(following())

    def stream(self, bytes_per_second: int, seconds: float) -> None:
        """
        Time passes while logs grow.
        """
        for _ in range(round(seconds / TICK)):
            self.notifications.changed("log", round(bytes_per_second * TICK))
            self.clock.advance(TICK)

    def test_quiet(self) -> None:
        """
        While nothing comes in, or a little, nobody waits.
        """
        self.stream(MUCH // 2, 1.0)
        self.successResultOf(self.follow())

    def test_much(self) -> None:
        """
        Promise 7.5: while much comes in, fifty followers together take a few MiB/s of the master's time, as one does.
        """
        for followers in (1, 50):
            self.setUp()
            self.stream(10 * MUCH, 0.1)
            following = [self.follow() for _ in range(followers)]
            self.stream(10 * MUCH, 10.0)
            self.assertFalse(any(each.called for each in following))
            self.assertLess(self.told, 11 * LEFT_FOR_FOLLOWERS + followers * CHUNK)
            self.assertGreater(self.told, 5 * LEFT_FOR_FOLLOWERS)

    def test_afterwards(self) -> None:
        """
        When it is quiet again they get the rest at once.
        """
        self.stream(10 * MUCH, 0.1)
        following = self.follow()
        self.stream(10 * MUCH, 1.0)
        self.assertNoResult(following)
        self.clock.pump([TICK] * 20)
        self.successResultOf(following)

    def test_lines(self) -> None:
        """
        Lines that somebody waits for never wait, whatever comes in.
        """
        self.stream(10 * MUCH, 1.0)
        self.successResultOf(self.follow(SMALL))
