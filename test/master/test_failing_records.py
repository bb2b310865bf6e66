"""
A farm while its database fails.
"""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Self, TypeVar
from unittest import mock

from sqlalchemy import Connection
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import (
    DatabaseLockedError,
    RecordsClosedError,
    RecordsFailingError,
    StorageError,
)
from buildbot_lite.model.results import Result
from buildbot_lite.model.wait_reasons import WaitKind
from buildbot_lite.status import documents
from buildbot_lite.storage import batch, retrying
from buildbot_lite.storage.records import settings
from buildbot_lite.storage.retrying import (
    LOG_INTERVAL,
    LONGEST_PAUSE,
    RetryingRecords,
    read_retrying,
)
from test.storage.inline import InlineWriter

from .configurations import ONE
from .harness import (
    MasterHarness,
    succeeding,
)

T = TypeVar("T")


def broken(code: int = sqlite3.SQLITE_IOERR, text: str = "disk I/O error") -> sqlite3.Error:
    """
    The driver's exception for SQLite's result *code*.
    """
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error


class FailingDisk:
    """
    While this context is open, each attempt at a transaction fails and is counted in *attempts*.
    """

    def __init__(self, error: sqlite3.Error | None = None) -> None:
        self.error = error or broken()
        self.attempts = 0
        self._patch = mock.patch.object(batch, "_retry_while_locked", self._fail)

    def __enter__(self) -> Self:
        self._patch.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._patch.stop()

    def _fail(self, *_: object) -> None:
        self.attempts += 1
        raise self.error


class LogLinesCase(SynchronousTestCase):
    """
    Tests that read the log.
    """

    def setUp(self) -> None:
        """
        Collect log events.
        """
        self.events = self.enterContext(capturedLogs())

    def lines(self) -> Sequence[str]:
        """
        The log's lines about the failing database.
        """
        return [str(event["why"]) for event in self.events if "Builds wait" in (event.get("log_format") or "")]


