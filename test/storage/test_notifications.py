"""
Who waits for what to grow.
"""

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.storage.notifications import Growth


class GrowthTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        Nobody waits.
        """
        self.growth = Growth()

    def test_waiting(self) -> None:
        """
        Those who wait for a key hear of its next change, once; others do not.
        """
        first, second, other = (self.growth.when_grown(key) for key in ("a", "a", "b"))
        self.growth.changed("a")

        self.successResultOf(first)
        self.successResultOf(second)
        self.assertNoResult(other)
        self.assertEqual(len(self.growth), 1)

    def test_again(self) -> None:
        """
        Whoever waits again while being told hears of the next change, not of this one.
        """
        heard: list[str] = []
        waiting: list[Deferred[None]] = []

        def wait(_: None) -> None:
            heard.append("changed")
            waiting.append(self.growth.when_grown("a").addCallback(wait))

        waiting.append(self.growth.when_grown("a").addCallback(wait))
        self.growth.changed("a")
        self.assertEqual(heard, ["changed"])
        self.growth.changed("a")
        self.assertEqual(heard, ["changed", "changed"])

    def test_cancelled(self) -> None:
        """
        Whoever stops waiting leaves nothing behind.
        """
        first, second = self.growth.when_grown("a"), self.growth.when_grown("a")
        for each in (first, second):
            each.cancel()
            self.failureResultOf(each, CancelledError)

        self.assertEqual(len(self.growth), 0)
        self.growth.changed("a")
