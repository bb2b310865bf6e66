"""
What a farm does while its database fails.
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
from buildbot_lite.storage.inline import InlineWriter
from buildbot_lite.storage.records import settings
from buildbot_lite.storage.retrying import (
    LOG_INTERVAL,
    LONGEST_PAUSE,
    RetryingRecords,
    read_retrying,
)

from .stage import (
    ONE,
    Stage,
    succeeding,
)

T = TypeVar("T")


def broken(code: int = sqlite3.SQLITE_IOERR, text: str = "disk I/O error") -> sqlite3.Error:
    """
    What the driver raises when SQLite answers *code*.
    """
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error


class FailingDisk:
    """
    While it is patched in, each attempt at a transaction fails, and is counted in *attempts*.
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


class LinesCase(SynchronousTestCase):
    """
    Tests that look at what is logged.
    """

    def setUp(self) -> None:
        """
        Collect what is logged.
        """
        self.events = self.enterContext(capturedLogs())

    def lines(self) -> Sequence[str]:
        """
        What was said of the database that fails.
        """
        return [str(event["why"]) for event in self.events if "Builds wait" in (event.get("log_format") or "")]


class FarmTests(LinesCase):
    """
    Promise 6.7: a farm whose database fails holds its queue, says so, and goes on by itself.
    """

    def test_holds(self) -> None:
        """
        Promise 6.7: the queue holds and says why, attempts are few, the log says it once a minute; when the database
        works again, the builds begin without a word from anybody.
        """
        for code, text in (
            (sqlite3.SQLITE_IOERR, "disk I/O error"),
            (sqlite3.SQLITE_READONLY, "attempt to write a readonly database"),
            (sqlite3.SQLITE_CANTOPEN, "unable to open database file"),
            (sqlite3.SQLITE_IOERR | 12 << 8, "disk I/O error"),
        ):
            before = len(self.lines())
            stage = Stage(ONE)
            requests = [stage.submit(), stage.submit()]
            with FailingDisk(broken(code, text)) as disk:
                bot = stage.attach()
                bot.behaviour = succeeding
                for _ in range(600):
                    stage.settle(1)
                waiting = documents.of_queue(stage.farm)["queue"]
                self.assertEqual([each["request"] for each in waiting], requests)
                for each in waiting:
                    self.assertEqual(each["why"]["kind"], WaitKind.STORAGE.value)
                    self.assertIn(text, each["why"]["sentence"])
                self.assertLess(disk.attempts, 600 / LONGEST_PAUSE + 10)
                self.assertLessEqual(len(self.lines()) - before, 600 / LOG_INTERVAL + 1)
                self.assertGreater(len(self.lines()) - before, 600 / LOG_INTERVAL - 2)
            stage.settle(LONGEST_PAUSE + 1)
            self.assertEqual([stage.request(request).result for request in requests], [Result.SUCCESS] * 2)
            self.assertIsNone(stage.farm.records.obstacle)

    def test_in_mid_build(self) -> None:
        """
        Promise 6.7: a build whose journal cannot be written waits, and goes on; no command is started twice.
        """
        stage = Stage(ONE)
        bot = stage.attach()
        request = stage.submit()
        with FailingDisk():
            bot.given[0].end()
            stage.settle(300)
            self.assertEqual(len(bot.given), 1)
            self.assertEqual(stage.farm.slots.on("bot1")[0].label, "b/1")
        bot.behaviour = succeeding
        stage.settle(LONGEST_PAUSE + 1)
        self.assertEqual(stage.request(request).result, Result.SUCCESS)
        self.assertEqual(len({given.id for given in bot.given}), 4)

    def test_reading_fails(self) -> None:
        """
        Promise 6.7: what a build reads out of the records is read again until it can be.
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
        Promise 6.7: a build whose triggered builds ended while the records could not be read goes on when they can be.
        """
        stage = Stage(
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
        bot = stage.attach()
        request = stage.submit()
        with mock.patch.object(stage.farm.records, "read", side_effect=lambda query: fail(RecordsFailingError())):
            bot.given[0].end()
            stage.settle(5)
            self.assertIsNone(stage.request(request).result)
        stage.settle(LONGEST_PAUSE)
        self.assertIs(stage.request(request).result, Result.SUCCESS)

    def test_directory_fails(self) -> None:
        """
        Promise 6.7: a master's directory that cannot be looked at holds the queue, and does not end its loop.
        """
        stage = Stage(ONE)
        with mock.patch(
            "buildbot_lite.master.scheduling.hold.shutil.disk_usage", side_effect=OSError(5, "Input/output error")
        ):
            stage.attach()
            request = stage.submit()
            (waiting,) = documents.of_queue(stage.farm)["queue"]
            self.assertEqual(waiting["why"]["kind"], WaitKind.STORAGE.value)
            self.assertIn("Input/output error", waiting["why"]["sentence"])
        stage.settle(6)
        self.assertEqual(len(stage.builds(request)), 1)

    def test_defect_in_the_queue(self) -> None:
        """
        Promise 6.7: an error while the queue is looked at is logged, and the queue is looked at again.
        """
        stage = Stage(ONE)
        with mock.patch.object(stage.farm.queue, "_place", side_effect=ZeroDivisionError):
            stage.attach()
            request = stage.submit()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        stage.settle(6)
        self.assertEqual(len(stage.builds(request)), 1)

    def test_beginning_that_is_refused(self) -> None:
        """
        Promise 6.7: a build whose beginning cannot be recorded for another reason is begun again after a while, and is
        no hot loop.
        """
        stage = Stage(ONE)
        request = stage.submit()
        with mock.patch("buildbot_lite.storage.records.builds.start", side_effect=StorageError("odd")) as start:
            stage.attach()
            stage.settle(1)
            self.assertEqual(start.call_count, 1)
            (waiting,) = documents.of_queue(stage.farm)["queue"]
            self.assertEqual(waiting["why"]["kind"], WaitKind.BACK_OFF.value)
        stage.settle(31)
        self.assertEqual(len(stage.builds(request)), 1)


class FullWriter(InlineWriter):
    """
    Takes as many changes as it has *room* for, and refuses others at once.
    """

    room = 1000

    def write(self, change: Callable[[Connection], T]) -> Deferred[T]:
        """
        See `Records`.
        """
        if self.room == 0:
            return fail(RecordsFailingError("Too much waits."))
        self.room -= 1
        return super().write(change)


class PatientRecordsTests(LinesCase):
    """
    Records that wait until the database works.
    """

    def setUp(self) -> None:
        """
        Some records.
        """
        super().setUp()
        self.clock = Clock()
        self.records = RetryingRecords(InlineWriter(), self.clock)

    def put(self, name: str) -> Deferred[None]:
        """
        Write something.
        """

        def put(connection: Connection) -> None:
            settings.put(connection, name, "x")

        return self.records.write(put)

    def test_backs_off(self) -> None:
        """
        Promise 6.7: the pauses between two attempts grow from one second to half a minute, and begin anew.
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
        Promise 6.7: when the database works again and too much waits for it, the rest is written later, in order.
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
        Whoever wants to know is told once that the database fails, and once that it works again.
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
        A database that another program has locked, in whichever way SQLite says so, is waited for.
        """
        for code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_BUSY | 2 << 8):
            with FailingDisk(broken(code, "database is locked")):
                done = self.put("a")
                self.assertIsInstance(self.records.obstacle, DatabaseLockedError)
            self.clock.advance(LONGEST_PAUSE)
            self.successResultOf(done)

    def test_own_mistake(self) -> None:
        """
        What is wrong with one change alone is told to whoever asked for it, and holds up nobody.
        """
        for code in (sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_TOOBIG):

            def change(connection: Connection, code: int = code) -> None:
                raise broken(code, "it is wrong")

            failure = self.failureResultOf(self.records.write(change), StorageError)
            self.assertFalse(failure.check(RecordsFailingError))
            self.successResultOf(self.put("a"))

    def test_bound(self) -> None:
        """
        Bounded: more changes than that are refused, with a sentence; those that wait are done.
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
        What waits when the records are closed is told that they are; nothing is tried any more.
        """
        with FailingDisk() as disk:
            waiting = self.put("a")
            self.successResultOf(self.records.close())
            self.failureResultOf(waiting, RecordsClosedError)
            attempts = disk.attempts
            self.clock.pump([LONGEST_PAUSE] * 3)
            self.assertEqual(disk.attempts, attempts)
        self.failureResultOf(self.put("b"), RecordsClosedError)
