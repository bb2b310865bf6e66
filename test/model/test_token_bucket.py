"""
How often something may happen.
"""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.model.token_bucket import Allowance


class AllowanceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.allowance = Allowance(self.clock.seconds, most=3, per_second=2)

    def test_at_once(self) -> None:
        """
        So many at once, then none.
        """
        self.assertEqual([self.allowance.take() for _ in range(4)], [True, True, True, False])

    def test_per_second(self) -> None:
        """
        It fills again, and never holds more than at first.
        """
        self.allowance.take(3)
        self.clock.advance(0.5)
        self.assertEqual([self.allowance.take() for _ in range(2)], [True, False])
        self.clock.advance(1000)
        self.assertEqual(self.allowance.left, 3)

    def test_owed(self) -> None:
        """
        What was spent without being there has to be waited for.
        """
        self.allowance.spend(7)
        self.assertEqual((self.allowance.left, self.allowance.wait), (-4, 2.0))
        self.clock.advance(2.0)
        self.assertEqual((self.allowance.wait, self.allowance.take()), (0.0, False))
