"""
Slaves that stay away.
"""

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.master.slaves.missing import EVENT, LOOK_EVERY, MissingSlaves
from buildbot_lite.storage.records import feed

from .harness import MasterHarness

CONFIG = """
c['slaves'] = [slave.BuildSlave('bot1', notify_on_missing='admin@example.org', missing_timeout=600)]
c['builders'] = [util.BuilderConfig('b', ['bot1'], util.BuildFactory([steps.ShellCommand(command=['x'])]))]
c['schedulers'] = [schedulers.Submit('go', ['b'])]
"""


class MissingSlavesTests(SynchronousTestCase):
    """
    One slave with ``notify_on_missing``.
    """

    def test_each_absence(self) -> None:
        """
        Promise 8.8: each absence that is longer than missing_timeout is one event, also over a restart of the master;
        a slave that comes back in time is none.
        """
        harness = MasterHarness(CONFIG)

        def watch() -> MissingSlaves:
            missing = MissingSlaves(
                harness.farm.slaves, records=harness.records, clock=harness.clock, wall=harness.clock.seconds
            )
            missing.start()
            self.addCleanup(missing.stop)
            return missing

        def noted() -> int:
            return sum(event.kind == EVENT for event in harness.read(lambda c: feed.since(c, 0)))

        def minutes(number: int) -> None:
            for _ in range(number):
                harness.settle(LOOK_EVERY)

        missing = watch()
        minutes(9)
        self.assertEqual(noted(), 0)
        minutes(10)
        self.assertEqual(noted(), 1)  # it was never there
        slave = harness.attach()
        minutes(20)
        slave.lose()
        minutes(5)
        slave = harness.attach()
        slave.lose()
        minutes(9)
        self.assertEqual(noted(), 1)
        minutes(20)
        self.assertEqual(noted(), 2)
        missing.stop()
        harness.restart()
        watch()
        minutes(20)
        self.assertEqual(noted(), 2)
