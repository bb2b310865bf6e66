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

    def setUp(self) -> None:
        """
        A master whose wall clock may be changed.
        """
        self.harness = MasterHarness(CONFIG)
        self.jump = 0.0
        # Both registry and watcher read it.
        self.harness.farm.slaves._wall = self.wall
        self.missing = self.watch()

    def wall(self) -> float:
        """
        The time of day.
        """
        return self.harness.clock.seconds() + self.jump

    def watch(self) -> MissingSlaves:
        """
        Watch the slaves of the present master.
        """
        harness = self.harness
        missing = MissingSlaves(harness.farm.slaves, records=harness.records, clock=harness.clock, wall=self.wall)
        missing.start()
        self.addCleanup(missing.stop)
        return missing

    def restart(self, down: int = 0) -> None:
        """
        Restart the master, which is down for some minutes.
        """
        self.missing.stop()
        self.harness.clock.advance(60 * down)
        self.harness.restart()
        self.harness.farm.slaves._wall = self.wall
        self.missing = self.watch()

    def noted(self) -> int:
        """
        The number of events.
        """
        return sum(event.kind == EVENT for event in self.harness.read(lambda c: feed.since(c, 0)))

    def minutes(self, number: int) -> None:
        """
        Let minutes pass.
        """
        for _ in range(number):
            self.harness.settle(LOOK_EVERY)

    def test_each_absence(self) -> None:
        """
        Promise 8.8: each absence that is longer than missing_timeout is one event, also over a restart of the master;
        a slave that comes back in time is none.
        """
        self.minutes(9)
        self.assertEqual(self.noted(), 0)
        self.minutes(10)
        self.assertEqual(self.noted(), 1)  # it was never there
        slave = self.harness.attach()
        self.minutes(20)
        slave.lose()
        self.minutes(5)
        slave = self.harness.attach()
        slave.lose()
        self.minutes(9)
        self.assertEqual(self.noted(), 1)
        self.minutes(20)
        self.assertEqual(self.noted(), 2)
        self.restart()
        self.minutes(20)
        self.assertEqual(self.noted(), 2)

    def test_clock_set_forward(self) -> None:
        """
        Promise 8.8: a system's time that is set forward by hours makes no slave missing.
        """
        self.harness.attach().lose()
        self.minutes(2)
        self.jump = 7200.0
        self.minutes(6)
        self.assertEqual(self.noted(), 0)
        self.minutes(4)
        self.assertEqual(self.noted(), 1)

    def test_clock_set_back(self) -> None:
        """
        Promise 8.8: a system's time that is set back by hours hides no missing slave.
        """
        self.harness.attach().lose()
        self.jump = -7200.0
        self.minutes(12)
        self.assertEqual(self.noted(), 1)

    def test_over_a_restart(self) -> None:
        """
        Promise 8.8: the time before a restart of the master counts; slaves have two minutes to come back after it.
        """
        self.harness.attach().lose()
        self.minutes(4)
        self.restart(down=8)
        self.minutes(1)
        self.assertEqual(self.noted(), 0)
        self.minutes(2)
        self.assertEqual(self.noted(), 1)

    def test_back_after_a_restart(self) -> None:
        """
        A slave that comes back to a master that was down for long is not missing.
        """
        self.harness.attach().lose()
        self.minutes(1)
        self.restart(down=60)
        self.minutes(1)
        self.harness.attach()
        self.minutes(20)
        self.assertEqual(self.noted(), 0)

    def test_there_when_the_master_ended(self) -> None:
        """
        Of a slave that was there when the master ended, the time before does not count as absence.
        """
        self.harness.attach()
        self.minutes(60)
        self.restart()
        self.minutes(9)
        self.assertEqual(self.noted(), 0)
        self.minutes(2)
        self.assertEqual(self.noted(), 1)
