"""
Masters in memory that are killed.
"""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from .configurations import ONE
from .harness import MasterHarness


class LifetimeTests(SynchronousTestCase):
    def test_killed(self) -> None:
        """
        A master that was replaced does nothing any more: nobody calls it, it records nothing, and gets no answers.
        """
        harness = MasterHarness(ONE)
        old, seen = harness.farm, list[Any]()
        call = old.clock.callLater(1, seen.append, "called")
        old.records.on_commit(seen.append)
        harness.restart()
        old.clock.callLater(1, seen.append, "called later")
        for asked in (old.records.read(lambda connection: 1), old.records.write(lambda connection: 1)):
            self.assertNoResult(asked)
        self.assertEqual(harness.read(lambda connection: 1), 1)
        harness.submit()
        harness.settle(10)
        call.cancel()
        self.assertEqual(seen, [])
