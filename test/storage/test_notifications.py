"""
Notifications about growing streams.
"""

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.storage.notifications import Notifications


class NotificationTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        Notifications without waiters.
        """
        self.notifications = Notifications()

    def test_waiting(self) -> None:
        """
        Waiters for a key are notified of its next change, once; waiters for other keys are not.
        """
        first, second, other = (self.notifications.next_change(key) for key in ("a", "a", "b"))
        self.notifications.changed("a")

        self.successResultOf(first)
        self.successResultOf(second)
        self.assertNoResult(other)
        self.assertEqual(len(self.notifications), 1)

    def test_again(self) -> None:
        """
        A callback that waits again is notified of the next change, not of the current one.
        """
        heard: list[str] = []
        waiting: list[Deferred[None]] = []

        def wait(_: None) -> None:
            heard.append("changed")
            waiting.append(self.notifications.next_change("a").addCallback(wait))

        waiting.append(self.notifications.next_change("a").addCallback(wait))
        self.notifications.changed("a")
        self.assertEqual(heard, ["changed"])
        self.notifications.changed("a")
        self.assertEqual(heard, ["changed", "changed"])

    def test_cancelled(self) -> None:
        """
        A cancelled wait leaves nothing behind.
        """
        first, second = self.notifications.next_change("a"), self.notifications.next_change("a")
        for each in (first, second):
            each.cancel()
            self.failureResultOf(each, CancelledError)

        self.assertEqual(len(self.notifications), 0)
        self.notifications.changed("a")
