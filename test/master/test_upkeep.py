"""
What is done now and then.
"""

from unittest import mock

from sqlalchemy import Connection
from twisted.trial.unittest import SynchronousTestCase

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
