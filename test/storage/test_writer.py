"""
Records that commit many changes in one transaction, without visible effects before the commit.
"""

import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Connection, Engine, event
from twisted.internet import reactor  # noqa: TID251 - the writer's threads answer through a real one
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from buildbot_lite.errors import DatabaseFullError, StorageError
from buildbot_lite.storage import writer as writer_module
from buildbot_lite.storage.database import open_database
from buildbot_lite.storage.records import feed, settings
from buildbot_lite.storage.records.feed import Event
from buildbot_lite.storage.roles import NOTED_WITHIN, ReactorThread, Records
from buildbot_lite.storage.writer import Writer
from test.storage.inline import InlineWriter


def put(name: str, value: str) -> Callable[[Connection], None]:
    """
    A change of a setting.
    """
    return lambda connection: settings.put(connection, name, value)


def get(name: str) -> Callable[[Connection], str | None]:
    """
    A query of a setting.
    """
    return lambda connection: settings.get(connection, name)


def publish(kind: str) -> Callable[[Connection], Event]:
    """
    A change that publishes an event.
    """
    return lambda connection: feed.publish(connection, kind, now=1.0)


def failing_change(kind: str) -> Callable[[Connection], None]:
    """
    A change that publishes an event, and then fails.
    """

    def change(connection: Connection) -> None:
        feed.publish(connection, kind, now=1.0)
        settings.put(connection, "failing_change", "yes")
        raise ZeroDivisionError

    return change


# The tests are coroutines, which need trial's asynchronous test case.
if TYPE_CHECKING:
    _Case = TestCase
else:
    _Case = object


