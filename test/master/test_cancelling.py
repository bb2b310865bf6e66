"""
Promise 6.22: `cancel` always ends a build, whatever the build waits for.  Promise 6.8: `cancel` loses no request.
"""

import errno
import os
import tempfile
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import nullcontext
from typing import Any
from unittest import mock

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.control.admin import AdminDesk
from buildbot_lite.errors import (
    NotFoundError,
    RecordsClosedError,
    RefusedError,
    StorageError,
)
from buildbot_lite.master.builds.step_code import STAGE_TIMEOUT
from buildbot_lite.master.config.master_config import MasterConfig
from buildbot_lite.master.grants import verbs
from buildbot_lite.master.scheduling.requests import back_off
from buildbot_lite.master.scheduling.user_answers import LONGEST_CALL
from buildbot_lite.master.slaves.session_core import ENDING, LONGEST_ENDING
from buildbot_lite.model.outcome import Ending, Why
from buildbot_lite.model.properties import Json
from buildbot_lite.model.results import Result
from buildbot_lite.model.wait_reasons import WaitKind
from buildbot_lite.status import documents
from buildbot_lite.storage.records import (
    journal,
    remarks,
    requests,
    streams,
)
from buildbot_lite.storage.records.builds import Build
from buildbot_lite.storage.retrying import LONGEST_PAUSE

from .configurations import GO, builder_config, master_cfg, run_step
from .harness import (
    FakeSlave,
    MasterHarness,
    SlowRecords,
    StartedCommand,
    succeeding,
)
from .test_failing_records import FailingDisk
from .test_file_errors import raising

ANY_STEP = 'steps.ShellCommand(command=["run", "one"])'
STEP_CLASSES = """
import os
from twisted.internet.defer import Deferred
from twisted.internet.defer import CancelledError

class Waiting(steps.BuildStep):
    async def run(self):
        await Deferred()

class Uncancellable(steps.BuildStep):
    async def run(self):
        while True:
            try:
                await Deferred()
            except CancelledError:
                pass

class Leaving(Uncancellable):
    async def run(self):
        command = ["run", await self.render(util.Secret("password"))]
        Deferred.fromCoroutine(self.execute(command)).addErrback(lambda failure: None)
        await super().run()

class Late(steps.BuildStep):
    gate = None  # a test opens it
    asks = None
    async def run(self):
        try:
            await Deferred()
        except CancelledError:
            Late.gate = Deferred()
        await Late.gate
        try:
            await Late.asks(self)
        except BaseException as error:
            Late.gate = error
            raise

class Asking(steps.BuildStep):
    async def run(self):
        await self.bench.record("asking", None, Deferred, repeatable=True)

class Careless(steps.BuildStep):
    async def run(self):
        Deferred.fromCoroutine(self.execute(["run", "forgotten"])).addErrback(lambda failure: None)
        return util.SUCCESS

class Changing(steps.BuildStep):
    async def run(self):
        await self.execute(["second" if os.path.exists(basedir + "/changed") else "first"])
        return util.SUCCESS
"""


async def as_coroutine(work: Callable[[], object]) -> object:
    """
    Run *work* as a coroutine.
    """
    return work()


async def remarking(step: Any, ask: Callable[[Any], Awaitable[object]]) -> object:
    """
    Add a remark to *step*, then await *ask*.
    """
    step.bench.remark("late")
    return await ask(step)


def records_of(harness: MasterHarness, build: Build) -> object:
    """
    All records of *build*, and the number of requests that wait or run.
    """
    return (
        harness.read(lambda connection: journal.of_build(connection, build.id)),
        harness.read(lambda connection: remarks.of_build(connection, build.id)),
        harness.read(lambda connection: streams.of_build(connection, build.id)),
        len(list(harness.farm.queue.waiting())) + len(harness.farm.running.live()),
    )


