"""
Answers that are given again.
"""

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.web.replies.kept_replies import LARGEST_KEPT, KeptReplies, PreparedReply
from buildbot_lite.web.view import Reply, Streamed


class KeptRepliesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.kept = KeptReplies()
        self.made: list[Deferred[Reply]] = []
        self.now = 0.0

    async def _make(self) -> Reply | Streamed:
        self.made.append(Deferred())
        return await self.made[-1]

    def _ask(self, version: int = 1, address: str = "/") -> Deferred[PreparedReply | Streamed]:
        return Deferred.fromCoroutine(self.kept.get_or_make(address, version, self._clock, 1.0, self._make))

    @property
    def _clock(self) -> Callable[[], float]:
        return lambda: self.now

    def test_one_for_all(self) -> None:
        """
        Callers who ask at the same time, and in the time for which it is kept, get the same answer, compressed once.
        """
        one, other = self._ask(), self._ask()
        self.assertEqual(len(self.made), 1)
        self.made[0].callback(Reply(200, b"text " * 1000))
        found = self.successResultOf(one)
        self.assertIs(self.successResultOf(other), found)
        self.assertIs(self.successResultOf(self._ask()), found)
        assert isinstance(found, PreparedReply)
        self.assertIs(found.compressed, found.compressed)
        self.now = 1.0
        self.assertNoResult(self._ask())

    def test_another_version(self) -> None:
        """
        What is made for a former state of the farm is not given to those who ask after a change.
        """
        former = self._ask(version=1)
        later = self._ask(version=2)
        self.assertEqual(len(self.made), 2)
        self.made[0].callback(Reply(200, b"old"))
        self.successResultOf(former)
        self.assertNoResult(later)
        self.made[1].callback(Reply(200, b"new"))
        found = self.successResultOf(later)
        assert isinstance(found, PreparedReply)
        self.assertEqual(found.reply.body, b"new")

    def test_gone(self) -> None:
        """
        When the one for whom it is made hangs up, or there is nothing to keep, each other makes it anew.
        """
        one, other, third = self._ask(), self._ask(), self._ask()
        one.cancel()
        self.failureResultOf(one, CancelledError)
        self.assertEqual(len(self.made), 3)
        for each in self.made[1:]:
            each.callback(Reply(404, b""))
        for found in (other, third):
            self.successResultOf(found)
        self.assertNoResult(self._ask())

    def test_bounded(self) -> None:
        """
        Both forms of the kept answers count: the oldest give way.
        """
        third = Reply(200, b"x" * (LARGEST_KEPT // 6))
        for address in ("/a", "/b", "/c"):
            self.kept.keep(address, 1, 9.0, PreparedReply(third))
        self.assertIsNone(self.kept.get("/a", 1, 0.0))
        self.assertIsNotNone(self.kept.get("/c", 1, 0.0))

    def test_addresses_count(self) -> None:
        """
        Many long addresses of small answers are bounded, too, and what has expired is dropped when more is kept.
        """
        for number in range(1100):
            self.kept.keep(f"/?{number}{'x' * 8000}", 1, 9.0, PreparedReply(Reply(200, b"")))
        self.assertLess(len(self.kept), 1000)
        self.now = 9.0
        one = self._ask()
        self.made[0].callback(Reply(200, b""))
        self.successResultOf(one)
        self.assertEqual(len(self.kept), 1)