class RecordsContract(_Case):
    """
    The behaviour of both implementations of records.
    """

    records: Records
    events: list[Event]

    def use(self, records: Records) -> None:
        """
        Use *records* in the tests.
        """
        self.records = records
        self.events = []
        records.on_commit(self.events.extend)

    async def test_written_is_read(self) -> None:
        """
        The Deferred of a change fires with its result, and later reads see it.
        """
        self.assertEqual(await self.records.write(lambda connection: 7), 7)
        await self.records.write(put("title", "Farm"))

        self.assertEqual(await self.records.read(get("title")), "Farm")
        self.assertEqual(await self.records.note(lambda connection: 8), 8)

    async def test_failing_change(self) -> None:
        """
        A change that raises is rolled back, and affects no other change.
        """
        before, failing, after = (
            self.records.write(publish("before")),
            self.records.write(failing_change("never")),
            self.records.write(publish("after")),
        )
        await before
        with self.assertRaises(ZeroDivisionError):
            await failing
        await after

        self.assertIsNone(await self.records.read(get("failing_change")))
        self.assertEqual([e.kind for e in self.events], ["before", "after"])
        self.assertEqual(await self.records.read(lambda c: feed.since(c, 0)), self.events)

    async def test_events_before_answers(self) -> None:
        """
        Subscribers receive the committed events of a change before its Deferred fires (invariant I6).
        """
        told: list[str] = []
        self.records.on_commit(lambda events: told.extend(e.kind for e in events))
        writing = self.records.write(publish("build.started")).addCallback(lambda event: told.append("answer"))
        await writing

        self.assertEqual(told, ["build.started", "answer"])

    async def test_order(self) -> None:
        """
        Changes and their events keep the order of the calls.
        """
        numbers = await gatherResults([self.records.write(publish(str(n))) for n in range(50)])

        self.assertEqual([e.kind for e in self.events], [str(n) for n in range(50)])
        self.assertEqual(self.events, numbers)
        self.assertEqual(sorted(e.seq for e in self.events), [e.seq for e in self.events])

    async def test_follower_that_raises(self) -> None:
        """
        A subscriber that raises is logged, and the others are called.
        """

        def broken(events: Sequence[Event]) -> None:
            raise ZeroDivisionError

        also: list[Event] = []
        self.records.on_commit(broken)
        self.records.on_commit(also.extend)
        await self.records.write(publish("build.started"))

        self.assertEqual(len(also), 1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_stop_following(self) -> None:
        """
        A removed subscriber is not called.
        """
        known_failures: list[Event] = []
        stop = self.records.on_commit(known_failures.extend)
        stop()
        stop()
        await self.records.write(publish("build.started"))

        self.assertEqual(known_failures, [])

    async def test_database_error(self) -> None:
        """
        An error of the database becomes a `StorageError`, and later changes succeed.
        """
        with self.assertRaises(StorageError) as caught:
            await self.records.write(lambda c: c.exec_driver_sql("INSERT INTO settings VALUES ('x', NULL)"))
        self.assertIn("NOT NULL", str(caught.exception))

        await self.records.write(put("a", "b"))

    async def test_disk_full(self) -> None:
        """
        On a full disk a change fails without effect; when there is room again, changes succeed.
        """
        await self.records.write(lambda c: c.exec_driver_sql("PRAGMA max_page_count=1"))
        with self.assertRaises(DatabaseFullError):
            await self.records.write(put("large", "x" * 1_000_000))
        await self.records.write(lambda c: c.exec_driver_sql("PRAGMA max_page_count=1000000"))

        self.assertIsNone(await self.records.read(get("large")))
        await self.records.write(put("large", "x" * 1_000_000))

    async def test_failing_query(self) -> None:
        """
        The Deferred of a query that raises fails.
        """
        with self.assertRaises(ZeroDivisionError):
            await self.records.read(lambda connection: 1 // 0)

        self.assertIsNone(await self.records.read(get("title")))

    async def test_closed(self) -> None:
        """
        Closing finishes earlier calls; later ones fail with one sentence, and closing again has no effect.
        """
        written = self.records.write(publish("last"))
        await self.records.close()
        await self.records.close()
        await written

        self.assertEqual([e.kind for e in self.events], ["last"])
        with self.assertRaises(StorageError):
            await self.records.write(put("a", "b"))
        with self.assertRaises(StorageError):
            await self.records.read(get("a"))


class InlineWriterTests(RecordsContract, TestCase):
    def setUp(self) -> None:
        """
        Records without threads.
        """
        self.use(InlineWriter())
        self.addCleanup(self.records.close)


class Gate:
    """
    Delays a change in the writer's thread.
    """

    def __init__(self) -> None:
        self._entered = threading.Event()
        self._opened = threading.Event()

    def held(self, connection: Connection) -> object:
        """
        A change that waits until `open`.
        """
        self._entered.set()
        assert self._opened.wait(60)
        return None

    async def entered(self) -> None:
        """
        Wait until the change has begun, which takes another turn of the reactor.
        """
        assert await deferToThread(self._entered.wait, 60)

    def open(self) -> None:
        """
        Let the change end.
        """
        self._opened.set()


class WriterCase(TestCase):
    """
    Has a database on the disk.
    """

    def setUp(self) -> None:
        """
        A new database.
        """
        self.path = os.path.join(self.mktemp(), "farm.sqlite")
        os.makedirs(os.path.dirname(self.path))
        self.engine = open_database(self.path)

    def writer(self, **options: Any) -> Writer:
        """
        A writer for the database.
        """
        writer = Writer(self.engine, cast(ReactorThread, reactor), **options)
        self.addCleanup(writer.close)
        return writer


class WriterContractTests(RecordsContract, WriterCase):
    def setUp(self) -> None:
        """
        The writer with threads.
        """
        super().setUp()
        self.use(self.writer())


class WriterTests(WriterCase):
    async def test_group_commit(self) -> None:
        """
        Changes that arrive during a transaction form one transaction together.
        """
        commits = counted(self.engine, "commit")
        writer = self.writer()
        gate = Gate()
        first = writer.write(gate.held)
        await gate.entered()
        others = [writer.write(put(f"name {n}", "x")) for n in range(300)]
        gate.open()
        await first
        await gatherResults(others)

        self.assertEqual(len(commits), 2)

    async def test_one_turn(self) -> None:
        """
        Changes of one turn of the reactor form one transaction, also when nothing else is written.
        """
        commits = counted(self.engine, "commit")
        writer = self.writer()
        await gatherResults([writer.write(put(f"name {n}", "x")) for n in range(300)])

        self.assertEqual(len(commits), 1)

    async def test_one_failing_change_in_a_group(self) -> None:
        """
        When one change of a transaction raises, only that change is undone.
        """
        writer = self.writer()
        gate = Gate()
        first = writer.write(gate.held)
        await gate.entered()
        good = [writer.write(put("a", "1")), writer.write(put("b", "1"))]
        bad = writer.write(failing_change("never"))
        good.append(writer.write(put("c", "1")))
        gate.open()
        await first
        await gatherResults(good)
        with self.assertRaises(ZeroDivisionError):
            await bad

        found = await writer.read(lambda c: [settings.get(c, name) for name in ("a", "b", "c", "failing_change")])
        self.assertEqual(found, ["1", "1", "1", None])

    async def test_kept(self) -> None:
        """
        Committed changes are in the file for the next process.
        """
        writer = self.writer()
        await writer.write(put("title", "Farm"))
        await writer.close()

        with open_database(self.path).connect() as connection:
            self.assertEqual(settings.get(connection, "title"), "Farm")
        self.assertEqual(os.listdir(os.path.dirname(self.path)), ["farm.sqlite"])

    async def test_reading_while_writing(self) -> None:
        """
        Queries do not wait for a slow change, and do not see it.
        """
        writer = self.writer()
        gate = Gate()

        def slow(connection: Connection) -> None:
            settings.put(connection, "title", "Farm")
            gate.held(connection)

        writing = writer.write(slow)
        await gate.entered()
        self.assertIsNone(await writer.read(get("title")))
        gate.open()
        await writing
        self.assertEqual(await writer.read(get("title")), "Farm")

    async def test_readers_cannot_write(self) -> None:
        """
        A query that tries to change something fails.
        """
        writer = self.writer()
        with self.assertRaises(StorageError):
            await writer.read(put("a", "b"))

    async def test_locked_for_a_while(self) -> None:
        """
        While another process has the database locked, changes wait for it.
        """
        writer = self.writer()
        await writer.write(put("a", "before"))
        other = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        self.addCleanup(other.close)
        other.execute("BEGIN IMMEDIATE")
        writing = writer.write(put("a", "after"))
        self.assertEqual(await writer.read(get("a")), "before")
        self.assertNoResult(writing)
        other.execute("ROLLBACK")
        await writing

        self.assertEqual(await writer.read(get("a")), "after")

    async def test_locked_for_too_long(self) -> None:
        """
        When another process keeps the lock, the change fails with a sentence, and later ones can succeed.
        """
        with self.engine.connect() as connection:
            other = connection.connection.driver_connection
            assert isinstance(other, sqlite3.Connection)
            event.listen(self.engine, "connect", lambda c, record: c.execute("PRAGMA busy_timeout=0"))
            writer = self.writer(lock_timeout=0.0)
            other.execute("BEGIN IMMEDIATE")
            with self.assertRaises(StorageError) as caught:
                await writer.write(put("a", "b"))
            self.assertIn("locked", str(caught.exception))
            other.execute("ROLLBACK")

        await writer.write(put("a", "b"))

    async def test_noted_with_the_next(self) -> None:
        """
        A noted change is committed with the next written change, before it.
        """
        commits = counted(self.engine, "commit")
        clock = Clock()
        writer = Writer(self.engine, ReactorWithClock(clock))
        self.addCleanup(writer.close)
        events: list[Event] = []
        writer.on_commit(events.extend)
        notes = [writer.note(publish(str(n))) for n in range(3)]
        written = writer.write(publish("3"))
        clock.advance(0)
        await written

        self.assertEqual([e.kind for e in events], ["0", "1", "2", "3"])
        self.assertEqual([(await each).kind for each in notes], ["0", "1", "2"])
        self.assertEqual(len(commits), 1)
        self.assertEqual(clock.getDelayedCalls(), [])

    async def test_noted_alone(self) -> None:
        """
        Without a written change, a noted change is committed after a short time.
        """
        clock = Clock()
        writer = Writer(self.engine, ReactorWithClock(clock))
        self.addCleanup(writer.close)
        for kind in ("one", "two"):
            note = writer.note(publish(kind))
            self.assertNoResult(note)
            clock.advance(NOTED_WITHIN)
            self.assertEqual((await note).kind, kind)

    async def test_noted_before_the_end(self) -> None:
        """
        Noted changes are committed before the database is closed; later ones are refused.
        """
        writer = self.writer()
        note = writer.note(publish("last"))
        await writer.close()

        self.assertEqual((await note).kind, "last")
        with self.assertRaises(StorageError):
            await writer.note(publish("never"))

    async def test_too_much_waiting(self) -> None:
        """
        The number of changes that wait is bounded; more are refused with a sentence.
        """
        writer = self.writer(most_waiting=2)
        gate = Gate()
        accepted: list[Deferred[Any]] = [writer.write(gate.held), writer.write(put("a", "b"))]
        refused = self.failureResultOf(writer.write(put("c", "d")), StorageError)
        self.assertIn("wait", str(refused.value))
        gate.open()
        for each in accepted:
            await each

        await writer.write(put("c", "d"))

    async def test_largest_batch(self) -> None:
        """
        More changes than LARGEST_BATCH take several transactions, and closing loses none of them.
        """
        self.patch(writer_module, "LARGEST_BATCH", 10)
        commits = counted(self.engine, "commit")
        writer = self.writer()
        gate = Gate()
        first = writer.write(gate.held)
        await gate.entered()
        others = [writer.write(publish(str(n))) for n in range(25)]
        closing = writer.close()
        gate.open()
        await closing
        await first

        self.assertEqual([(await each).kind for each in others], [str(n) for n in range(25)])
        self.assertEqual(len(commits), 4)

    async def test_commit_that_fails(self) -> None:
        """
        When the commit itself fails, no Deferred succeeds, and no event is published (invariant I6).
        """
        writer = self.writer()
        events: list[Event] = []
        writer.on_commit(events.extend)

        def fails_late(connection: Connection) -> None:
            feed.publish(connection, "never", now=1.0)
            connection.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
            connection.exec_driver_sql("INSERT INTO steps (build, number, name, started) VALUES (99, 0, 'x', 1)")

        with self.assertRaises(StorageError) as caught:
            await writer.write(fails_late)
        self.assertIn("FOREIGN KEY", str(caught.exception))
        await writer.write(publish("later"))

        self.assertEqual([e.kind for e in events], ["later"])
        self.assertEqual(await writer.read(lambda c: feed.since(c, 0)), events)

    async def test_changes_during_a_failed_transaction(self) -> None:
        """
        When a whole transaction fails, all changes that were submitted meanwhile fail too, also notes, because they may
        depend on it (invariant I6); a change that is submitted after the failure is done.
        """
        writer = self.writer()
        gate = Gate()

        def fails(connection: Connection) -> None:
            gate.held(connection)
            raise DatabaseFullError

        first = writer.write(fails)
        await gate.entered()
        after = [writer.note(put("a", "x")), writer.write(put("b", "x"))]
        gate.open()
        later: list[Deferred[None]] = []
        first.addErrback(lambda failure: later.append(writer.write(put("c", "x"))))  # type: ignore[unused-awaitable]  # awaited
        await first
        for each in after:
            with self.assertRaises(DatabaseFullError):
                await each
        await later[0]

        found = [await writer.read(get(name)) for name in "abc"]
        self.assertEqual(found, [None, None, "x"])

    async def test_connection_that_breaks(self) -> None:
        """
        A lost connection is replaced for the next change.
        """
        writer = self.writer()

        def cut(connection: Connection) -> None:
            raw = connection.connection.driver_connection
            assert isinstance(raw, sqlite3.Connection)
            raw.close()

        with self.assertRaises(StorageError):
            await writer.write(cut)
        await writer.write(put("a", "b"))

        self.assertEqual(await writer.read(get("a")), "b")

    async def test_directory_gone(self) -> None:
        """
        When the database cannot be opened, changes and queries fail with a sentence.
        """
        engine = open_database(self.path)
        os.rename(self.path, self.path + ".away")
        os.mkdir(self.path)
        writer = Writer(engine, cast(ReactorThread, reactor))
        self.addCleanup(writer.close)
        with self.assertRaises(StorageError):
            await writer.write(put("a", "b"))
        with self.assertRaises(StorageError):
            await writer.read(get("a"))


class ReactorWithClock:
    """
    The running reactor with another clock.
    """

    def __init__(self, clock: Clock) -> None:
        self.callLater = clock.callLater
        self.callFromThread = cast(ReactorThread, reactor).callFromThread


def counted(engine: Engine, name: str) -> list[object]:
    """
    A list that grows with each event *name* of *engine*.
    """
    seen: list[object] = []
    event.listen(engine, name, seen.append)
    return seen