def config(step: str = ANY_STEP, *, of_builder: str = "", slave: str = "bot1") -> str:
    """
    A configuration whose builder has the one step *step*.  *of_builder*: more arguments of the builder.
    """
    return STEP_CLASSES + master_cfg(
        slaves={slave: ""},
        builders=[
            builder_config(slaves=[slave], steps=[step], arguments=of_builder),
            builder_config("child", slaves=[slave], steps=[run_step("child")]),
        ],
        schedulers=[GO, 'schedulers.Triggerable("child", ["child"])'],
    )


def farm(step: str = ANY_STEP, *, of_builder: str = "", more: str = "") -> MasterHarness:
    """
    A farm with that configuration.  *more*: more lines of master.cfg.
    """
    return MasterHarness(config(step, of_builder=of_builder) + more)


Place = Callable[[], tuple[MasterHarness, int]]
"""Makes a farm with a build, or a request, that waits for something that never comes."""


def waiting_for_a_slave() -> tuple[MasterHarness, int]:
    """
    No slave has ever attached.
    """
    harness = farm()
    return harness, harness.submit()


def waiting_while_paused() -> tuple[MasterHarness, int]:
    """
    The slave is paused.
    """
    harness = farm()
    harness.attach()
    harness.done(harness.farm.slaves.pause("bot1", paused=True))
    return harness, harness.submit()


def waiting_to_be_retried() -> tuple[MasterHarness, int]:
    """
    The first attempt was lost.
    """
    harness = farm()
    slave = harness.attach()
    request = harness.submit()
    slave.lose()
    harness.attach(home="home-2")
    return harness, request


def waiting_for_can_start_build() -> tuple[MasterHarness, int]:
    """
    The builder's canStartBuild does not answer.
    """
    harness = farm(of_builder="canStartBuild=lambda *_: Deferred()")
    harness.attach()
    return harness, harness.submit()


def with_a_command(step: str = ANY_STEP, *, of_builder: str = "") -> Place:
    """
    The slave is attached, and ignores each command.
    """

    def make() -> tuple[MasterHarness, int]:
        harness = farm(step, of_builder=of_builder)
        slave = harness.attach()
        request = harness.submit()
        assert slave.commands
        return harness, request

    return make


def with_a_slave_away(step: str = ANY_STEP, *, of_builder: str = "") -> Place:
    """
    The slave has detached.
    """

    def make() -> tuple[MasterHarness, int]:
        harness = farm(step, of_builder=of_builder)
        slave = harness.attach()
        request = harness.submit()
        slave.lose()
        return harness, request

    return make


def with_a_full_disk() -> tuple[MasterHarness, int]:
    """
    The master's disk has no room for the artifact.
    """
    harness = farm('steps.FileUpload("f", "f")')
    slave = harness.attach()
    request = harness.submit()
    with mock.patch("buildbot_lite.storage.streams.os.pwrite", raising(errno.ENOSPC)):
        slave.commands[0].write(b"some bytes", "artifact")
    return harness, request


def in_code(step: str) -> Place:
    """
    The code of the step waits.
    """

    def make() -> tuple[MasterHarness, int]:
        harness = farm(step)
        harness.attach(slave=FakeSlave(behaviour=succeeding))
        return harness, harness.submit()

    return make


def waiting_for_a_child() -> tuple[MasterHarness, int]:
    """
    The build waits for a triggered build, which waits for the same slave.
    """
    harness = farm('steps.Trigger(schedulerNames=["child"], waitForFinish=True)')
    harness.attach()
    return harness, harness.submit()


