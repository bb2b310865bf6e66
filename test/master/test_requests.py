"""
Requests, their watch FURLs, triggered requests, and records that retry.
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
from buildbot_lite.storage.records import (
    builds,
    grants,
    requests,
    settings,
)
from buildbot_lite.storage.records.grants import Grant
from buildbot_lite.storage.records.requests import SubmittedBuildset
from buildbot_lite.storage.retrying import LONGEST_PAUSE, RetryingRecords
from test.storage.inline import InlineWriter

from .harness import (
    FakeSlave,
    MasterHarness,
    scripted,
)

TRIGGER_CONFIG = """
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
    The FURL with which a submission is watched.
    """

    def setUp(self) -> None:
        self.harness = MasterHarness(TWO_BUILDERS)
        self.grants = self.harness.farm.grants
        self.slave = self.harness.attach()

    def submit(self, name: str = "go") -> SubmittedBuildset:
        desk, grant = self.harness.farm.submissions, self.grants.of(verbs.SUBMIT, name)
        assert grant is not None
        with desk.admit(grant.id) as admission:
            scheduler = desk.scheduler(grant.id)
            given = SubmissionInput(scheduler.input_kinds[0])
            submitting = desk.submit(admission, given, watched=scheduler.takes_commands)
            submitted: SubmittedBuildset = self.harness.done(submitting)
        return submitted

    def watches(self, submitted: SubmittedBuildset) -> list[Grant]:
        """
        The watch grants of *submitted*, which are the same in the records and in memory.
        """
        of = str(submitted.buildset.id)
        every: list[Grant] = self.harness.read(grants.get_all)
        recorded = [each for each in every if (each.verb, each.object, each.revoked) == (verbs.WATCH, of, None)]
        self.assertEqual(list(self.grants.all_of(verbs.WATCH, of)), recorded)
        return recorded

    def test_created(self) -> None:
        """
        The watch grant is made in the transaction of the submission, unless the submitter never gets it.
        """
        written = self.harness.farm.records.write
        with mock.patch.object(self.harness.farm.records, "write", side_effect=written) as write:
            submitted = self.submit()
            (watch,) = self.watches(submitted)
            furl = self.harness.done(self.harness.farm.submissions.watch_furl(submitted))
            self.assertEqual(write.call_count, 1)
        self.assertTrue(furl.endswith(self.grants.swissnum(watch)))
        self.assertEqual(self.watches(self.submit("file")), [])

    def test_expiry(self) -> None:
        """
        A watch grant expires seven days after the end of its last request; the expiry is recorded in the same
        transaction as that end.
        """
        submitted = self.submit()
        self.harness.settle()
        self.slave.commands[0].end(0)
        self.harness.settle(3 * 86400)
        self.assertEqual([each.expires for each in self.watches(submitted)], [None])

        written = self.harness.farm.records.write
        with mock.patch.object(self.harness.farm.records, "write", side_effect=written) as write:
            self.slave.commands[1].end(0)
            self.harness.settle()
        self.assertEqual(write.call_count, 1)
        self.assertEqual([each.expires for each in self.watches(submitted)], [self.harness.clock.seconds() + 7 * 86400])

    def test_cancelled(self) -> None:
        """
        A watch grant also expires seven days after its request was cancelled in the queue.
        """
        self.harness.farm.hold.begin()
        submitted = self.submit()
        for request in submitted.requests:
            self.harness.done(self.harness.farm.requests.cancel(request.id, "not wanted"))
        self.assertEqual([each.expires for each in self.watches(submitted)], [self.harness.clock.seconds() + 7 * 86400])


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
    Builds that trigger builds.
    """

    def test_waits(self) -> None:
        """
        A Trigger waits for its builds, passes properties to them, and has their result.
        """
        for exit_code, result in ((0, Result.SUCCESS), (1, Result.FAILURE)):
            harness = MasterHarness(TRIGGER_CONFIG)
            slave = harness.attach(slave=FakeSlave(behaviour=scripted({"upper": exit_code})))
            request = harness.submit()
            self.assertEqual([started.spec.argv for started in slave.commands], [("run", "upper")])  # type: ignore[union-attr]  # it runs
            self.assertEqual(harness.request(request).result, result)

    def test_wait_that_cannot_begin(self) -> None:
        """
        If the wait for a result cannot begin because the records fail, the caller gets the error, and later waits work.
        """
        harness = MasterHarness(TRIGGER_CONFIG)
        request = harness.submit()
        requests_, buildset = harness.farm.requests, harness.request(request).buildset
        with mock.patch.object(harness.farm.records, "read", side_effect=[fail(StorageError("busy"))]):
            self.failureResultOf(requests_.when_finished(buildset), StorageError)
        told = requests_.when_finished(buildset)
        self.assertTrue(harness.done(requests_.cancel(request, "not wanted")))
        self.assertIs(self.successResultOf(told), Result.CANCELLED)

    def test_restart(self) -> None:
        """
        A master that dies while a Trigger waits triggers nothing twice.
        """
        harness = MasterHarness(TRIGGER_CONFIG)
        slave = harness.attach()
        request = harness.submit()
        harness.restart()
        again = harness.attach(held=slave.held())
        self.assertEqual(again.commands, [])
        self.assertEqual(len(again.resumed), 1)
        lower = harness.read(lambda c: builds.by_number(c, "lower", 1))
        command = harness.farm.slaves.session("bot1")._core.commands[slave.commands[0].id]
        slave.commands[0].command = command
        slave.commands[0].end(0)
        harness.settle()
        self.assertEqual(harness.request(request).result, Result.SUCCESS)
        self.assertEqual(harness.request(lower.request).result, Result.SUCCESS)
        self.assertEqual(len(harness.read(requests.newest)), 2)

    def test_triggered_twice(self) -> None:
        """
        When a trigger is repeated after the master died before it recorded the answer, no further build is made.
        """
        harness = MasterHarness(TRIGGER_CONFIG)
        triggering = harness.farm.triggering
        first = self.successResultOf(triggering.trigger("down", "parent-1", {}, {}))
        self.assertEqual(self.successResultOf(triggering.trigger("down", "parent-1", {}, {})), first)
        self.assertEqual(len(list(harness.farm.queue.waiting())), 1)
        self.assertNotEqual(self.successResultOf(triggering.trigger("down", "parent-2", {}, {})), first)

    def test_cancel(self) -> None:
        """
        A build that waits for a triggered build can be cancelled.
        """
        harness = MasterHarness(TRIGGER_CONFIG)
        harness.attach()
        request = harness.submit()
        harness.done(harness.farm.canceller.cancel(request, "enough"))
        harness.settle()
        self.assertEqual(harness.request(request).result, Result.CANCELLED)


