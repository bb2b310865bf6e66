"""
Group commit while another process uses the database.
"""

import os
import sqlite3
from functools import partial

from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.storage.batch import commit
from buildbot_lite.storage.database import open_database
from buildbot_lite.storage.records import settings


class LockedDatabaseTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        A database, a connection to it, and another program's connection.
        """
        path = self.mktemp()
        self.engine = open_database(path)
        self.connection = self.engine.connect()
        self.addCleanup(self.connection.close)
        self.connection.connection.cursor().execute("PRAGMA busy_timeout=0")
        self.other = sqlite3.connect(os.path.abspath(path), isolation_level=None)
        self.addCleanup(self.other.close)

    def test_begin_retried(self) -> None:
        """
        A transaction on a locked database is tried again until it succeeds; each change is made once.
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

        done = commit(self.connection, [change], lock_timeout=60.0, pause=pause)

        self.assertEqual((done.results, calls, len(pauses)), ((None,), ["made"], 3))
        self.assertEqual(self.other.execute("SELECT value FROM settings").fetchall(), [("b",)])

    def test_commit_retried(self) -> None:
        """
        A commit that a reader delays (without a write-ahead log) is tried again, and reported only after it succeeded;
        a commit that never succeeds changes nothing.
        """
        self.connection.connection.cursor().execute("PRAGMA journal_mode=DELETE")
        for lock_timeout, value in ((0.0, None), (60.0, "b")):
            self.other.execute("BEGIN")
            self.other.execute("SELECT * FROM settings").fetchall()
            pauses: list[float] = []

            def pause(seconds: float, pauses: list[float] = pauses) -> None:
                pauses.append(seconds)
                self.other.execute("ROLLBACK")

            done = commit(
                self.connection, [partial(settings.put, name="a", value="b")], lock_timeout=lock_timeout, pause=pause
            )
            if not pauses:
                self.other.execute("ROLLBACK")

            self.assertEqual([isinstance(result, Failure) for result in done.results], [value is None])
            self.assertEqual(self.other.execute("SELECT value FROM settings").fetchall(), [(value,)] if value else [])
