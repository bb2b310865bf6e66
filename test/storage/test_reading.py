"""
Reading the database from another process.
"""

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from http import HTTPStatus
from threading import Event
from types import SimpleNamespace
from typing import Any, cast

from sqlalchemy import Connection, bindparam, func, select, text
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from buildbot_lite.errors import ReadTooLongError, RecordsClosedError, StorageError, TooManyRowsError
from buildbot_lite.storage import read_limit, reading
from buildbot_lite.storage.database import open_database
from buildbot_lite.storage.read_limit import PIECE
from buildbot_lite.storage.reading import READERS, ReadOnlyRecords, open_for_reading
from buildbot_lite.storage.records import settings
from buildbot_lite.storage.statements import Query, to_json
from buildbot_lite.web.refusals import status_of

NOBODY = 65534
MASTER = """
import sqlite3, sys
writer = sqlite3.connect(sys.argv[1])
writer.execute("UPDATE settings SET value = 'blue'")
writer.commit()
print("here", flush=True)
sys.stdin.read()
writer.close()
"""
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

    async def test_starved(self) -> None:
        """
        A query that is interrupted because others had the processor is asked once more, in a new transaction; one to
        which that happens again fails.
        """
        self.make()
        asked, stalling = self.starving()
        self.assertEqual(await self.records.read(stalling(1)), "green")
        self.assertEqual(asked, [0.0, 1.0])
        await self.assertFailure(self.records.read(stalling(2)), ReadTooLongError)
        self.assertEqual(len(asked), 4)

    async def test_starved_while_others_wait(self) -> None:
        """
        While other queries wait, one that is interrupted is not asked again: they would wait for longer.
        """
        self.make()
        asked, stalling = self.starving()
        query, queued, failed = stalling(1), Event(), Event()

        def beside(connection: Connection) -> Any:
            failed.wait(60)  # by then, its own time is over: it reads no more
            return "green"

        def stalled(connection: Connection) -> Any:
            queued.wait(60)
            return query(connection)

        busy = [self.records.read(beside) for _ in range(READERS - 1)]
        starved = self.records.read(stalled)
        waiting = self.records.read(lambda connection: settings.get(connection, "colour"))
        queued.set()
        await self.assertFailure(starved, ReadTooLongError)
        self.assertEqual(asked, [0.0])
        failed.set()
        for each in (*busy, waiting):
            self.assertEqual(await each, "green")

    def starving(self) -> tuple[list[float], Callable[[int], Callable[[Connection], Any]]]:
        """
        When a query was asked, and what makes a query that does not get the processor so many times.
        """
        now = self.standing_still()
        asked: list[float] = []

        def stalling(times: int) -> Callable[[Connection], Any]:
            before = len(asked)

            def query(connection: Connection) -> Any:
                asked.append(now[0])
                if len(asked) - before <= times:
                    now[0] += 1.0  # it stood still for so long
                    connection.execute(text(ENDLESS)).scalar()
                return settings.get(connection, "colour")

            return query

        return asked, stalling

    async def test_time_of_python(self) -> None:
        """
        Promise 10.1: the time limit holds for what a query does with its rows, too: the next statement is refused, and
        the next `PIECE` rows are.
        """
        self.make()
        now, made = self.standing_still(), 0

        def between(connection: Connection) -> Any:
            settings.get(connection, "colour")
            now[0] += 1.0
            return settings.get(connection, "colour")

        def making(connection: Connection) -> Any:
            def make(number: int) -> int:
                nonlocal made
                made += 1
                now[0] += 0.15 / PIECE
                return number

            return Query(select(func.json_each(to_json(list(range(10_000)))).table_valued("value")), make).all(
                connection
            )

        for query in (between, making):
            error = await self.assertFailure(self.records.read(query), ReadTooLongError)
            self.assertIn("100 ms", str(error))
        # Once more, because it did not have the processor.
        self.assertEqual(made, 2 * PIECE)
        self.assertEqual(await self.records.read(lambda connection: settings.get(connection, "colour")), "green")

    def standing_still(self) -> list[float]:
        """
        The seconds on the clock of the transactions, which the caller moves.
        """
        now = [0.0]
        self.patch(reading, "time", SimpleNamespace(monotonic=lambda: now[0], thread_time=lambda: 0.0))
        return now

    async def test_many_rows(self) -> None:
        """
        Promise 10.1: a transaction reads a bounded number of rows, in one statement or in several; a query that has
        more is not asked again, and its refusal does not say that it may be.
        """
        self.make()
        self.patch(read_limit, "MOST_ROWS", 3)

        asked: list[tuple[int, ...]] = []

        def rows(*counts: int) -> Callable[[Connection], Any]:
            query = Query(select(func.json_each(bindparam("values")).table_valued("value")), int)

            def read(connection: Connection) -> Any:
                asked.append(counts)
                return [query.all(connection, values=to_json([1] * each)) for each in counts]

            return read

        self.assertEqual(await self.records.read(rows(1, 2)), [[1], [1, 1]])
        for counts in ((4,), (2, 2)):
            error = await self.assertFailure(self.records.read(rows(*counts)), TooManyRowsError)
            self.assertIn("more than 3 rows", str(error))
            self.assertEqual(status_of(error), HTTPStatus.BAD_REQUEST)
        self.assertEqual(asked, [(1, 2), (4,), (2, 2)])

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