class FarmTests(LogLinesCase):
    """
    Promise 6.7: a farm whose database fails holds its queue, reports that, and continues by itself.
    """

    def test_holds(self) -> None:
        """
        Promise 6.7: while the database fails, the queue is held with the reason, attempts are few, and the log reports
        it once a minute.  When the database works again, the builds begin without an admin.
        """
        for code, text in (
            (sqlite3.SQLITE_IOERR, "disk I/O error"),
            (sqlite3.SQLITE_READONLY, "attempt to write a readonly database"),
            (sqlite3.SQLITE_CANTOPEN, "unable to open database file"),
            (sqlite3.SQLITE_IOERR | 12 << 8, "disk I/O error"),
        ):
            before = len(self.lines())
            harness = MasterHarness(ONE)
            requests = [harness.submit(), harness.submit()]
            with FailingDisk(broken(code, text)) as disk:
                bot = harness.attach()
                bot.behaviour = succeeding
                for _ in range(600):
                    harness.settle(1)
                waiting = documents.of_queue(harness.farm)["queue"]
                self.assertEqual([each["request"] for each in waiting], requests)
                for each in waiting:
                    self.assertEqual(each["why"]["kind"], WaitKind.STORAGE.value)
                    self.assertIn(text, each["why"]["sentence"])
                self.assertLess(disk.attempts, 600 / LONGEST_PAUSE + 10)
                self.assertLessEqual(len(self.lines()) - before, 600 / LOG_INTERVAL + 1)
                self.assertGreater(len(self.lines()) - before, 600 / LOG_INTERVAL - 2)
            harness.settle(LONGEST_PAUSE + 1)
            self.assertEqual([harness.request(request).result for request in requests], [Result.SUCCESS] * 2)
            self.assertIsNone(harness.farm.records.obstacle)

    def test_in_mid_build(self) -> None:
        """
        Promise 6.7: a build whose journal cannot be written waits and then continues; no command is started twice.
        """
        harness = MasterHarness(ONE)
        bot = harness.attach()
        request = harness.submit()
        with FailingDisk():
            bot.commands[0].end()
            harness.settle(300)
            self.assertEqual(len(bot.commands), 1)
            self.assertEqual(harness.farm.slots.on("bot1")[0].label, "b/1")
        bot.behaviour = succeeding
        harness.settle(LONGEST_PAUSE + 1)
        self.assertEqual(harness.request(request).result, Result.SUCCESS)
        self.assertEqual(len({started.id for started in bot.commands}), 4)

    def test_reading_fails(self) -> None:
        """
        Promise 6.7: a build repeats a failed read of the records until it succeeds.
        """
        clock, records = Clock(), InlineWriter()
        results: list[object] = []
        with mock.patch.object(records, "read", side_effect=RecordsFailingError):
            _ = Deferred.fromCoroutine(read_retrying(records, lambda connection: "found", clock)).addBoth(
                results.append
            )
            clock.advance(1)
            clock.advance(2)
        self.assertEqual(results, [])
        clock.advance(LONGEST_PAUSE)
        self.assertEqual(results, ["found"])

    def test_reading_of_triggered_builds_fails(self) -> None:
        """
        Promise 6.7: a build whose triggered builds end while the records cannot be read continues when they can.
        """
        harness = MasterHarness(
            """
c["slaves"] = [slave.BuildSlave("bot1")]
c["builders"] = [
    util.BuilderConfig("b", ["bot1"], util.BuildFactory([
        steps.Trigger(schedulerNames=["child"], waitForFinish=True),
    ])),
    util.BuilderConfig("child", ["bot1"], util.BuildFactory([steps.ShellCommand(command=["run"])])),
]
c["schedulers"] = [schedulers.Submit("go", ["b"]), schedulers.Triggerable("child", ["child"])]
"""
        )
        bot = harness.attach()
        request = harness.submit()
        with mock.patch.object(harness.farm.records, "read", side_effect=lambda query: fail(RecordsFailingError())):
            bot.commands[0].end()
            harness.settle(5)
            self.assertIsNone(harness.request(request).result)
        harness.settle(LONGEST_PAUSE)
        self.assertIs(harness.request(request).result, Result.SUCCESS)

    def test_directory_fails(self) -> None:
        """
        Promise 6.7: if the master's directory cannot be read, the queue is held, and its loop continues.
        """
        harness = MasterHarness(ONE)
        with mock.patch(
            "buildbot_lite.master.scheduling.hold.shutil.disk_usage", side_effect=OSError(5, "Input/output error")
        ):
            harness.attach()
            request = harness.submit()
            (waiting,) = documents.of_queue(harness.farm)["queue"]
            self.assertEqual(waiting["why"]["kind"], WaitKind.STORAGE.value)
            self.assertIn("Input/output error", waiting["why"]["sentence"])
        harness.settle(6)
        self.assertEqual(len(harness.builds(request)), 1)

    def test_defect_in_the_queue(self) -> None:
        """
        Promise 6.7: an error in the queue's loop is logged, and the loop continues.
        """
        harness = MasterHarness(ONE)
        with mock.patch.object(harness.farm.choice, "_place", side_effect=ZeroDivisionError):
            harness.attach()
            request = harness.submit()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        harness.settle(6)
        self.assertEqual(len(harness.builds(request)), 1)

    def test_start_that_cannot_be_recorded(self) -> None:
        """
        Promise 6.7: if the start of a build cannot be recorded for another reason, it is tried again after a pause, not
        in a busy loop.
        """
        harness = MasterHarness(ONE)
        request = harness.submit()
        with mock.patch("buildbot_lite.storage.records.builds.start", side_effect=StorageError("odd")) as start:
            harness.attach()
            harness.settle(1)
            self.assertEqual(start.call_count, 1)
            (waiting,) = documents.of_queue(harness.farm)["queue"]
            self.assertEqual(waiting["why"]["kind"], WaitKind.BACK_OFF.value)
        harness.settle(31)
        self.assertEqual(len(harness.builds(request)), 1)


class FullWriter(InlineWriter):
    """
    Accepts *room* changes, and refuses more at once.
    """

    room = 1000

    def write(self, change: Callable[[Connection], T]) -> Deferred[T]:
        if self.room == 0:
            return fail(RecordsFailingError("Too much waits."))
        self.room -= 1
        return super().write(change)


