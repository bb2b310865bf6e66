"""
Requests, triggers and records that wait for room.
"""

from typing import Any
from unittest import mock

from sqlalchemy import Connection
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import (
    DatabaseFullError,
    DatabaseLockedError,
    StorageError,
)
from buildbot_lite.master.grants import verbs
from buildbot_lite.master.scheduling.requests import LONGEST_BACK_OFF, back_off
from buildbot_lite.master.scheduling.submission import SubmissionInput
from buildbot_lite.model.results import Result
from buildbot_lite.storage.inline import InlineWriter
from buildbot_lite.storage.records import (
    builds,
    grants,
    requests,
    settings,
)
from buildbot_lite.storage.records.grants import Grant
from buildbot_lite.storage.records.requests import SubmittedBuildset
from buildbot_lite.storage.retrying import LONGEST_PAUSE, RetryingRecords

from .stage import (
    FakeSlave,
    Stage,
    scripted,
)

TRIGGERING = """
c["slaves"] = [slave.BuildSlave("bot1")]
c["builders"] = [
    util.BuilderConfig("upper", ["bot1"], util.BuildFactory([
        steps.Trigger(schedulerNames=["down"], waitForFinish=True, set_properties={"from": "upper"}),
    ])),
    util.BuilderConfig("lower", ["bot1"], util.BuildFactory([
        steps.ShellCommand(command=["run", util.Property("from")]),
    ])),
]
c["schedulers"] = [schedulers.Submit("go", ["upper"]), schedulers.Triggerable("down", ["lower"])]
"""


class WatchTests(SynchronousTestCase):
    """
    The string with which a submission is watched.
    """

    def setUp(self) -> None:
        self.stage = Stage(TWO_BUILDERS)
        self.grants = self.stage.farm.grants
        self.slave = self.stage.attach()

    def submit(self, name: str = "go") -> SubmittedBuildset:
        door, grant = self.stage.farm.submissions, self.grants.of(verbs.SUBMIT, name)
        assert grant is not None
        with door.admit(grant.id) as admission:
            kind = door.scheduler(grant.id).input_kind
            submitted: SubmittedBuildset = self.stage.done(door.submit(admission, SubmissionInput(kind)))
        return submitted

    def watches(self, submitted: SubmittedBuildset) -> list[Grant]:
        """
        As they are recorded, and as they are remembered: the same.
        """
        of = str(submitted.buildset.id)
        recorded: list[Grant] = self.stage.read(lambda connection: grants.by_object(connection, "watch", of))
        self.assertEqual(list(self.grants.all_of(verbs.WATCH, of)), recorded)
        return recorded

    def test_made(self) -> None:
        """
        It is made in the transaction that asks for the builds, unless its submitter is never told of it.
        """
        written = self.stage.farm.records.write
        with mock.patch.object(self.stage.farm.records, "write", side_effect=written) as write:
            submitted = self.submit()
            (watch,) = self.watches(submitted)
            furl = self.stage.done(self.stage.farm.submissions.watch_furl(submitted))
            self.assertEqual(write.call_count, 1)
        self.assertTrue(furl.endswith(self.grants.swissnum(watch)))
        self.assertEqual(self.watches(self.submit("file")), [])

    def test_last_day(self) -> None:
        """
        It lives for seven days after the last of its requests ended, which is recorded together with that end.
        """
        submitted = self.submit()
        self.stage.settle()
        self.slave.given[0].end(0)
        self.stage.settle(3 * 86400)
        self.assertEqual([each.expires for each in self.watches(submitted)], [None])

        written = self.stage.farm.records.write
        with mock.patch.object(self.stage.farm.records, "write", side_effect=written) as write:
            self.slave.given[1].end(0)
            self.stage.settle()
        self.assertEqual(write.call_count, 1)
        self.assertEqual([each.expires for each in self.watches(submitted)], [self.stage.clock.seconds() + 7 * 86400])

    def test_cancelled(self) -> None:
        """
        The same when its request is cancelled while it waits.
        """
        self.stage.farm.hold.begin()
        submitted = self.submit()
        for request in submitted.requests:
            self.stage.done(self.stage.farm.requests.cancel(request.id, "not wanted"))
        self.assertEqual([each.expires for each in self.watches(submitted)], [self.stage.clock.seconds() + 7 * 86400])


