"""
Promise 6.22: `cancel` always ends a build, wherever it waits; promise 6.8: and loses no request.
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
from buildbot_lite.master.builds.step_code import PATIENCE
from buildbot_lite.master.config.master_config import MasterConfig
from buildbot_lite.master.grants import verbs
from buildbot_lite.master.scheduling.can_start import LONGEST_CALL
from buildbot_lite.master.scheduling.requests import back_off
from buildbot_lite.master.slaves.session import ENDING, LONGEST_ENDING
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

from .stage import (
    FakeSlave,
    Given,
    SlowRecords,
    Stage,
    succeeding,
)
from .test_failing_records import FailingDisk
from .test_file_errors import raising

ANY_STEP = 'steps.ShellCommand(command=["run", "one"])'
ONE = """
import os
from twisted.internet.defer import Deferred
from twisted.internet.defer import CancelledError

class Waiting(steps.BuildStep):
    async def run(self):
        await Deferred()

class Deaf(steps.BuildStep):
    async def run(self):
        while True:
            try:
                await Deferred()
            except CancelledError:
                pass

class Distracted(Deaf):
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

c["slaves"] = [slave.BuildSlave("bot1")]
c["builders"] = [
    util.BuilderConfig("b", ["bot1"], util.BuildFactory([STEP])),
    util.BuilderConfig("child", ["bot1"], util.BuildFactory([steps.ShellCommand(command=["run", "child"])])),
]
c["schedulers"] = [schedulers.Submit("go", ["b"]), schedulers.Triggerable("child", ["child"])]
"""


async def as_coroutine(work: Callable[[], object]) -> object:
    """
    What *work* answers.
    """
    return work()


async def remarking(step: Any, ask: Callable[[Any], Awaitable[object]]) -> object:
    """
    What *ask* answers; and a remark of *step*.
    """
    step.bench.remark("late")
    return await ask(step)


def kept_of(stage: Stage, build: Build) -> object:
    """
    All that is recorded of *build*, and how many builds were asked for.
    """
    return (
        stage.read(lambda connection: journal.of_build(connection, build.id)),
        stage.read(lambda connection: remarks.of_build(connection, build.id)),
        stage.read(lambda connection: streams.of_build(connection, build.id)),
        len(list(stage.farm.queue.waiting())) + len(stage.farm.running.live()),
    )


def farm(step: str = ANY_STEP, *, of_builder: str = "", more: str = "") -> Stage:
    """
    A farm whose builder has that one step; *of_builder*: more arguments of the builder, *more*: lines of master.cfg.
    """
    text = ONE.replace("STEP", step) + more
    if of_builder:
        text = text.replace(
            '"b", ["bot1"], util.BuildFactory', f'"b", ["bot1"], {of_builder}, factory=util.BuildFactory'
        )
    return Stage(text)


Place = Callable[[], tuple[Stage, int]]
"""Makes a farm with a build, or a request, that waits for something that never comes."""


def waiting_for_a_slave() -> tuple[Stage, int]:
    """
    No slave was ever there.
    """
    stage = farm()
    return stage, stage.submit()


def waiting_while_paused() -> tuple[Stage, int]:
    """
    The slave is paused.
    """
    stage = farm()
    stage.attach()
    stage.done(stage.farm.slaves.pause("bot1", paused=True))
    return stage, stage.submit()


def waiting_to_be_retried() -> tuple[Stage, int]:
    """
    Its first attempt was lost.
    """
    stage = farm()
    slave = stage.attach()
    request = stage.submit()
    slave.lose()
    stage.attach(home="home-2")
    return stage, request


def waiting_for_can_start_build() -> tuple[Stage, int]:
    """
    Its builder's canStartBuild does not answer.
    """
    stage = farm(of_builder="canStartBuild=lambda *_: Deferred()")
    stage.attach()
    return stage, stage.submit()


def with_a_command(step: str = ANY_STEP, *, of_builder: str = "") -> Place:
    """
    Its slave is there, and does nothing of what it is told.
    """

    def make() -> tuple[Stage, int]:
        stage = farm(step, of_builder=of_builder)
        slave = stage.attach()
        request = stage.submit()
        assert slave.given
        return stage, request

    return make


def with_a_slave_away(step: str = ANY_STEP, *, of_builder: str = "") -> Place:
    """
    Its slave went away.
    """

    def make() -> tuple[Stage, int]:
        stage = farm(step, of_builder=of_builder)
        slave = stage.attach()
        request = stage.submit()
        slave.lose()
        return stage, request

    return make


def with_a_full_disk() -> tuple[Stage, int]:
    """
    Its artifact has no room on the master.
    """
    stage = farm('steps.FileUpload("f", "f")')
    slave = stage.attach()
    request = stage.submit()
    with mock.patch("buildbot_lite.storage.streams.os.pwrite", raising(errno.ENOSPC)):
        slave.given[0].write(b"some bytes", "artifact")
    return stage, request


def in_code(step: str) -> Place:
    """
    The code of its step waits.
    """

    def make() -> tuple[Stage, int]:
        stage = farm(step)
        stage.attach(slave=FakeSlave(behaviour=succeeding))
        return stage, stage.submit()

    return make


def waiting_for_a_child() -> tuple[Stage, int]:
    """
    It waits for a build that it triggered, which waits for its own slave.
    """
    stage = farm('steps.Trigger(schedulerNames=["child"], waitForFinish=True)')
    stage.attach()
    return stage, stage.submit()


def with_a_secret(step: str) -> Stage:
    """
    A farm with a secret.
    """
    directory = tempfile.mkdtemp()
    with open(
        os.open(os.path.join(directory, "password"), os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii"
    ) as file:
        file.write("hunter2hunter2")
    return farm(step, more=f'c["secretsProviders"] = [secrets.SecretInAFile({directory!r})]')


def waiting_for_a_secret() -> tuple[Stage, int]:
    """
    The place in which its secret is kept does not answer.
    """
    stage = with_a_secret('steps.ShellCommand(command=["run", util.Secret("password")])')
    stage.attach()
    object.__setattr__(stage.farm.stream_storage, "in_thread", lambda work: Deferred())
    return stage, stage.submit()


def that_cannot_be_continued() -> tuple[Stage, int]:
    """
    Its program changed while the master was down, and its slave is away.
    """
    stage = farm("Changing()")
    stage.attach()
    request = stage.submit()
    open(os.path.join(stage.basedir, "changed"), "w", encoding="ascii").close()
    stage.restart()
    return stage, request


def whose_configuration_is_gone() -> tuple[Stage, int]:
    """
    Its configuration cannot be loaded any more, and its slave is away for ever.
    """
    stage = farm(ANY_STEP + "] + [][:os.path.exists(basedir + '/broken') and 1 // 0", of_builder="onLost='fail'")
    stage.attach()
    request = stage.submit()
    open(os.path.join(stage.basedir, "broken"), "w", encoding="ascii").close()
    stage.configure(ONE.replace("STEP", ANY_STEP))
    stage.restart()
    return stage, request


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
    "something that cannot be cancelled": in_code("Deaf()"),
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

    def cancel(self, stage: Stage, request: int) -> Deferred[None]:
        """
        As an admin would.
        """
        return Deferred.fromCoroutine(stage.farm.submissions.cancel_request(request, "enough"))

    def check_ended(self, stage: Stage, request: int, what: str) -> None:
        """
        It is over, here and in the records, and occupies nothing.
        """
        self.assertIs(stage.request(request).result, Result.CANCELLED, what)
        self.assertEqual(len(stage.farm.slots), 0, what)
        self.assertEqual(list(stage.farm.queue.waiting()), [], what)
        self.assertEqual(dict(stage.farm.running.live()), {}, what)
        for build in stage.builds(request):
            self.assertIsNotNone(build.finished, what)
        self.failureResultOf(self.cancel(stage, request), NotFoundError)

    def test_everywhere(self) -> None:
        """
        Promise 6.22: a request that is cancelled ends CANCELLED within ten minutes, whatever it waits for, even if
        nothing of that ever comes; the answer comes when that is recorded.
        """
        slow = mock.patch.object(MasterConfig, "slow_secrets", True)
        for what, make in PLACES.items():
            with slow:
                stage, request = make()
                self.assertIsNone(stage.request(request).result, what)
                self.successResultOf(self.cancel(stage, request))
                for _ in range(int(LONGEST_ENDING / 10)):
                    stage.settle(10)
                self.check_ended(stage, request, what)

    def test_what_was_lost_is_forgotten(self) -> None:
        """
        A slave that comes back after its build was ended without it is told to forget the command.
        """
        stage, request = PLACES["a slave that is away for ever"]()
        (id,) = stage.farm.slaves.session("bot1").live_ids
        self.successResultOf(self.cancel(stage, request))
        stage.settle(ENDING + 1)
        self.check_ended(stage, request, "away")
        back = stage.attach(held=(mock.Mock(id=id),))
        self.assertEqual(back.disowned, [id])

    def test_log_that_still_comes(self) -> None:
        """
        A command that is to end is waited for as long as its log arrives, up to ten minutes.
        """
        stage, request = PLACES["a command on a slave that hangs"]()
        self.successResultOf(self.cancel(stage, request))
        bot: Any = stage.farm.slaves["bot1"].session._core.commands
        (command,) = bot.values()
        for minute in range(20):
            if minute < 8:
                self.assertIsNone(stage.request(request).result, minute)
            _ = command.append("stdio", minute, b"x").addErrback(lambda failure: None)
            stage.settle(ENDING)
        self.check_ended(stage, request, "a log without end")

    def test_code_that_was_left_alone(self) -> None:
        """
        Promise 6.22: what a step's code asks for after its build went on without it fails, and leaves no trace: no
        command, no build, no entry, no text.
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
                stage = farm(f"Late(), {last}")
                slave = stage.attach()
                request = stage.submit()
                (build,) = stage.builds(request)
                self.successResultOf(self.cancel(stage, request))
                stage.settle(PATIENCE)
                stage.settle(PATIENCE)
                late = type(stage.farm.config.builders["b"].steps[0].recipe.make())
                before, given = kept_of(stage, build), len(slave.given)
                late.asks = staticmethod(lambda step, ask=ask: remarking(step, ask))
                late.gate.callback(None)
                stage.settle()
                self.assertIsInstance(late.gate, CancelledError, what)
                self.assertEqual(len(slave.given), given, what)
                self.assertEqual(kept_of(stage, build), before, what)

    def test_secret_that_comes_late(self) -> None:
        """
        Promise 6.22: nor does a command begin whose secret arrives after its step was left alone.
        """
        with mock.patch.object(MasterConfig, "slow_secrets", True):
            stage = with_a_secret("Distracted()")
            # The thread in which it is looked up cannot be interrupted.
            looked_up: Deferred[str] = Deferred()
            object.__setattr__(stage.farm.stream_storage, "in_thread", lambda work: looked_up)
            slave, request = stage.attach(), stage.submit()
            self.successResultOf(self.cancel(stage, request))
            stage.settle(PATIENCE)
            stage.settle(PATIENCE)
            self.check_ended(stage, request, "left alone")
            looked_up.callback("hunter2hunter2")
            self.assertEqual(slave.given, [])

    def test_always_run(self) -> None:
        """
        A second cancel ends also what always runs.
        """
        stage = farm(f"{ANY_STEP}, steps.ShellCommand(command=['run', 'last'], alwaysRun=True)")
        slave = stage.attach()
        request = stage.submit()
        self.successResultOf(self.cancel(stage, request))
        slave.given[0].end(ending=Ending.KILLED, why=Why.INTERRUPTED)
        stage.settle()
        self.successResultOf(self.cancel(stage, request))
        self.assertEqual([id for id, _ in slave.interrupted], [given.id for given in slave.given])
        slave.given[1].end(ending=Ending.KILLED, why=Why.INTERRUPTED)
        stage.settle()
        self.check_ended(stage, request, "twice")
        stage.restart()
        self.check_ended(stage, request, "after a restart")

    def test_always_run_and_restart(self) -> None:
        """
        Invariant I5: a master that died in between meets both stops again where they were.
        """
        stage = farm(f"{ANY_STEP}, steps.ShellCommand(command=['run', 'last'], alwaysRun=True)")
        slave = stage.attach()
        request = stage.submit()
        self.successResultOf(self.cancel(stage, request))
        slave.given[0].end(ending=Ending.KILLED, why=Why.INTERRUPTED)
        stage.settle()
        self.successResultOf(self.cancel(stage, request))
        stage.restart()
        again = stage.attach(slave=FakeSlave(given=slave.given), held=slave.held()[1:])
        self.assertEqual([id for id, _ in again.interrupted], [slave.given[1].id])
        slave.given[1].end(ending=Ending.KILLED, why=Why.INTERRUPTED)
        stage.settle()
        self.check_ended(stage, request, "replayed")


