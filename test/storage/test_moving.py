"""
The move of 0.1.0's database out of ``private/``.
"""

import os
import shutil
import sqlite3
from contextlib import closing
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import StorageError
from buildbot_lite.storage import moving
from buildbot_lite.storage.database import open_database
from buildbot_lite.storage.moving import (
    NOTE,
    is_database,
    move_database,
)
from buildbot_lite.storage.records import settings


class MovingTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        A database at its old place.
        """
        directory = self.mktemp()
        self.old = os.path.join(directory, "private", "farm.sqlite")
        self.new = os.path.join(directory, "records", "farm.sqlite")
        os.makedirs(os.path.dirname(self.old))
        engine = open_database(self.old)
        with engine.begin() as connection:
            settings.put(connection, "name", "value")
        engine.dispose()

    def check_moved(self, value: str = "value") -> None:
        """
        The whole database is at the new place, and a note is at the old one.
        """
        self.assertEqual(os.listdir(os.path.dirname(self.old)), ["farm.sqlite"])
        with open(self.old, "rb") as file:
            self.assertEqual(file.read(), NOTE)
        self.assertFalse(is_database(self.old))
        self.assertEqual(os.stat(self.new).st_nlink, 1)
        engine = open_database(self.new)
        self.addCleanup(engine.dispose)
        with engine.begin() as connection:
            self.assertEqual(settings.get(connection, "name"), value)

    def test_moved(self) -> None:
        """
        Promise 6.19: the database is moved once, including its write-ahead log.
        """
        private, copy = os.path.dirname(self.old), os.path.dirname(self.old) + ".copy"
        with closing(sqlite3.connect(self.old)) as master:
            master.execute("UPDATE settings SET value = 'later'")
            master.commit()
            shutil.copytree(private, copy)
        shutil.rmtree(private)
        os.rename(copy, private)
        self.assertGreater(os.path.getsize(f"{self.old}-wal"), 0)
        move_database(self.old, self.new)
        self.check_moved("later")

    def test_in_use(self) -> None:
        """
        While another program has the database open, it is not moved, and an error says so.
        """
        with closing(sqlite3.connect(self.old, isolation_level=None)) as other:
            other.execute("BEGIN")
            other.execute("SELECT * FROM settings").fetchall()
            with mock.patch("sqlite3.connect", self.without_timeout(sqlite3.connect)):
                error = self.assertRaises(StorageError, move_database, self.old, self.new)
            self.assertIn(self.old, str(error))
            self.assertTrue(os.path.exists(self.old))
        move_database(self.old, self.new)
        self.check_moved()

    @staticmethod
    def without_timeout(connect: object) -> object:
        """
        A ``connect`` without a timeout for locks.
        """
        return lambda *args, **kwargs: connect(*args, timeout=0, **kwargs)  # type: ignore[operator]  # it is

    def test_two(self) -> None:
        """
        If there is a database at both places, nothing is moved, and an admin must choose.
        """
        os.makedirs(os.path.dirname(self.new))
        open_database(self.new).dispose()
        error = self.assertRaises(StorageError, move_database, self.old, self.new)

        self.assertIn("two databases", str(error))
        self.assertTrue(os.path.exists(self.old))

    def test_other_disk(self) -> None:
        """
        If the database cannot be moved, an error says what to do.
        """
        with mock.patch("os.link", side_effect=OSError(18, "Invalid cross-device link")):
            error = self.assertRaises(StorageError, move_database, self.old, self.new)
        self.assertIn("c['db'] =", str(error))
        self.assertTrue(os.path.exists(self.old))

    def test_killed(self) -> None:
        """
        Promise 6.19: a master that is killed during the move leaves one database, and the next start completes the
        move.
        """
        with mock.patch.object(moving, "write_whole", side_effect=ZeroDivisionError):
            self.assertRaises(ZeroDivisionError, move_database, self.old, self.new)
        self.assertTrue(is_database(self.old))
        move_database(self.old, self.new)
        self.check_moved()

    def test_no_database(self) -> None:
        """
        A missing file is no database, nor is an empty one (which ``sqlite3`` leaves when it backs up a missing
        database).
        """
        self.assertTrue(is_database(self.old))
        with open(self.old, "wb"):
            pass
        self.assertFalse(is_database(self.old))
        os.unlink(self.old)
        self.assertFalse(is_database(self.old))

    def test_note_is_refused(self) -> None:
        """
        Promise 6.19: an older version finds the note instead of a database, and stops with an error instead of creating
        another.
        """
        move_database(self.old, self.new)
        self.assertIn("not a database", str(self.assertRaises(StorageError, open_database, self.old)))
        with open(self.old, "rb") as file:
            self.assertEqual(file.read(), NOTE)