TWO_BUILDERS = """
c["slaves"] = [slave.BuildSlave("bot1")]
c["builders"] = [
    util.BuilderConfig(name, ["bot1"], util.BuildFactory([steps.ShellCommand(command=["run", name])]))
    for name in ("one", "two")
]
c["schedulers"] = [schedulers.Submit("go", ["one", "two"]), schedulers.Submit("file", ["one"], file="file")]
"""


class TriggerTests(SynchronousTestCase):
    """
    Builds that ask for builds.
    """

    def test_waits(self) -> None:
        """
        A Trigger waits for what it asked for, hands properties down, and has its result.
        """
        for exit_code, result in ((0, Result.SUCCESS), (1, Result.FAILURE)):
            stage = Stage(TRIGGERING)
            slave = stage.attach(slave=FakeSlave(behaviour=scripted({"upper": exit_code})))
            request = stage.submit()
            self.assertEqual([given.spec.argv for given in slave.given], [("run", "upper")])  # type: ignore[union-attr]  # it runs
            self.assertEqual(stage.request(request).result, result)

    def test_cannot_be_asked_for(self) -> None:
        """
        Whoever cannot be told of a result is told so, and is in nobody's way when the result comes.
        """
        stage = Stage(TRIGGERING)
        request = stage.submit()
        requests_, buildset = stage.farm.requests, stage.request(request).buildset
        with mock.patch.object(stage.farm.records, "read", side_effect=[fail(StorageError("busy"))]):
            self.failureResultOf(requests_.when_finished(buildset), StorageError)
        told = requests_.when_finished(buildset)
        self.assertTrue(stage.done(requests_.cancel(request, "not wanted")))
        self.assertIs(self.successResultOf(told), Result.CANCELLED)

    def test_restart(self) -> None:
        """
        A master that dies while a Trigger waits asks for nothing twice.
        """
        stage = Stage(TRIGGERING)
        slave = stage.attach()
        request = stage.submit()
        stage.restart()
        again = stage.attach(held=slave.held())
        self.assertEqual(again.given, [])
        self.assertEqual(len(again.resumed), 1)
        lower = stage.read(lambda c: builds.by_number(c, "lower", 1))
        command = stage.farm.slaves.session("bot1")._core.commands[slave.given[0].id]
        slave.given[0].command = command
        slave.given[0].end(0)
        stage.settle()
        self.assertEqual(stage.request(request).result, Result.SUCCESS)
        self.assertEqual(stage.request(lower.request).result, Result.SUCCESS)
        self.assertEqual(len(stage.read(requests.newest)), 2)

    def test_asked_twice(self) -> None:
        """
        A master that died before it recorded the answer asks again, and nothing more is built.
        """
        stage = Stage(TRIGGERING)
        door = stage.farm.submissions
        first = self.successResultOf(door.trigger("down", "parent-1", {}, {}))
        self.assertEqual(self.successResultOf(door.trigger("down", "parent-1", {}, {})), first)
        self.assertEqual(len(list(stage.farm.queue.waiting())), 1)
        self.assertNotEqual(self.successResultOf(door.trigger("down", "parent-2", {}, {})), first)

    def test_cancel(self) -> None:
        """
        A build that waits for another can be cancelled.
        """
        stage = Stage(TRIGGERING)
        stage.attach()
        request = stage.submit()
        stage.done(stage.farm.submissions.cancel_request(request, "enough"))
        stage.settle()
        self.assertEqual(stage.request(request).result, Result.CANCELLED)


