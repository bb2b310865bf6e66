"""
What is done now and then.
"""

import os
from unittest import mock

from sqlalchemy import Connection
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import StorageError
from buildbot_lite.master import maintenance
from buildbot_lite.model.outcome import Ending
from buildbot_lite.storage.records import feed

from .stage import ONE, FakeSlave, Stage, succeeding


class UpkeepTests(SynchronousTestCase):
    """
    What nobody can ask for any more.
    """

    def test_all_old_events(self) -> None:
        """
        All events that are old enough are forgotten, however many there are, some at a time.
        """
        stage = Stage(ONE)

        def publish(connection: Connection) -> None:
            for _ in range(25):
                feed.publish(connection, "old", now=1.0)
            feed.publish(connection, "new", now=stage.clock.seconds())

        _ = stage.records.write(publish)
        with mock.patch.object(maintenance, "EVENTS_AT_ONCE", 10):
            keeping = maintenance.Maintenance(
                stage.farm, compression=mock.Mock(), clock=stage.clock, wall=stage.clock.seconds
            )
            keeping.start()
            self.addCleanup(keeping.stop)
            stage.settle()
        self.assertEqual([event.kind for event in stage.read(lambda c: feed.since(c, 0))], ["new"])

    def test_uploads_that_broke_off(self) -> None:
        """
        Promise 6.22: what arrived of an upload is kept while its build runs, also over a restart, and is removed when
        the build ends without it; what an earlier master left is removed at the start.
        """
        stage = Stage(ONE.replace("BuildFactory([", 'BuildFactory([steps.FileUpload("f", "f", haltOnFailure=True), '))
        incoming = os.path.join(stage.basedir, "artifacts", "b", ".incoming")

        def keeping() -> None:
            kept = maintenance.Maintenance(
                stage.farm, compression=mock.Mock(), clock=stage.clock, wall=stage.clock.seconds
            )
            kept.start()
            self.addCleanup(kept.stop)
            stage.settle()

        keeping()
        slave = stage.attach()
        stage.submit()
        given = slave.given[0]
        given.write(b"some bytes", "artifact")
        with open(os.path.join(incoming, "7-0-0"), "wb"):
            pass  # of a build that nobody remembers
        self.assertEqual(sorted(os.listdir(incoming)), ["1-0-0", "7-0-0"])
        stage.restart()
        keeping()
        self.assertEqual(os.listdir(incoming), ["1-0-0"])
        stage.attach(slave=slave, held=slave.held())
        given.end(1, ending=Ending.FAILED, sentence="f changed while it was uploaded.")
        for other in slave.given[1:]:
            other.end()
        stage.settle(maintenance.AFTER_BUILDS)
        self.assertEqual(os.listdir(incoming), [])

    def test_builds_together(self) -> None:
        """
        However many builds end within a second, the records are read once for all of them.
        """
        stage = Stage(ONE)
        keeping = maintenance.Maintenance(
            stage.farm, compression=mock.Mock(), clock=stage.clock, wall=stage.clock.seconds
        )
        keeping.start()
        self.addCleanup(keeping.stop)
        stage.attach(slave=FakeSlave(behaviour=succeeding))
        stage.settle()
        with mock.patch.object(stage.farm.records, "read", wraps=stage.farm.records.read) as reading:
            for _ in range(5):
                stage.submit()
                stage.settle()
            self.assertEqual(reading.call_count, 0)
            stage.settle(maintenance.AFTER_BUILDS)
            self.assertEqual(reading.call_count, 1)

    def test_stopped_before(self) -> None:
        """
        A master that stops right after a build leaves no timer behind.
        """
        stage = Stage(ONE)
        keeping = maintenance.Maintenance(
            stage.farm, compression=mock.Mock(), clock=stage.clock, wall=stage.clock.seconds
        )
        keeping.start()
        stage.attach(slave=FakeSlave(behaviour=succeeding))
        stage.submit()
        stage.settle()
        before = len(stage.clock.getDelayedCalls())
        keeping.stop()

        self.assertEqual(len(stage.clock.getDelayedCalls()), before - 2)

    def test_day_that_fails(self) -> None:
        """
        Promise 6.7: an error on one day is logged, and does not end the upkeep for ever.
        """
        stage = Stage(ONE)
        keeping = maintenance.Maintenance(
            stage.farm, compression=mock.Mock(), clock=stage.clock, wall=stage.clock.seconds
        )
        with mock.patch("buildbot_lite.storage.records.feed.prune", side_effect=StorageError("odd")) as failing:
            keeping.start()
            self.addCleanup(keeping.stop)
            self.assertEqual(failing.call_count, 1)
        with mock.patch("buildbot_lite.storage.records.feed.prune", return_value=0) as pruning:
            stage.settle(maintenance.DAY)
            self.assertEqual(pruning.call_count, 1)