class ReadOnlyDirectoryTests(TestCase):
    """
    A database in a directory in which this process may write nothing.  (Root may always: then it is nobody's process,
    apart from the master.)
    """

    def setUp(self) -> None:
        from twisted.internet import reactor  # noqa: TID251 - its threads are what is tested

        # Not below the directory of the tests, which others may be unable to enter.
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory)
        self.path = os.path.join(self.directory, "farm.sqlite")
        engine = open_database(self.path)
        with engine.connect() as connection, connection.begin():
            settings.put(connection, "colour", "green")
        engine.dispose()
        os.chmod(self.path, 0o644)
        self.assertEqual(os.listdir(self.directory), ["farm.sqlite"])
        self.is_root = os.geteuid() == 0
        self.addCleanup(self.permit)
        self.forbid()
        self.records = ReadOnlyRecords(self.path, cast("Any", reactor))
        self.addCleanup(self.records.close)

    def forbid(self) -> None:
        """
        Write nothing in the directory from now on.
        """
        os.chmod(self.directory, 0o555)
        if self.is_root:
            os.seteuid(NOBODY)

    def permit(self) -> None:
        """
        Write there again.
        """
        if self.is_root:
            os.seteuid(0)
        os.chmod(self.directory, 0o755)

    def start_master(self) -> "subprocess.Popen[bytes]":
        """
        Start a process that writes into the database and keeps it open.
        """
        self.permit()
        argv = [sys.executable, "-c", MASTER, self.path]
        master = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(master.communicate)
        assert master.stdout is not None
        self.assertEqual(master.stdout.readline(), b"here\n")
        self.assertTrue(os.path.exists(f"{self.path}-wal"))
        self.forbid()
        return master

    def colour(self) -> "Deferred[Any]":
        """
        What is read.
        """
        return self.records.read(lambda connection: settings.get(connection, "colour"))

    async def test_stopped(self) -> None:
        """
        Promise 10.1: the records of a stopped master are read, and those of one that starts then, and when it has
        stopped again.
        """
        self.assertEqual(await self.colour(), "green")
        master = self.start_master()
        self.assertEqual(await self.colour(), "blue")
        master.communicate()
        self.assertEqual(await self.colour(), "blue")

    async def test_between(self) -> None:
        """
        Promise 10.1: what is read while a master starts is read again, so that no answer mixes two states.
        """
        started: list[Any] = []
        seen: list[object] = []

        def slow(connection: Connection) -> object:
            if not started:
                started.append(self.start_master())
            seen.append(settings.get(connection, "colour"))
            return seen[-1]

        self.assertEqual(await self.records.read(slow), "blue")
        self.assertEqual(len(seen), 2)