class BackOffTests(SynchronousTestCase):
    """
    The pause before a retry.
    """

    def test_grows(self) -> None:
        """
        It grows, and stays below five minutes.
        """
        pauses = [back_off(retry) for retry in range(1, 12)]
        self.assertEqual(pauses[:3], [2, 8, 32])
        self.assertEqual(pauses, sorted(pauses))
        self.assertEqual(pauses[-1], LONGEST_BACK_OFF)


class FullDisk(InlineWriter):
    """
    Records on a disk that is full for a while; or *full* says what else is wrong.
    """

    full: bool | Exception = False

    def write(self, change: Any) -> Deferred[Any]:
        if self.full:
            return fail(DatabaseFullError() if self.full is True else self.full)
        return super().write(change)


class PatienceTests(SynchronousTestCase):
    """
    Records that wait for room.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.disk = FullDisk()
        self.order: list[str] = []
        self.records = RetryingRecords(self.disk, self.clock)

    def put(self, name: str) -> Deferred[None]:
        """
        Write something.
        """

        def put(connection: Connection) -> None:
            self.order.append(name)
            settings.put(connection, name, "x")

        return self.records.write(put)

    def test_waits(self) -> None:
        """
        Bad input of the world: on a full disk a change waits, everything behind it too, in order; then all are done.
        """
        self.disk.full = True
        first, second = self.put("a"), self.put("b")
        self.clock.advance(LONGEST_PAUSE)
        self.assertNoResult(first)
        self.disk.full = False
        third = self.put("c")
        self.assertNoResult(third)
        self.assertEqual(self.records.waiting, 3)
        self.clock.advance(LONGEST_PAUSE)
        for done in (first, second, third):
            self.successResultOf(done)
        self.assertEqual(self.records.waiting, 0)

    def test_locked(self) -> None:
        """
        Promise 5: changes wait for another program that has the database locked, however long.
        """
        self.disk.full = DatabaseLockedError()
        first, second = self.put("a"), self.put("b")
        self.clock.advance(10 * LONGEST_PAUSE)
        self.assertIsInstance(self.records.obstacle, DatabaseLockedError)
        self.disk.full = False
        for _ in range(3):
            self.clock.advance(LONGEST_PAUSE)
        self.successResultOf(first)
        self.successResultOf(second)
        self.assertIsNone(self.records.obstacle)

    def test_order_is_kept(self) -> None:
        """
        What is asked for while the first is tried again gets in behind all that waits.
        """
        self.disk.full = True
        first, second = self.put("a"), self.put("b")
        self.disk.full = False
        third: list[Deferred[None]] = []
        first.addCallback(lambda nothing: third.append(self.put("c")))  # type: ignore[unused-awaitable]  # it has its result
        self.clock.advance(LONGEST_PAUSE)
        self.successResultOf(second)
        self.successResultOf(third[0])
        self.assertEqual(self.order, ["a", "b", "c"])

    def test_late_news(self) -> None:
        """
        What was asked for before anybody knew of the full disk, and fails a little later, keeps its place.
        """
        asked: list[tuple[Any, Deferred[Any]]] = []

        def slow(change: Any) -> Deferred[Any]:
            asked.append((change, Deferred()))
            return asked[-1][1]

        self.patch(self.disk, "write", slow)
        first, second = self.put("a"), self.put("b")
        asked[0][1].errback(DatabaseFullError())
        third = self.put("c")
        asked[1][1].errback(DatabaseFullError())
        for number in (2, 3, 4):
            self.clock.advance(LONGEST_PAUSE)
            asked[number][1].callback(number)
        self.assertEqual([self.successResultOf(each) for each in (first, second, third)], [2, 3, 4])

    def test_other_errors(self) -> None:
        """
        Anything else goes to whoever asked.
        """

        def change(connection: Connection) -> None:
            raise StorageError("broken")

        self.failureResultOf(self.records.write(change), StorageError)
