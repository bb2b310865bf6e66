"""
The master's daily maintenance.
"""

import os
from functools import partial
from unittest import mock

from sqlalchemy import Connection
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import StorageError
from buildbot_lite.master import maintenance
from buildbot_lite.master.scheduling.schedulers.decisions import ENGINE
from buildbot_lite.model.change import Change
from buildbot_lite.model.outcome import Ending
from buildbot_lite.storage.records import changes, feed, states
from buildbot_lite.storage.records.feed import Event

from .configurations import ONE, four_steps, master_cfg
from .harness import FakeSlave, MasterHarness, succeeding


def clean_up(harness: MasterHarness, now: float) -> None:
    """
    Clean up once, at the time *now*.
    """
    upkeep = maintenance.Maintenance(harness.farm, compression=mock.Mock(), clock=harness.clock, wall=lambda: now)
    upkeep.start()
    harness.settle()
    upkeep.stop()


def events(harness: MasterHarness) -> list[Event]:
    """
    The events of the test.  Those of the harness's own start are at the beginning of its clock.
    """
    return [event for event in harness.read(lambda c: feed.since(c, 0)) if event.at > 1.0]


class MaintenanceTests(SynchronousTestCase):
    """
    Events and incomplete uploads that are not needed any more are deleted.
    """

    def test_all_old_events(self) -> None:
        """
        All events that are old enough are deleted, in transactions of bounded size.
        """
        harness = MasterHarness(ONE)

        def publish(connection: Connection) -> None:
            for _ in range(25):
                feed.publish(connection, "old", now=1.0)
            feed.publish(connection, "new", now=harness.clock.seconds())

        _ = harness.records.write(publish)
        with mock.patch.object(maintenance, "EVENTS_AT_ONCE", 10):
            upkeep = maintenance.Maintenance(
                harness.farm, compression=mock.Mock(), clock=harness.clock, wall=harness.clock.seconds
            )
            upkeep.start()
            self.addCleanup(upkeep.stop)
            harness.settle()
        self.assertEqual([event.kind for event in harness.read(lambda c: feed.since(c, 0))], ["new"])

    def test_clock_ahead(self) -> None:
        """
        Promise 8.9: a clock that is years ahead, or behind, removes nothing but what is nearly old enough, however
        often the master starts; after it is right again, clean-up goes on.
        """
        harness = MasterHarness(ONE)
        wall = 1000 * maintenance.DAY
        ages = (29, 28, 20, 1)

        def publish(connection: Connection) -> None:
            for age in ages:
                feed.publish(connection, f"{age} days", now=wall - age * maintenance.DAY)
            feed.publish(connection, "new", now=wall)

        def cleaned_up(now: float) -> list[str]:
            clean_up(harness, now)
            return [event.kind for event in events(harness)]

        _ = harness.records.write(publish)
        everything = [*(f"{age} days" for age in ages), "new"]
        self.assertEqual(cleaned_up(wall), everything)
        self.assertEqual(cleaned_up(0.0), everything)
        for minute in range(20):
            self.assertEqual(cleaned_up(wall + 5000 * maintenance.DAY + 60 * minute), everything[2:])
        self.assertEqual(cleaned_up(wall + 4 * maintenance.DAY), everything[2:])
        self.assertEqual(cleaned_up(wall + 5 * maintenance.DAY), everything[2:])
        self.assertEqual(cleaned_up(wall + 12 * maintenance.DAY), everything[2:])
        for day in range(13, 20):
            left = cleaned_up(wall + day * maintenance.DAY)
        self.assertEqual(left, everything[3:])

    def test_first_clean_up(self) -> None:
        """
        Promise 8.9: a first clean-up whose clock is years ahead of the newest record removes almost nothing.
        """
        harness, wall = MasterHarness(ONE), 1000 * maintenance.DAY

        def publish(connection: Connection) -> None:
            for age in (20, 1):
                feed.publish(connection, f"{age} days", now=wall - age * maintenance.DAY)

        _ = harness.records.write(publish)
        clean_up(harness, wall + 5000 * maintenance.DAY)
        self.assertEqual([event.kind for event in events(harness)], ["20 days", "1 days"])

    def test_clock_behind_at_first(self) -> None:
        """
        After a clean-up with a clock that was years behind, a plausible clock is believed after two weeks.
        """
        harness, wall = MasterHarness(ONE), 9000 * maintenance.DAY
        clean_up(harness, maintenance.DAY)
        _ = harness.records.write(lambda c: feed.publish(c, "old", now=wall - 40 * maintenance.DAY))
        _ = harness.records.write(lambda c: feed.publish(c, "new", now=wall))
        for day in range(maintenance.LOOKS_AFTER_LEAP):
            clean_up(harness, wall + day * maintenance.DAY)
            self.assertEqual([event.kind for event in events(harness)], ["old", "new"])
        for hour in range(20):
            clean_up(harness, wall + (day + 0.01 * hour) * maintenance.DAY)
        self.assertEqual([event.kind for event in events(harness)], ["old", "new"])
        clean_up(harness, wall + (day + 2) * maintenance.DAY)
        self.assertEqual([event.kind for event in events(harness)], ["new"])

    def test_old_changes(self) -> None:
        """
        Promise 8.1: changes beyond c['changeHorizon'] are forgotten, except those that the schedulers have not
        considered.
        """
        harness = MasterHarness('c["changeHorizon"] = 2\n')
        said = [Change(author="a", source="s", revision=str(number)) for number in range(6)]
        harness.done(harness.farm.changes.add(said))
        for considered, left in ((2, [3, 4, 5, 6]), (6, [5, 6])):
            value = {"considered": considered}
            _ = harness.records.write(partial(states.put, owner=ENGINE, value=value, now=1.0))
            upkeep = maintenance.Maintenance(
                harness.farm, compression=mock.Mock(), clock=harness.clock, wall=harness.clock.seconds
            )
            upkeep.start()
            harness.settle()
            upkeep.stop()
            self.assertEqual([each.id for each in harness.read(lambda c: changes.after(c, 0))], left)

    def test_incomplete_uploads(self) -> None:
        """
        Promise 6.22: the bytes of an incomplete upload are kept while its build runs, also over a restart, and deleted
        when the build ends without the artifact; leftovers of an earlier master are deleted at the start.
        """
        harness = MasterHarness(master_cfg(steps=['steps.FileUpload("f", "f", haltOnFailure=True)', *four_steps()]))
        incoming = os.path.join(harness.basedir, "artifacts", "b", ".incoming")

        def start_maintenance() -> None:
            kept = maintenance.Maintenance(
                harness.farm, compression=mock.Mock(), clock=harness.clock, wall=harness.clock.seconds
            )
            kept.start()
            self.addCleanup(kept.stop)
            harness.settle()

        start_maintenance()
        slave = harness.attach()
        harness.submit()
        started = slave.commands[0]
        started.write(b"some bytes", "artifact")
        with open(os.path.join(incoming, "7-0-0"), "wb"):
            pass  # an unknown build
        self.assertEqual(sorted(os.listdir(incoming)), ["1-0-0", "7-0-0"])
        harness.restart()
        start_maintenance()
        self.assertEqual(os.listdir(incoming), ["1-0-0"])
        harness.attach(slave=slave, held=slave.held())
        started.end(1, ending=Ending.FAILED, sentence="f changed while it was uploaded.")
        for other in slave.commands[1:]:
            other.end()
        harness.write_noted()
        harness.settle(maintenance.AFTER_BUILDS)
        self.assertEqual(os.listdir(incoming), [])

    def test_builds_together(self) -> None:
        """
        After all builds that end within a second, the records are read once.
        """
        harness = MasterHarness(ONE)
        upkeep = maintenance.Maintenance(
            harness.farm, compression=mock.Mock(), clock=harness.clock, wall=harness.clock.seconds
        )
        upkeep.start()
        self.addCleanup(upkeep.stop)
        harness.attach(slave=FakeSlave(behaviour=succeeding))
        harness.settle()
        with mock.patch.object(harness.farm.records, "read", wraps=harness.farm.records.read) as reading:
            for _ in range(5):
                harness.submit()
                harness.settle()
            self.assertEqual(reading.call_count, 0)
            harness.settle(maintenance.AFTER_BUILDS)
            self.assertEqual(reading.call_count, 1)

    def test_stopped_before(self) -> None:
        """
        A master that stops right after a build has no timer left.
        """
        harness = MasterHarness(ONE)
        upkeep = maintenance.Maintenance(
            harness.farm, compression=mock.Mock(), clock=harness.clock, wall=harness.clock.seconds
        )
        upkeep.start()
        harness.attach(slave=FakeSlave(behaviour=succeeding))
        harness.submit()
        harness.settle()
        before = len(harness.clock.getDelayedCalls())
        upkeep.stop()

        self.assertEqual(len(harness.clock.getDelayedCalls()), before - 2)

    def test_day_that_fails(self) -> None:
        """
        Promise 6.7: an error in one day's maintenance is logged, and the next day's maintenance is done.
        """
        harness = MasterHarness(ONE)
        upkeep = maintenance.Maintenance(
            harness.farm, compression=mock.Mock(), clock=harness.clock, wall=harness.clock.seconds
        )
        with mock.patch("buildbot_lite.storage.records.feed.prune", side_effect=StorageError("odd")) as failing:
            upkeep.start()
            self.addCleanup(upkeep.stop)
            self.assertEqual(failing.call_count, 1)
        with mock.patch("buildbot_lite.storage.records.feed.prune", return_value=0) as pruning:
            harness.settle(maintenance.DAY)
            self.assertEqual(pruning.call_count, 1)
