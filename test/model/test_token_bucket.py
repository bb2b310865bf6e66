"""
Limits on how often something happens.
"""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.model.token_bucket import TokenBucket, once_every


class TokenBucketTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.bucket = TokenBucket(self.clock.seconds, most=3, per_second=2)

    def test_at_once(self) -> None:
        """
        A full bucket gives its capacity at once, and then nothing.
        """
        self.assertEqual([self.bucket.take() for _ in range(4)], [True, True, True, False])

    def test_per_second(self) -> None:
        """
        The bucket is refilled at its rate, up to its capacity.
        """
        self.bucket.take(3)
        self.clock.advance(0.5)
        self.assertEqual([self.bucket.take() for _ in range(2)], [True, False])
        self.clock.advance(1000)
        self.assertEqual(self.bucket.left, 3)

    def test_owed(self) -> None:
        """
        Tokens that were spent in advance must be refilled first.
        """
        self.bucket.spend(7)
        self.assertEqual((self.bucket.left, self.bucket.wait), (-4, 2.0))
        self.clock.advance(2.0)
        self.assertEqual((self.bucket.wait, self.bucket.take()), (0.0, False))

    def test_once_every(self) -> None:
        """
        once_every permits one event at once, and the next after the interval.
        """
        bucket = once_every(60.0, self.clock.seconds)
        self.assertEqual([bucket.take(), bucket.take()], [True, False])
        self.clock.advance(59.0)
        self.assertFalse(bucket.take())
        self.clock.advance(1.0)
        self.assertTrue(bucket.take())