def with_a_secret(step: str) -> MasterHarness:
    """
    A farm with the secret "password".
    """
    directory = tempfile.mkdtemp()
    with open(
        os.open(os.path.join(directory, "password"), os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii"
    ) as file:
        file.write("hunter2hunter2")
    return farm(step, more=f'c["secretsProviders"] = [secrets.SecretInAFile({directory!r})]')


def waiting_for_a_secret() -> tuple[MasterHarness, int]:
    """
    The secret's provider does not answer.
    """
    harness = with_a_secret('steps.ShellCommand(command=["run", util.Secret("password")])')
    harness.attach()
    object.__setattr__(harness.farm.stream_storage, "in_thread", lambda work: Deferred())
    return harness, harness.submit()


def that_cannot_be_continued() -> tuple[MasterHarness, int]:
    """
    The configuration changed while the master was down, and the slave is away.
    """
    harness = farm("Changing()")
    harness.attach()
    request = harness.submit()
    open(os.path.join(harness.basedir, "changed"), "w", encoding="ascii").close()
    harness.restart()
    return harness, request


def whose_configuration_is_gone() -> tuple[MasterHarness, int]:
    """
    The stored configuration cannot be loaded any more, and the slave is away without a limit.
    """
    harness = farm(of_builder="onLost='fail'", more="assert not os.path.exists(basedir + '/broken')\n")
    harness.attach()
    request = harness.submit()
    open(os.path.join(harness.basedir, "broken"), "w", encoding="ascii").close()
    harness.configure(config())
    harness.restart()
    return harness, request


PLACES: Mapping[str, Place] = {
    "a slave that was never there": waiting_for_a_slave,
    "a slave that is paused": waiting_while_paused,
    "the pause before a retry": waiting_to_be_retried,
    "canStartBuild": waiting_for_can_start_build,
    "a command on a slave that hangs": with_a_command(),
    "an upload of a slave that hangs": with_a_command('steps.FileUpload("f", "f")'),
    "a download of a slave that hangs": with_a_command('steps.StringDownload("text", "f")'),
    "a slave that is away": with_a_slave_away(),
    "a slave that is away for ever": with_a_slave_away(
        f"{ANY_STEP}, steps.ShellCommand(command=['run', 'last'], alwaysRun=True)", of_builder="onLost='fail'"
    ),
    "room on the master's disk": with_a_full_disk,
    "something of the step's own": in_code("Waiting()"),
    "something that cannot be cancelled": in_code("Uncancellable()"),
    "an answer from elsewhere": in_code("Asking()"),
    "a doStepIf": in_code("steps.ShellCommand(command=['run'], doStepIf=lambda step: Deferred())"),
    "a command that its step left running": with_a_command("Careless()"),
    "a triggered build": waiting_for_a_child,
    "a secret": waiting_for_a_secret,
    "a slave whose command is abandoned": that_cannot_be_continued,
    "the same without a configuration": whose_configuration_is_gone,
}


class CancelTests(SynchronousTestCase):
    """
    Promise 6.22: `cancel` always ends a build.
    """

    def cancel(self, harness: MasterHarness, request: int) -> Deferred[None]:
        """
        Cancel the request as an admin does.
        """
        return Deferred.fromCoroutine(harness.farm.canceller.cancel(request, "enough"))

    def check_ended(self, harness: MasterHarness, request: int, what: str) -> None:
        """
        The request is over, in memory and in the records, and occupies no slot.
        """
        self.assertIs(harness.request(request).result, Result.CANCELLED, what)
        self.assertEqual(len(harness.farm.slots), 0, what)
        self.assertEqual(list(harness.farm.queue.waiting()), [], what)
        self.assertEqual(dict(harness.farm.running.live()), {}, what)
        for build in harness.builds(request):
            self.assertIsNotNone(build.finished, what)
        self.failureResultOf(self.cancel(harness, request), NotFoundError)

    def test_everywhere(self) -> None:
        """
        Promise 6.22: a cancelled request ends CANCELLED within ten minutes, even if what it waits for never comes.  The
        caller gets the answer when the cancellation is recorded.
        """
        slow = mock.patch.object(MasterConfig, "slow_secrets", True)
        for what, make in PLACES.items():
            with slow:
                harness, request = make()
                self.assertIsNone(harness.request(request).result, what)
                self.successResultOf(self.cancel(harness, request))
                for _ in range(int(LONGEST_ENDING / 10)):
                    harness.settle(10)
                self.check_ended(harness, request, what)

    def test_reattached_afterwards(self) -> None:
        """
        A slave that reattaches after its build was cancelled without it is told to disown the command.
        """
        harness, request = PLACES["a slave that is away for ever"]()
        (id,) = harness.farm.slaves.session("bot1").live_ids
        self.successResultOf(self.cancel(harness, request))
        harness.settle(ENDING + 1)
        self.check_ended(harness, request, "away")
        back = harness.attach(held=(mock.Mock(id=id),))
        self.assertEqual(back.disowned, [id])

    def test_log_that_still_arrives(self) -> None:
        """
        While the log of an interrupted command still arrives, the master waits for the command's end, for at most ten
        minutes.
        """
        harness, request = PLACES["a command on a slave that hangs"]()
        self.successResultOf(self.cancel(harness, request))
        bot: Any = harness.farm.slaves["bot1"].session._core.commands
        (command,) = bot.values()
        for minute in range(20):
            if minute < 8:
                self.assertIsNone(harness.request(request).result, minute)
            _ = command.append("stdio", minute, b"x").addErrback(lambda failure: None)
            harness.settle(ENDING)
        self.check_ended(harness, request, "a log without end")

    def test_effects_of_abandoned_code(self) -> None:
        """
        Promise 6.22: after the build has ended without a step's code, each effect that this code asks for fails and
        leaves no command, build, journal entry or text.
        """

        async def nothing() -> Json:
            self.fail("it was asked")

        asked: Mapping[str, Callable[[Any], Coroutine[Any, Any, object]]] = {
            "a command": lambda step: step.execute(["run", "late"]),
            "a build": lambda step: step.bench.trigger(["child"], {}, wait=True),
            "a build that nobody waits for": lambda step: step.bench.trigger(["child"], {}, wait=False),
            "the time": lambda step: step.bench.now(),
            "something random": lambda step: step.bench.random(8),
            "an answer": lambda step: step.bench.record("asking", None, nothing, repeatable=True),
            "a log": lambda step: as_coroutine(lambda: step.bench.write("late", "text")),
        }
        for what, ask in asked.items():
            for last in (ANY_STEP, f"{ANY_STEP[:-1]}, alwaysRun=True)"):
                harness = farm(f"Late(), {last}")
                slave = harness.attach()
                request = harness.submit()
                (build,) = harness.builds(request)
                self.successResultOf(self.cancel(harness, request))
                harness.settle(STAGE_TIMEOUT)
                harness.settle(STAGE_TIMEOUT)
                late = type(harness.farm.config.builders["b"].steps[0].recipe.make())
                before, started = records_of(harness, build), len(slave.commands)
                late.asks = staticmethod(lambda step, ask=ask: remarking(step, ask))
                late.gate.callback(None)
                harness.settle()
                self.assertIsInstance(late.gate, CancelledError, what)
                self.assertEqual(len(slave.commands), started, what)
                self.assertEqual(records_of(harness, build), before, what)

    def test_late_secret(self) -> None:
        """
        Promise 6.22: a command whose secret arrives after its step was abandoned does not start.
        """
        with mock.patch.object(MasterConfig, "slow_secrets", True):
            harness = with_a_secret("Leaving()")
            # The thread of the lookup cannot be interrupted.
            looked_up: Deferred[str] = Deferred()
            object.__setattr__(harness.farm.stream_storage, "in_thread", lambda work: looked_up)
            slave, request = harness.attach(), harness.submit()
            self.successResultOf(self.cancel(harness, request))
            harness.settle(STAGE_TIMEOUT)
            harness.settle(STAGE_TIMEOUT)
            self.check_ended(harness, request, "left alone")
            looked_up.callback("hunter2hunter2")
            self.assertEqual(slave.commands, [])

    def test_always_run(self) -> None:
        """
        A second `cancel` also ends the steps with alwaysRun.
        """
        harness = farm(f"{ANY_STEP}, steps.ShellCommand(command=['run', 'last'], alwaysRun=True)")
        slave = harness.attach()
        request = harness.submit()
        self.successResultOf(self.cancel(harness, request))
        slave.commands[0].end(ending=Ending.KILLED, why=Why.INTERRUPTED)
        harness.settle()
        self.successResultOf(self.cancel(harness, request))
        self.assertEqual([id for id, _ in slave.interrupted], [started.id for started in slave.commands])
        slave.commands[1].end(ending=Ending.KILLED, why=Why.INTERRUPTED)
        harness.settle()
        self.check_ended(harness, request, "twice")
        harness.restart()
        self.check_ended(harness, request, "after a restart")

    def test_always_run_and_restart(self) -> None:
        """
        Invariant I5: after a restart, both stops are applied again to the same steps.
        """
        harness = farm(f"{ANY_STEP}, steps.ShellCommand(command=['run', 'last'], alwaysRun=True)")
        slave = harness.attach()
        request = harness.submit()
        self.successResultOf(self.cancel(harness, request))
        slave.commands[0].end(ending=Ending.KILLED, why=Why.INTERRUPTED)
        harness.settle()
        self.successResultOf(self.cancel(harness, request))
        harness.restart()
        again = harness.attach(slave=FakeSlave(commands=slave.commands), held=slave.held()[1:])
        self.assertEqual([id for id, _ in again.interrupted], [slave.commands[1].id])
        slave.commands[1].end(ending=Ending.KILLED, why=Why.INTERRUPTED)
        harness.settle()
        self.check_ended(harness, request, "replayed")


class RecordTests(SynchronousTestCase):
    """
    Promise 6.8: memory changes only after the record is committed.
    """

    def ask(self, harness: MasterHarness, **question: Any) -> Deferred[Any]:
        """
        Ask as an admin does.
        """
        return AdminDesk(harness.farm, mock.Mock()).ask(question)

    def kinds(self, harness: MasterHarness) -> list[str]:
        """
        The kinds of reasons for which the requests in the queue wait.
        """
        return [each["why"]["kind"] for each in documents.of_queue(harness.farm)["queue"]]

    def test_cancel_that_fails(self) -> None:
        """
        Promise 6.8: a request whose cancellation cannot be recorded keeps waiting and is built.
        """
        for error in (StorageError("odd"), RecordsClosedError()):
            harness = farm()
            request = harness.submit()
            with mock.patch.object(harness.records, "write", side_effect=lambda change, error=error: fail(error)):
                cancelling = [Deferred.fromCoroutine(harness.farm.canceller.cancel(request, "x")) for _ in range(2)]
            self.failureResultOf(cancelling[0], StorageError)
            self.failureResultOf(cancelling[1])
            self.assertEqual([each.request.id for each in harness.farm.queue.waiting()], [request])
            harness.attach(slave=FakeSlave(behaviour=succeeding))
            self.assertIs(harness.request(request).result, Result.SUCCESS)

    def test_cancel_that_waits(self) -> None:
        """
        Promise 6.8: while the database fails, a request with a pending cancellation stays in the queue and does not
        start.  The admin gets the reason, and the cancellation is recorded when the database works again.
        """
        harness = farm()
        first, second = harness.submit(), harness.submit()
        with FailingDisk():
            self.assertNotIn("waits", self.successResultOf(self.ask(harness, ask="queue")))
            harness.attach()
            answer = self.successResultOf(self.ask(harness, ask="cancel", request=first))
            self.assertIn("disk I/O error", answer["waits"])
            self.assertEqual(self.kinds(harness), [WaitKind.CANCELLING.value, WaitKind.STORAGE.value])
            twice = Deferred.fromCoroutine(harness.farm.canceller.cancel(first, "again"))
            self.assertNoResult(twice)
        harness.settle(LONGEST_PAUSE + 1)
        self.successResultOf(twice)
        self.assertIs(harness.request(first).result, Result.CANCELLED)
        self.assertEqual(len(harness.builds(first)), 0)
        self.assertEqual(len(harness.builds(second)), 1)

    def test_cancel_during_the_start(self) -> None:
        """
        Promise 6.8: a cancellation that arrives while the start of the build waits for the database is done, whether or
        not the start can be recorded.
        """
        for problem in (None, StorageError("odd")):
            harness = farm()
            slave = FakeSlave()
            request = harness.submit()
            with FailingDisk():
                harness.attach(slave=slave)
                cancelling = Deferred.fromCoroutine(harness.farm.canceller.cancel(request, "enough"))
                harness.settle(1)
            odd = mock.patch("buildbot_lite.storage.records.builds.start", side_effect=problem)
            with odd if problem else nullcontext():
                harness.settle(LONGEST_PAUSE + 1)
            for started in slave.commands:
                started.end(ending=Ending.KILLED, why=Why.INTERRUPTED)
            harness.settle(1)
            self.successResultOf(cancelling)
            self.assertIs(harness.request(request).result, Result.CANCELLED)

    def test_build_that_is_cancelled(self) -> None:
        """
        Promise 6.22: a build that is cancelled while the database fails is stopped when the database works again.
        """
        harness = farm()
        slave = harness.attach()
        request = harness.submit()
        with FailingDisk():
            self.successResultOf(self.ask(harness, ask="cancel", request=request))
            harness.settle(100)
            self.assertEqual(slave.interrupted, [])
        harness.settle(LONGEST_PAUSE + 1)
        self.assertEqual(len(slave.interrupted), 1)

    def test_pause(self) -> None:
        """
        Promise 6.8: a slave is paused only if the pause was recorded.
        """
        harness = farm()
        with mock.patch.object(harness.records, "write", side_effect=lambda change: fail(StorageError("odd"))):
            self.failureResultOf(self.ask(harness, ask="pause", slave="bot1", paused=True), StorageError)
        self.assertIsNone(harness.farm.slaves["bot1"].paused)
        self.successResultOf(self.ask(harness, ask="pause", slave="bot1", paused=True))
        self.assertIsNotNone(harness.farm.slaves["bot1"].paused)
        harness.restart()
        self.assertIsNotNone(harness.farm.slaves["bot1"].paused)

    def test_stop_that_fails(self) -> None:
        """
        Promise 6.8: a build whose stop could not be recorded continues, and a second `cancel` stops it.
        """
        harness = farm()
        slave = harness.attach()
        request = harness.submit()
        with mock.patch.object(harness.records, "write", side_effect=lambda change: fail(StorageError("odd"))):
            self.failureResultOf(Deferred.fromCoroutine(harness.farm.canceller.cancel(request, "x")), StorageError)
        self.assertEqual(slave.interrupted, [])
        harness.done(harness.farm.canceller.cancel(request, "again"))
        self.assertEqual(len(slave.interrupted), 1)

    def test_caller_that_disconnects(self) -> None:
        """
        Promise 6.8: when the caller disconnects while a cancellation is being recorded, the cancellation still counts,
        and the request is not built.
        """
        harness = farm()
        request = harness.submit()
        with SlowRecords(harness.records, "write") as held:
            cancelling = Deferred.fromCoroutine(harness.farm.canceller.cancel(request, "enough"))
            cancelling.cancel()
            self.failureResultOf(cancelling, CancelledError)
            slave = harness.attach()
            self.assertEqual([each.request.id for each in harness.farm.queue.waiting()], [request])
            held.release()
        self.assertIs(harness.request(request).result, Result.CANCELLED)
        self.assertEqual(list(harness.farm.queue.waiting()), [])
        self.assertEqual(slave.commands, [])

    def test_ended_while_its_build_ran(self) -> None:
        """
        Promise 6.8: a request whose end was recorded while its build lost the slave is not built again.
        """
        harness = farm()
        slave = harness.attach()
        request = harness.submit()
        now = harness.clock.seconds()
        _ = harness.records.write(lambda c: requests.finish(c, request, Result.CANCELLED, now, "enough"))
        slave.lose()
        again = harness.attach(home="home-2")
        harness.settle(back_off(1) + 1)
        self.assertEqual(list(harness.farm.queue.waiting()), [])
        self.assertEqual(again.commands, [])
        self.assertIs(harness.request(request).result, Result.CANCELLED)

    def test_unpin(self) -> None:
        """
        Promise 6.8: uses of a grant that are counted while `unpin` is being recorded are kept.
        """
        harness = farm()
        grant = harness.farm.grants.of(verbs.SLAVE, "bot1")
        assert grant is not None
        harness.farm.grants.pins.pin(grant, "key")
        written: Deferred[None] = Deferred()
        with mock.patch.object(harness.records, "write", side_effect=lambda change: written):
            unpinning = self.ask(harness, ask="unpin", slave="bot1")
        harness.farm.grants.used(grant)
        written.callback(None)
        self.successResultOf(unpinning)
        now = harness.farm.grants.of(verbs.SLAVE, "bot1")
        assert now is not None
        self.assertEqual((now.pin, now.uses), (None, 1))

    def test_reconfigured(self) -> None:
        """
        Promise 6.8: a configuration is applied completely even if a later part of `reconfig` fails.
        """
        harness = farm()
        harness.configure(config(slave="bot2"))
        with mock.patch.object(harness.farm.furls, "publish", side_effect=StorageError("odd")):
            self.failureResultOf(Deferred.fromCoroutine(harness.farm.reconfiguration.apply()), StorageError)
        self.assertEqual([member.name for member in harness.farm.slaves.everyone()], list(harness.farm.config.slaves))

    def test_refused_while_the_database_fails(self) -> None:
        """
        Promise 6.8: while the database fails, commands that would change something are refused at once, with the
        reason.
        """
        harness = farm()
        with FailingDisk():
            harness.attach()
            for question in (
                {"ask": "pause", "slave": "bot1", "paused": True},
                {"ask": "force", "builder": "b"},
                {"ask": "reconfig"},
                {"ask": "unpin", "slave": "bot1"},
            ):
                refused = self.failureResultOf(self.ask(harness, **question), RefusedError)
                self.assertIn("Nothing was changed", str(refused.value))

    def test_end_that_fails(self) -> None:
        """
        Promise 6.8: a build whose end cannot be recorded keeps its slot until the end can be recorded.
        """
        harness = farm()
        slave = harness.attach()
        request = harness.submit()
        started: StartedCommand = slave.commands[0]
        with mock.patch("buildbot_lite.storage.records.builds.finish", side_effect=StorageError("odd")):
            started.end()
            harness.settle(1)
            self.assertEqual(len(harness.farm.slots), 1)
        harness.settle(31)
        self.assertIs(harness.request(request).result, Result.SUCCESS)
        self.assertEqual(len(harness.farm.slots), 0)


class CleanupTests(SynchronousTestCase):
    """
    Promise 6.13: the master keeps nothing of requests and slaves that are gone.
    """

    def test_question_of_a_cancelled_request(self) -> None:
        """
        Promise 6.13: after a request was cancelled, nothing is logged about its unanswered canStartBuild.
        """
        harness, request = waiting_for_can_start_build()
        harness.done(harness.farm.canceller.cancel(request, "enough"))
        with capturedLogs() as events:
            harness.settle(LONGEST_CALL + 1)
        self.assertEqual([event for event in events if "has not answered" in (event["log_format"] or "")], [])

    def test_slaves_that_left(self) -> None:
        """
        Promise 6.13: a slave that was removed from the configuration is forgotten when its last build has ended, or at
        once if it has none.
        """
        harness = farm()
        slave = harness.attach()
        harness.submit()
        for name in ("bot2", "bot3"):
            harness.configure(config(slave=name))
            harness.done(harness.farm.reconfiguration.apply())
        self.assertEqual(list(harness.farm.slaves._leaving), ["bot1"])
        slave.commands[0].end()
        harness.settle(1)
        self.assertEqual(harness.farm.slaves._leaving, {})
        self.assertEqual(len(slave.dropped), 1)
