"""
What group commit does when the database is in other hands.
"""

import os
import sqlite3

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.storage.batch import commit
from buildbot_lite.storage.database import open_database
from buildbot_lite.storage.records import settings


class LockedTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        A database, a connection to it, and one of somebody else.
        """
        path = self.mktemp()
        self.engine = open_database(path)
        self.connection = self.engine.connect()
        self.addCleanup(self.connection.close)
        self.connection.connection.cursor().execute("PRAGMA busy_timeout=0")
        self.other = sqlite3.connect(os.path.abspath(path), isolation_level=None)
        self.addCleanup(self.other.close)

    def test_tries_again(self) -> None:
        """
        A locked database is tried again until it is free; then each change happened once.
        """
        pauses: list[float] = []

        def pause(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 3:
                self.other.execute("ROLLBACK")

        self.other.execute("BEGIN IMMEDIATE")
        calls: list[str] = []

        def change(connection: object) -> None:
            calls.append("made")
            settings.put(self.connection, "a", "b")

        done = commit(self.connection, [change], patience=60.0, pause=pause)

        self.assertEqual((done.results, calls, len(pauses)), ((None,), ["made"], 3))
        self.assertEqual(self.other.execute("SELECT value FROM settings").fetchall(), [("b",)])