class RetryingRecordsTests(LogLinesCase):
    """
    Records that retry until the database works.
    """

    def setUp(self) -> None:
        super().setUp()
        self.clock = Clock()
        self.records = RetryingRecords(InlineWriter(), self.clock)

    def put(self, name: str) -> Deferred[None]:
        """
        Write the setting *name*.
        """

        def put(connection: Connection) -> None:
            settings.put(connection, name, "x")

        return self.records.write(put)

    def test_backs_off(self) -> None:
        """
        Promise 6.7: the pauses between attempts grow from 1 s to 30 s, and start at 1 s again after a success.
        """
        for _ in range(2):
            with FailingDisk() as disk:
                done = self.put("a")
                attempts = [disk.attempts]
                for _ in range(64):
                    self.clock.advance(1)
                    attempts.append(disk.attempts)
                when = [second for second in range(1, 65) if attempts[second] > attempts[second - 1]]
                self.assertEqual(when, [1, 3, 7, 15, 31, 61])
            self.clock.advance(LONGEST_PAUSE)
            self.successResultOf(done)

    def test_refused_at_once(self) -> None:
        """
        Promise 6.7: when the database works again but refuses some of the waiting changes, these are written later, in
        their order.
        """
        writer = FullWriter()
        self.records = RetryingRecords(writer, self.clock)
        with FailingDisk():
            done = [self.put(name) for name in "abc"]
        writer.room = 1
        self.clock.advance(1)
        self.assertEqual([each.called for each in done], [True, False, False])
        writer.room = 2
        self.clock.advance(LONGEST_PAUSE)
        for each in done:
            self.successResultOf(each)

    def test_changed(self) -> None:
        """
        The callback is called once when the database fails, and once when it works again.
        """
        told: list[object] = []
        self.records = RetryingRecords(InlineWriter(), self.clock, lambda: told.append(self.records.obstacle))
        with FailingDisk():
            done = self.put("a"), self.put("b")
            self.clock.advance(1)
            self.clock.advance(2)
        self.clock.advance(LONGEST_PAUSE)
        self.assertEqual([type(each) for each in told], [RecordsFailingError, type(None)])
        for each in done:
            self.successResultOf(each)

    def test_locked(self) -> None:
        """
        A locked database is waited for, whichever of SQLite's codes reports the lock.
        """
        for code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_BUSY | 2 << 8):
            with FailingDisk(broken(code, "database is locked")):
                done = self.put("a")
                self.assertIsInstance(self.records.obstacle, DatabaseLockedError)
            self.clock.advance(LONGEST_PAUSE)
            self.successResultOf(done)

    def test_error_of_one_change(self) -> None:
        """
        A change that fails for its own reason fails for its caller only; other changes are written.
        """
        for code in (sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_TOOBIG):

            def change(connection: Connection, code: int = code) -> None:
                raise broken(code, "it is wrong")

            failure = self.failureResultOf(self.records.write(change), StorageError)
            self.assertFalse(failure.check(RecordsFailingError))
            self.successResultOf(self.put("a"))

    def test_bound(self) -> None:
        """
        At most MOST_WAITING changes wait; a further change is refused with a sentence.
        """
        self.patch(retrying, "MOST_WAITING", 3)
        with FailingDisk():
            waiting = [self.put("a") for _ in range(3)]
            refused = self.failureResultOf(self.put("b"), RecordsFailingError)
        self.assertIn("3 changes wait already", str(refused.value))
        self.clock.advance(LONGEST_PAUSE)
        for each in waiting:
            self.successResultOf(each)

    def test_closed(self) -> None:
        """
        When the records are closed, waiting changes fail with RecordsClosedError, and there are no more attempts.
        """
        with FailingDisk() as disk:
            waiting = self.put("a")
            self.successResultOf(self.records.close())
            self.failureResultOf(waiting, RecordsClosedError)
            attempts = disk.attempts
            self.clock.pump([LONGEST_PAUSE] * 3)
            self.assertEqual(disk.attempts, attempts)
        self.failureResultOf(self.put("b"), RecordsClosedError)