class BackOffTests(SynchronousTestCase):
    """
    The pause before a retry.
    """

    def test_grows(self) -> None:
        """
        The pause grows up to five minutes.
        """
        pauses = [back_off(retry) for retry in range(1, 12)]
        self.assertEqual(pauses[:3], [2, 8, 32])
        self.assertEqual(pauses, sorted(pauses))
        self.assertEqual(pauses[-1], LONGEST_BACK_OFF)


class FullDisk(InlineWriter):
    """
    Records on a disk that can be full.  *full*: whether, or another error of every write.
    """

    full: bool | Exception = False

    def write(self, change: Any) -> Deferred[Any]:
        if self.full:
            return fail(DatabaseFullError() if self.full is True else self.full)
        return super().write(change)


class WaitingRecordsTests(SynchronousTestCase):
    """
    Records that retry while the disk is full or the database is locked.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.disk = FullDisk()
        self.order: list[str] = []
        self.records = RetryingRecords(self.disk, self.clock)

    def put(self, name: str) -> Deferred[None]:
        """
        Write the setting *name*.
        """

        def put(connection: Connection) -> None:
            self.order.append(name)
            settings.put(connection, name, "x")

        return self.records.write(put)

    def test_waits(self) -> None:
        """
        Bad input of the world: on a full disk, a change and all changes after it wait, in order; then all are written.
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
        Promise 5: while another program has locked the database, changes wait without a limit.
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
        A change that is submitted during a retry is written after all waiting changes.
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

    def test_late_failure(self) -> None:
        """
        A change that was submitted before the first failure was known, and fails later, keeps its place.
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
        Any other error goes to the caller.
        """

        def change(connection: Connection) -> None:
            raise StorageError("broken")

        self.failureResultOf(self.records.write(change), StorageError)
