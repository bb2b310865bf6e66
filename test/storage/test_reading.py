"""
Reading the database from another process.
"""

import os
import sqlite3
from collections.abc import Callable
from typing import Any, cast

from sqlalchemy import Connection, text
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from buildbot_lite.errors import ReadTooLongError, RecordsClosedError, StorageError
from buildbot_lite.storage.database import open_database
from buildbot_lite.storage.reading import ReadOnlyRecords, open_for_reading
from buildbot_lite.storage.records import settings

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"


class ReadingTests(TestCase):
    """
    `ReadOnlyRecords` with a file.
    """

    def setUp(self) -> None:
        from twisted.internet import reactor  # noqa: TID251 - its threads are what is tested

        self.directory = self.mktemp()
        os.mkdir(self.directory)
        self.path = os.path.join(self.directory, "farm.sqlite")
        self.records = ReadOnlyRecords(self.path, cast("Any", reactor), longest=0.1)
        self.addCleanup(self.records.close)

    def make(self) -> None:
        """
        Make the database as a master does, with one setting.
        """
        engine = open_database(self.path)
        with engine.connect() as connection, connection.begin():
            settings.put(connection, "colour", "green")
        engine.dispose()

    async def test_reads(self) -> None:
        """
        A query finds what the master committed, also after the first one found no file.
        """
        await self.assertFailure(self.records.read(lambda connection: None), StorageError)
        self.assertEqual(os.listdir(self.directory), [])
        self.make()
        self.assertEqual(await self.records.read(lambda connection: settings.get(connection, "colour")), "green")

    async def test_read_only(self) -> None:
        """
        Nothing can be written.
        """
        self.make()
        writing: Callable[[Connection], Any] = lambda connection: settings.put(connection, "colour", "red")  # noqa: E731
        await self.assertFailure(self.records.read(writing), StorageError)
        self.assertEqual(await self.records.read(lambda connection: settings.get(connection, "colour")), "green")

    async def test_long(self) -> None:
        """
        A query that takes too long is interrupted, and the next one is answered.
        """
        self.make()
        endless: Deferred[Any] = self.records.read(lambda connection: connection.execute(text(ENDLESS)).scalar())
        await self.assertFailure(endless, ReadTooLongError)
        self.assertEqual(await self.records.read(lambda connection: settings.get(connection, "colour")), "green")

    async def test_no_open_transaction(self) -> None:
        """
        Between two queries no transaction is open: the write-ahead log can be reused.
        """
        self.make()
        await self.records.read(lambda connection: settings.get(connection, "colour"))
        writer = sqlite3.connect(self.path)
        self.addCleanup(writer.close)
        writer.execute("UPDATE settings SET value = 'blue'")
        writer.commit()
        busy, *_ = writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        self.assertEqual(busy, 0)

    async def test_closed(self) -> None:
        """
        After `close` nothing is read.
        """
        self.records.close()
        await self.assertFailure(self.records.read(lambda connection: None), RecordsClosedError)

    def test_other_schema(self) -> None:
        """
        A database of another version is not read, and not changed.
        """
        self.make()
        other = sqlite3.connect(self.path)
        other.execute("UPDATE alembic_version SET version_num = '9999'")
        other.commit()
        other.close()
        error = self.assertRaises(StorageError, open_for_reading, self.path)
        self.assertIn("another version", str(error))
