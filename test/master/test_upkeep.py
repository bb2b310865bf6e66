"""
What is done now and then.
"""

from unittest import mock

from sqlalchemy import Connection
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import StorageError
from buildbot_lite.master import upkeep
from buildbot_lite.storage.records import feed

from .stage import ONE, Stage


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
        with mock.patch.object(upkeep, "EVENTS_AT_ONCE", 10):
            keeping = upkeep.Upkeep(stage.farm, compression=mock.Mock(), clock=stage.clock, wall=stage.clock.seconds)
            keeping.start()
            self.addCleanup(keeping.stop)
            stage.settle()
        self.assertEqual([event.kind for event in stage.read(lambda c: feed.since(c, 0))], ["new"])

    def test_day_that_fails(self) -> None:
        """
        Promise 6.7: an error on one day is logged, and does not end the upkeep for ever.
        """
        stage = Stage(ONE)
        keeping = upkeep.Upkeep(stage.farm, compression=mock.Mock(), clock=stage.clock, wall=stage.clock.seconds)
        with mock.patch("buildbot_lite.storage.records.feed.prune", side_effect=StorageError("odd")) as failing:
            keeping.start()
            self.addCleanup(keeping.stop)
            self.assertEqual(failing.call_count, 1)
        with mock.patch("buildbot_lite.storage.records.feed.prune", return_value=0) as pruning:
            stage.settle(upkeep.DAY)
            self.assertEqual(pruning.call_count, 1)