class RecordTests(SynchronousTestCase):
    """
    Promise 6.8: memory is changed when the record is committed.
    """

    def ask(self, stage: Stage, **question: Any) -> Deferred[Any]:
        """
        Ask as an admin does.
        """
        return AdminDesk(stage.farm, mock.Mock()).ask(question)

    def kinds(self, stage: Stage) -> list[str]:
        """
        Why what waits does.
        """
        return [each["why"]["kind"] for each in documents.of_queue(stage.farm)["queue"]]

    def test_cancel_that_fails(self) -> None:
        """
        Promise 6.8: a request whose cancellation cannot be recorded waits on, and is built.
        """
        for error in (StorageError("odd"), RecordsClosedError()):
            stage = farm()
            request = stage.submit()
            with mock.patch.object(stage.records, "write", side_effect=lambda change, error=error: fail(error)):
                cancelling = [
                    Deferred.fromCoroutine(stage.farm.submissions.cancel_request(request, "x")) for _ in range(2)
                ]
            self.failureResultOf(cancelling[0], StorageError)
            self.failureResultOf(cancelling[1])
            self.assertEqual([each.request.id for each in stage.farm.queue.waiting()], [request])
            stage.attach(slave=FakeSlave(behaviour=succeeding))
            self.assertIs(stage.request(request).result, Result.SUCCESS)

    def test_cancel_that_waits(self) -> None:
        """
        Promise 6.8: while the database fails, a request that is cancelled stays in the queue, and is not started; the
        admin is told, and it is cancelled when the database works.
        """
        stage = farm()
        first, second = stage.submit(), stage.submit()
        with FailingDisk():
            self.assertNotIn("waits", self.successResultOf(self.ask(stage, ask="queue")))
            stage.attach()
            answer = self.successResultOf(self.ask(stage, ask="cancel", request=first))
            self.assertIn("disk I/O error", answer["waits"])
            self.assertEqual(self.kinds(stage), [WaitKind.CANCELLING.value, WaitKind.STORAGE.value])
            twice = Deferred.fromCoroutine(stage.farm.submissions.cancel_request(first, "again"))
            self.assertNoResult(twice)
        stage.settle(LONGEST_PAUSE + 1)
        self.successResultOf(twice)
        self.assertIs(stage.request(first).result, Result.CANCELLED)
        self.assertEqual(len(stage.builds(first)), 0)
        self.assertEqual(len(stage.builds(second)), 1)

    def test_cancel_of_what_begins(self) -> None:
        """
        Promise 6.8: so does one whose build was only about to begin, whether that is recorded at last or not.
        """
        for problem in (None, StorageError("odd")):
            stage = farm()
            slave = FakeSlave()
            request = stage.submit()
            with FailingDisk():
                stage.attach(slave=slave)
                cancelling = Deferred.fromCoroutine(stage.farm.submissions.cancel_request(request, "enough"))
                stage.settle(1)
            odd = mock.patch("buildbot_lite.storage.records.builds.start", side_effect=problem)
            with odd if problem else nullcontext():
                stage.settle(LONGEST_PAUSE + 1)
            for given in slave.given:
                given.end(ending=Ending.KILLED, why=Why.INTERRUPTED)
            stage.settle(1)
            self.successResultOf(cancelling)
            self.assertIs(stage.request(request).result, Result.CANCELLED)

    def test_build_that_is_cancelled(self) -> None:
        """
        Promise 6.22: a build that is cancelled while the database fails ends when it works.
        """
        stage = farm()
        slave = stage.attach()
        request = stage.submit()
        with FailingDisk():
            self.successResultOf(self.ask(stage, ask="cancel", request=request))
            stage.settle(100)
            self.assertEqual(slave.interrupted, [])
        stage.settle(LONGEST_PAUSE + 1)
        self.assertEqual(len(slave.interrupted), 1)

    def test_pause(self) -> None:
        """
        Promise 6.8: a slave is paused when that is recorded, and not if it cannot be.
        """
        stage = farm()
        with mock.patch.object(stage.records, "write", side_effect=lambda change: fail(StorageError("odd"))):
            self.failureResultOf(self.ask(stage, ask="pause", slave="bot1", paused=True), StorageError)
        self.assertIsNone(stage.farm.slaves["bot1"].paused)
        self.successResultOf(self.ask(stage, ask="pause", slave="bot1", paused=True))
        self.assertIsNotNone(stage.farm.slaves["bot1"].paused)
        stage.restart()
        self.assertIsNotNone(stage.farm.slaves["bot1"].paused)

    def test_stop_that_fails(self) -> None:
        """
        Promise 6.8: a build whose stop could not be recorded runs on, and is stopped when that is asked again.
        """
        stage = farm()
        slave = stage.attach()
        request = stage.submit()
        with mock.patch.object(stage.records, "write", side_effect=lambda change: fail(StorageError("odd"))):
            self.failureResultOf(
                Deferred.fromCoroutine(stage.farm.submissions.cancel_request(request, "x")), StorageError
            )
        self.assertEqual(slave.interrupted, [])
        stage.done(stage.farm.submissions.cancel_request(request, "again"))
        self.assertEqual(len(slave.interrupted), 1)

    def test_cancel_that_is_given_up(self) -> None:
        """
        Promise 6.8: whoever asked for a cancellation gives up while it is recorded: it counts all the same, and the
        request is not built.
        """
        stage = farm()
        request = stage.submit()
        with SlowRecords(stage.records, "write") as held:
            cancelling = Deferred.fromCoroutine(stage.farm.submissions.cancel_request(request, "enough"))
            cancelling.cancel()
            self.failureResultOf(cancelling, CancelledError)
            slave = stage.attach()
            self.assertEqual([each.request.id for each in stage.farm.queue.waiting()], [request])
            held.release()
        self.assertIs(stage.request(request).result, Result.CANCELLED)
        self.assertEqual(list(stage.farm.queue.waiting()), [])
        self.assertEqual(slave.given, [])

    def test_ended_while_its_build_ran(self) -> None:
        """
        Promise 6.8: a request whose end was recorded while a build of it was being lost is not built again.
        """
        stage = farm()
        slave = stage.attach()
        request = stage.submit()
        now = stage.clock.seconds()
        _ = stage.records.write(lambda c: requests.finish(c, request, Result.CANCELLED, now, "enough"))
        slave.lose()
        again = stage.attach(home="home-2")
        stage.settle(back_off(1) + 1)
        self.assertEqual(list(stage.farm.queue.waiting()), [])
        self.assertEqual(again.given, [])
        self.assertIs(stage.request(request).result, Result.CANCELLED)

    def test_unpin(self) -> None:
        """
        Promise 6.8: what is counted of a string while it is unpinned counts.
        """
        stage = farm()
        grant = stage.farm.grants.of(verbs.SLAVE, "bot1")
        assert grant is not None
        stage.farm.grants.pin(grant, "key")
        written: Deferred[None] = Deferred()
        with mock.patch.object(stage.records, "write", side_effect=lambda change: written):
            unpinning = self.ask(stage, ask="unpin", slave="bot1")
        stage.farm.grants.used(grant)
        written.callback(None)
        self.successResultOf(unpinning)
        now = stage.farm.grants.of(verbs.SLAVE, "bot1")
        assert now is not None
        self.assertEqual((now.pin, now.uses), (None, 1))

    def test_reconfigured(self) -> None:
        """
        Promise 6.8: a configuration is applied as a whole, also when what is done after it fails.
        """
        stage = farm()
        stage.configure(ONE.replace("STEP", ANY_STEP).replace("bot1", "bot2"))
        with mock.patch.object(stage.farm.furls, "publish", side_effect=StorageError("odd")):
            self.failureResultOf(Deferred.fromCoroutine(stage.farm.reconfiguration.apply()), StorageError)
        self.assertEqual([member.name for member in stage.farm.slaves.everyone()], list(stage.farm.config.slaves))

    def test_refused_meanwhile(self) -> None:
        """
        Promise 6.8: while the database fails, what would change something is refused at once, with the reason.
        """
        stage = farm()
        with FailingDisk():
            stage.attach()
            for question in (
                {"ask": "pause", "slave": "bot1", "paused": True},
                {"ask": "force", "builder": "b"},
                {"ask": "reconfig"},
                {"ask": "unpin", "slave": "bot1"},
            ):
                refused = self.failureResultOf(self.ask(stage, **question), RefusedError)
                self.assertIn("Nothing was changed", str(refused.value))

    def test_end_that_fails(self) -> None:
        """
        Promise 6.8: a build whose end cannot be recorded keeps its slot, and is ended when it can be.
        """
        stage = farm()
        slave = stage.attach()
        request = stage.submit()
        given: Given = slave.given[0]
        with mock.patch("buildbot_lite.storage.records.builds.finish", side_effect=StorageError("odd")):
            given.end()
            stage.settle(1)
            self.assertEqual(len(stage.farm.slots), 1)
        stage.settle(31)
        self.assertIs(stage.request(request).result, Result.SUCCESS)
        self.assertEqual(len(stage.farm.slots), 0)


class LeftBehindTests(SynchronousTestCase):
    """
    Promise 6.13: nothing is kept for what is over.
    """

    def test_question_of_a_cancelled_request(self) -> None:
        """
        Promise 6.13: nobody is told that canStartBuild did not answer about a request that was cancelled.
        """
        stage, request = waiting_for_can_start_build()
        stage.done(stage.farm.submissions.cancel_request(request, "enough"))
        with capturedLogs() as events:
            stage.settle(LONGEST_CALL + 1)
        self.assertEqual([event for event in events if "has not answered" in (event["log_format"] or "")], [])

    def test_slaves_that_left(self) -> None:
        """
        Promise 6.13: a slave that is not configured any more is forgotten when its last build ended, or at once.
        """
        stage = farm()
        slave = stage.attach()
        stage.submit()
        for name in ("bot2", "bot3"):
            stage.configure(ONE.replace("STEP", ANY_STEP).replace("bot1", name))
            stage.done(stage.farm.reconfiguration.apply())
        self.assertEqual(list(stage.farm.slaves._leaving), ["bot1"])
        slave.given[0].end()
        stage.settle(1)
        self.assertEqual(stage.farm.slaves._leaving, {})
        self.assertEqual(len(slave.dropped), 1)
