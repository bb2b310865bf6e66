"""
Builds on an in-memory farm: results, stops, master restarts at every moment, lost slaves, retries.
"""

import os
import tempfile
from collections.abc import Callable
from typing import Any
from unittest import mock

from attrs import evolve
from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import provider

from buildbot_lite.extensions import configuration_keys
from buildbot_lite.master.config.loading import load
from buildbot_lite.master.grants import verbs
from buildbot_lite.master.scheduling.requests import MOST_UNCOUNTED
from buildbot_lite.master.slaves.command_streams import ATTEMPTS
from buildbot_lite.model.hello import HeldCommand, Life
from buildbot_lite.model.outcome import Ending, Remark, Why
from buildbot_lite.model.results import Result
from buildbot_lite.model.spec import fingerprint
from buildbot_lite.storage import schema
from buildbot_lite.storage.records import remarks, streams
from test.histories.masters import KillableRecords
from test.storage.inline import InlineWriter

from . import harness as harness_module
from .configurations import ONE, four_steps, master_cfg, run_step
from .harness import (
    FakeSlave,
    MasterHarness,
    StartedCommand,
    scripted,
    succeeding,
)


class ResultTests(SynchronousTestCase):
    """
    The build's result follows from the results of its steps.
    """

    def run_with(self, **exit_codes: int) -> tuple[Result | None, list[tuple[str, Result | None]]]:
        """
        The results of the build and of its steps when the commands end with *exit_codes*.
        """
        harness = MasterHarness(ONE)
        harness.attach(slave=FakeSlave(behaviour=scripted(exit_codes)))
        request = harness.submit()
        return harness.request(request).result, harness.steps(request)

    def test_success(self) -> None:
        """
        A build whose steps all succeed succeeds.
        """
        result, steps = self.run_with()
        self.assertEqual(result, Result.SUCCESS)
        self.assertEqual([name for name, _ in steps], ["one", "two", "three", "last"])

    def test_halt(self) -> None:
        """
        When a step with haltOnFailure fails, only the steps with alwaysRun still run.
        """
        result, steps = self.run_with(one=1)
        self.assertEqual(result, Result.FAILURE)
        self.assertEqual(steps, [("one", Result.FAILURE), ("last", Result.SUCCESS)])

    def test_warn(self) -> None:
        """
        A failed step with warnOnFailure and without flunkOnFailure gives the build WARNINGS; the other steps run.
        """
        result, steps = self.run_with(two=1)
        self.assertEqual(result, Result.WARNINGS)
        self.assertEqual(steps[1], ("two", Result.FAILURE))
        self.assertEqual(len(steps), 4)

    def test_fail(self) -> None:
        """
        A failed step without haltOnFailure makes the build FAILURE; the other steps run.
        """
        result, steps = self.run_with(three=1)
        self.assertEqual(result, Result.FAILURE)
        self.assertEqual(steps[-1], ("last", Result.SUCCESS))

    def test_exception(self) -> None:
        """
        A step whose code raises an error ends the build with EXCEPTION; a log of the step holds the traceback.
        """
        harness = MasterHarness(
            ONE
            + """
class Bad(steps.BuildStep):
    name = "bad"
    async def run(self):
        raise ValueError("oh")
c["builders"][0].factory.addStep(Bad())
"""
        )
        harness.attach(slave=FakeSlave(behaviour=succeeding))
        request = harness.submit()
        self.assertEqual(harness.request(request).result, Result.EXCEPTION)
        self.assertEqual(harness.steps(request)[-1], ("bad", Result.EXCEPTION))
        (build,) = harness.builds(request)
        names = [row.name for row in harness.read(lambda c: streams.of_build(c, build.id))]
        self.assertEqual(names, ["traceback"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)


class NamedOutputTests(SynchronousTestCase):
    """
    A step that names the log of its command's output.
    """

    def test_recorded(self) -> None:
        """
        Promise 8.13: the bytes, the keeper's remarks and the checksum are recorded under that name, and none under
        stdio.
        """
        harness = MasterHarness(
            ONE
            + """
class Own(steps.ShellMixin, steps.BuildStep):
    async def run(self):
        for word in ("one", "two"):
            cmd = await self.makeRemoteShellCommand(command=[word], stdioLogName="own")
            await self.runCommand(cmd)
        return cmd.results() if cmd.stdout == "text" else util.FAILURE
c["builders"][0].factory.steps[:] = []
c["builders"][0].factory.addStep(Own())
"""
        )

        def writing(started: StartedCommand) -> None:
            started.write(b"text")
            started.end(0, streams={"stdio": b"text"}, remarks=[Remark("stdio", 4, 0.0, "the end")])

        harness.attach(slave=FakeSlave(behaviour=writing))
        request = harness.submit()
        self.assertEqual(harness.request(request).result, Result.SUCCESS)
        (build,) = harness.builds(request)
        rows = harness.read(lambda c: streams.of_build(c, build.id))
        self.assertEqual([(row.name, row.length) for row in rows], [("own", 4), ("own", 4)])
        noted = harness.read(lambda c: remarks.of_step(c, build.id, 0))
        placed = [(each.offset, each.text.partition("  ")[0]) for each in noted if each.log == "own"]
        self.assertEqual(sorted(placed), [(0, "$ one"), (4, "$ two"), (4, "the end"), (8, "the end")])
        self.assertEqual({each.log for each in noted}, {"own"})


class RemarkPlaceTests(SynchronousTestCase):
    """
    Where remarks that the farm makes stand beside a log.
    """

    def placed(self, harness: MasterHarness, text: str) -> list[int]:
        """
        The offsets of the remarks *text*.
        """
        noted = harness.read(lambda connection: remarks.of_build(connection, 1))
        return [each.offset for each in noted if each.text == text]

    def test_while_a_command_runs(self) -> None:
        """
        Promise 10.2: a remark about the slave stands at the end that the log had when it was made: behind what came of
        the running command, also after a restart of the master.
        """
        harness = MasterHarness(
            ONE
            + """
class Two(steps.ShellMixin, steps.BuildStep):
    async def run(self):
        for word in ("one", "two"):
            await self.runCommand(await self.makeRemoteShellCommand(command=[word]))
        return util.SUCCESS
c["builders"][0].factory.steps[:] = []
c["builders"][0].factory.addStep(Two())
"""
        )
        slave = harness.attach()
        harness.submit()
        harness.farm.running.remark("bot1", "early")
        slave.commands[0].write(b"first\n")
        slave.commands[0].end(streams={"stdio": b"first\n"})
        harness.settle()
        harness.farm.running.remark("bot1", "between")
        slave.commands[1].write(b"second\n")
        harness.farm.running.remark("bot1", "behind two")
        harness.write_noted()
        harness.restart()
        harness.attach(slave=FakeSlave(commands=slave.commands), held=slave.held())
        slave.commands[1].write(b"third\n", offset=7)
        harness.farm.running.remark("bot1", "behind three")
        offsets = [self.placed(harness, text) for text in ("early", "between", "behind two", "behind three")]
        self.assertEqual(offsets, [[0], [6], [13], [19]])


class SecretTests(SynchronousTestCase):
    """
    The secrets that commands get for masking.
    """

    def test_later_commands_mask_too(self) -> None:
        """
        Invariant I7: after one command used a secret, all later commands of the build mask it too.
        """
        directory = tempfile.mkdtemp()
        descriptor = os.open(os.path.join(directory, "token"), os.O_WRONLY | os.O_CREAT, 0o600)
        os.write(descriptor, b"hunter2hunter2")
        os.close(descriptor)
        harness = MasterHarness(
            master_cfg(steps=four_steps(two='env={"TOKEN": util.Secret("token")}'))
            + f"c['secretsProviders'] = [secrets.SecretInAFile({directory!r})]"
        )
        slave = harness.attach(slave=FakeSlave(behaviour=succeeding))
        harness.submit()
        told = [dict(started.secrets) for started in slave.commands]
        self.assertEqual(told, [{}, *[{"token": "hunter2hunter2"}] * 3])
        self.assertNotIn("hunter2", repr([started.spec for started in slave.commands]))


LEAKING_STEPS = """
class Careless(steps.BuildStep):
    name = "careless"
    async def run(self):
        value = open(PATH).read()
        self.bench.view.properties.set("stolen", [{"it": value}, 7], "me")
        self.bench.remark("it is " + value)
        self.bench.write("notes", value + "!")
        self.summary = value
        if self.name == "worse":
            raise ValueError(value)
        return util.SUCCESS
class Worse(Careless):
    name = "worse"
c["secretsProviders"] = [secrets.SecretInAFile(os.path.dirname(PATH))]
c["builders"][0].factory.addStep(steps.ShellCommand(command=["x"], env={"TOKEN": util.Secret("token")}))
c["builders"][0].factory.addStep(Careless())
c["builders"][0].factory.addStep(Worse())
"""


class RedactionTests(SynchronousTestCase):
    """
    Secrets in text that the master itself writes.
    """

    def test_text_by_the_master(self) -> None:
        """
        Promise 19: a secret value that a step's code read by itself appears in no traceback, remark, summary, property
        or log.
        """
        path = os.path.join(tempfile.mkdtemp(), "token")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            file.write(b"hunter2hunter2")
        logged: list[str] = []

        @provider(ILogObserver)
        def observer(event: LogEvent) -> None:
            logged.append(formatEvent(event))

        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

        harness = MasterHarness(ONE + f"import os\nPATH = {path!r}\n" + LEAKING_STEPS)
        harness.attach(slave=FakeSlave(behaviour=succeeding))
        request = harness.submit()

        self.assertEqual(harness.steps(request)[-2:], [("careless", Result.SUCCESS), ("worse", Result.EXCEPTION)])
        self.assertIn("ValueError: **************", "".join(logged))
        self.assertNotIn("hunter2", "".join(logged))
        self.assertEqual(len(self.flushLoggedErrors()), 0)
        records = []
        for table in ("buildsets", "builds", "steps", "journal", "streams", "remarks", "feed"):
            records += harness.read(lambda c, t=table: c.exec_driver_sql(f"select * from {t}").fetchall())
        self.assertIn("**************", repr(records))
        self.assertNotIn("hunter2", repr(records))
        for directory, _, files in os.walk(harness.basedir):
            for name in files:
                with open(os.path.join(directory, name), "rb") as written:
                    self.assertNotIn(b"hunter2", written.read(), name)


class StopTests(SynchronousTestCase):
    """
    A build that is stopped before its end.
    """

    def setUp(self) -> None:
        self.harness = MasterHarness(ONE)
        self.slave = self.harness.attach()
        self.request = self.harness.submit()

    def cancel(self) -> None:
        """
        Cancel the request as an admin does.
        """
        self.harness.done(self.harness.farm.canceller.cancel(self.request, "enough"))
        self.harness.settle()

    def test_cancel(self) -> None:
        """
        A cancelled build interrupts its command and runs only the steps with alwaysRun; the request ends CANCELLED.
        """
        self.cancel()
        (started,) = self.slave.commands
        self.assertEqual(self.slave.interrupted, [(started.id, "enough")])
        self.slave.behaviour = succeeding
        started.end(ending=Ending.KILLED, why=Why.INTERRUPTED)
        self.harness.settle()
        self.assertEqual(self.harness.request(self.request).result, Result.CANCELLED)
        self.assertEqual(self.harness.steps(self.request), [("one", Result.CANCELLED), ("last", Result.SUCCESS)])

    def test_cancelled_twice(self) -> None:
        """
        Invariant I6: both callers that cancel a build get the answer only when the cancellation is committed.
        """
        with mock.patch.object(harness_module, "InlineWriter", lambda: KillableRecords(InlineWriter())):
            harness = MasterHarness(ONE)
        records: Any = harness.records
        harness.attach()
        request = harness.submit()
        records.held = True
        told = [Deferred.fromCoroutine(harness.farm.running.stop(request, "not wanted")) for _ in range(2)]
        for each in told:
            self.assertNoResult(each)
        records.held = False
        records.commit(records.waiting)
        self.assertEqual([self.successResultOf(each) for each in told], [True, True])

    def test_cancel_then_restart(self) -> None:
        """
        Invariant I5: after a restart, a build whose stop was recorded is stopped again at the same step.
        """
        self.cancel()
        self.harness.restart()
        slave = self.harness.attach(held=self.slave.held())
        (started,) = self.slave.commands
        self.assertEqual(slave.interrupted, [(started.id, "enough")])
        self.assertEqual(slave.commands, [])

    def test_cancel_while_away(self) -> None:
        """
        A slave that was away during the cancellation is told to interrupt the command when it reattaches.
        """
        self.slave.lose()
        self.cancel()
        back = self.harness.attach(held=self.slave.held())
        self.assertEqual([reason for _, reason in back.interrupted], ["enough"])

    def test_max_time(self) -> None:
        """
        A build that takes longer than its maxTime fails.
        """
        harness = MasterHarness(master_cfg(arguments="maxTime=60"))
        slave = harness.attach()
        request = harness.submit()
        harness.settle(61)
        self.assertEqual(len(slave.interrupted), 1)
        slave.behaviour = succeeding
        slave.commands[0].end(ending=Ending.KILLED, why=Why.INTERRUPTED)
        harness.settle()
        self.assertEqual(harness.request(request).result, Result.FAILURE)
        self.assertIn("maxTime", harness.request(request).reason)


class RestartTests(SynchronousTestCase):
    """
    The master dies at any moment.
    """

    def test_after_every_command(self) -> None:
        """
        Promise 7, Invariant I1: whenever the master dies, the same build continues, and no command is started twice.
        """
        for ended_before in range(4):
            for kept in (False, True):
                with self.subTest(ended_before=ended_before, kept=kept):
                    self.check(ended_before, kept=kept)

    def check(self, ended_before: int, *, kept: bool) -> None:
        """
        The master dies after *ended_before* commands have ended.  *kept*: the slave has the next command; otherwise the
        command never reached the slave.
        """
        harness = MasterHarness(ONE)
        slave = harness.attach()
        request = harness.submit()
        for number in range(ended_before):
            slave.commands[number].end(0)
            harness.settle()
        running = slave.commands[ended_before]
        harness.restart()
        held = slave.held()[-1:] if kept else ()
        again = harness.attach(held=held)
        if kept:
            self.assertEqual([id for id, _ in again.resumed], [running.id])
            self.assertEqual(again.commands, [])
            again.commands.append(running)
            again.behaviour = succeeding
            live = harness.farm.slaves.session("bot1")
            self.assertEqual(tuple(live.live_ids), (running.id,))
            command = live._core.commands[running.id]
            running.command = command
            running.end(0)
        else:
            self.assertEqual([started.id for started in again.commands], [running.id])
            again.behaviour = succeeding
            again.commands[0].end(0)
        harness.settle()
        self.assertEqual(harness.request(request).result, Result.SUCCESS)
        self.assertEqual(len(harness.builds(request)), 1)
        ids = [started.id for started in slave.commands[:-1]] + [started.id for started in again.commands]
        self.assertEqual(len(ids), len(set(ids)))
        self.assertEqual(len(harness.steps(request)), 4)

    def test_log_goes_on(self) -> None:
        """
        Invariant I2: a new master asks for the log from the offset at which the old master's copy ends.
        """
        harness = MasterHarness(ONE)
        slave = harness.attach()
        harness.submit()
        self.assertEqual(slave.commands[0].write(b"hello "), 6)
        harness.restart()
        again = harness.attach(held=slave.held())
        self.assertEqual(again.resumed, [(slave.commands[0].id, {"stdio": 6})])

    def test_log_without_a_record(self) -> None:
        """
        Promise 3.5, Invariant I3: a master that is killed while its database is locked may have stored bytes of a log
        without the log's record.  The next master does not ask for these bytes again, and records the log.
        """
        harness = MasterHarness(ONE)
        slave = harness.attach()
        request = harness.submit()
        running = slave.commands[0]
        running.write(b"hello ")
        [build] = harness.builds(request)
        harness.records.write(lambda connection: connection.execute(schema.streams.delete()))  # type: ignore[unused-awaitable]  # at once
        harness.restart()
        again = harness.attach(slave=FakeSlave(), held=slave.held())
        running.command = harness.farm.slaves.session("bot1")._core.commands[running.id]
        running.end(0, streams={"stdio": b"hello "})
        harness.settle()
        self.assertEqual(again.resumed, [(running.id, {"stdio": 6})])
        noted = harness.read(lambda connection: streams.of_build(connection, build.id))
        self.assertEqual([(each.name, each.length) for each in noted], [("stdio", 6)])

    def test_changed_program(self) -> None:
        """
        A build continues with the configuration with which it began, although master.cfg has changed.
        """
        harness = MasterHarness(ONE)
        slave = harness.attach()
        request = harness.submit()
        harness.configure(master_cfg(steps=[run_step("another")]))
        harness.restart()
        again = harness.attach(slave=FakeSlave(behaviour=succeeding), held=slave.held()[:0])
        self.assertEqual([started.spec.argv for started in again.commands][1], ("run", "two"))  # type: ignore[union-attr]  # they run
        self.assertEqual(harness.request(request).result, Result.SUCCESS)

    def check_abandoned(self, harness: MasterHarness, slave: FakeSlave, request: int) -> None:
        """
        A second attempt begins only after the slave was told to forget the command of the first.
        """
        self.assertEqual([build.finished for build in harness.builds(request)], [None])
        back = harness.attach(held=slave.held()[-1:])
        self.assertEqual(back.disowned, [slave.commands[-1].id])
        harness.settle(3)
        first, second = harness.builds(request)
        self.assertEqual(first.result, Result.RETRY)
        self.assertIsNone(second.finished)

    def test_begun_while_reconfigured(self) -> None:
        """
        Promise 3.4: when a build begins while `reconfig` is being recorded, the build's configuration is kept until the
        build ends.
        """
        with mock.patch.object(harness_module, "InlineWriter", lambda: KillableRecords(InlineWriter())):
            harness = MasterHarness(ONE)
        records: Any = harness.records
        harness.attach()
        harness.farm.hold.begin()
        request = harness.submit()
        harness.configure(ONE + "c['title'] = 'another'")
        records.held = True
        reconfigured = Deferred.fromCoroutine(harness.farm.reconfiguration.apply())
        harness.farm.hold.end()
        harness.settle()
        records.held = False
        records.commit(records.waiting)
        harness.settle()
        self.successResultOf(reconfigured)
        (build,) = harness.builds(request)
        self.assertIn(build.generation, os.listdir(os.path.join(harness.basedir, "private", "generations")))
        harness.restart()
        harness.attach(slave=FakeSlave(behaviour=succeeding))
        self.assertEqual(len(harness.builds(request)), 1)
        self.assertIs(harness.request(request).result, Result.SUCCESS)

    def test_unloadable_configuration(self) -> None:
        """
        Invariant I8: a build whose configuration cannot be loaded any more is retried, but never in parallel with its
        first attempt.
        """
        harness = MasterHarness("import os\n" + ONE + "\nassert not os.path.exists(basedir + '/broken')\n")
        slave = harness.attach()
        request = harness.submit()
        open(os.path.join(harness.basedir, "broken"), "w", encoding="utf-8").close()
        harness.configure(ONE)
        harness.restart()
        self.check_abandoned(harness, slave, request)

    def test_lost_configuration(self) -> None:
        """
        Promise 6.19: a build whose stored configuration is missing or damaged is retried, but never in parallel with
        its first attempt.
        """
        for text in (None, "[1"):
            harness = MasterHarness(ONE)
            slave = harness.attach()
            request = harness.submit()
            (name,) = os.listdir(os.path.join(harness.basedir, "private", "generations"))
            path = os.path.join(harness.basedir, "private", "generations", name)
            os.unlink(path)
            if text is not None:
                with open(path, "w", encoding="ascii") as file:
                    file.write(text)
            harness.configure(ONE + "c['title'] = 'another'")
            harness.restart()
            self.check_abandoned(harness, slave, request)

    def test_text_deleted(self) -> None:
        """
        Promise 6.19: the text of an earlier configuration is kept while a build that began with it runs; the next start
        or `reconfig` after that build deletes the text.
        """
        harness = MasterHarness(ONE)
        slave, directory = harness.attach(), os.path.join(harness.basedir, "private", "generations")
        harness.submit()
        (old,) = os.listdir(directory)
        harness.configure(ONE + "c['title'] = 'another'")
        harness.done(harness.farm.reconfiguration.apply())
        self.assertIn(old, os.listdir(directory))
        slave.behaviour = succeeding
        for each in range(4):
            slave.commands[each].end(0)
            harness.settle()
        harness.done(harness.farm.reconfiguration.apply())

        self.assertEqual(len(os.listdir(directory)), 1)
        self.assertNotIn(old, os.listdir(directory))

    def test_other_program(self) -> None:
        """
        Invariant I8: a build whose program, when replayed, asks for something else than its journal says is retried,
        but never in parallel with its first attempt.
        """
        changing = """
import os
class Changing(steps.BuildStep):
    async def run(self):
        words = ("second" if os.path.exists(basedir + "/second") else "first",)
        return (await self.execute(words)).outcome.succeeded and 0 or 2
"""
        harness = MasterHarness(changing + master_cfg(steps=["Changing()", *four_steps()[1:]]))
        slave = harness.attach()
        request = harness.submit()
        open(os.path.join(harness.basedir, "second"), "w", encoding="utf-8").close()
        harness.restart()
        self.check_abandoned(harness, slave, request)
        self.assertIn("entry 0.0 of its journal", harness.builds(request)[0].reason)

    def test_program_with_fewer_effects(self) -> None:
        """
        Invariants I5, I8: a build whose program, when replayed, ends without having asked for all that its journal says
        is retried, but never in parallel with its first attempt: within a step, or because a step is left out.
        """
        changing = """
import os
class Changing(steps.BuildStep):
    haltOnFailure = True
    async def run(self):
        changed = os.path.exists(basedir + "/changed")
        await self.execute(("first",))
        if not (changed and {shorter}):
            await self.execute(("second",))
        return 2 if changed and not {shorter} else 0
"""
        for shorter, before, sentence in (
            (True, 1, "entry 0.1 of its journal is a command, and a replay ends that step without it."),
            (False, 2, "entry 1.0 of its journal is a command, and a replay ends without it."),
        ):
            with self.subTest(shorter=shorter):
                text = changing.format(shorter=shorter) + master_cfg(steps=["Changing()", *four_steps()[1:3]])
                harness = MasterHarness(text)
                slave = harness.attach()
                request = harness.submit()
                for number in range(before):
                    slave.commands[number].end(0)
                    harness.settle()
                open(os.path.join(harness.basedir, "changed"), "w", encoding="utf-8").close()
                harness.restart()
                self.check_abandoned(harness, slave, request)
                self.assertIn(sentence, harness.builds(request)[0].reason)

    def test_effects_of_hiding(self) -> None:
        """
        Invariant I5: effects of a ``hideStepIf`` belong to its step.  A build that is replayed resumes them, or goes on
        after them.
        """
        hiding = """
async def hide(result, step):
    await step.execute(("hide",))
    return True
"""
        step = "steps.ShellCommand(command=['make'], hideStepIf=hide)"
        for ended in (1, 2):
            with self.subTest(ended=ended):
                harness = MasterHarness(hiding + master_cfg(steps=[step, *four_steps()[1:2]]))
                slave = harness.attach()
                request = harness.submit()
                for number in range(ended):
                    slave.commands[number].end(0)
                    harness.settle()
                harness.restart()
                back = FakeSlave(commands=slave.commands[-1:], behaviour=succeeding)
                harness.attach(slave=back, held=back.held())
                self.assertEqual([id for id, _ in back.resumed], [slave.commands[ended].id])
                back.commands[0].end(0)
                harness.settle()
                self.assertEqual([build.result for build in harness.builds(request)], [Result.SUCCESS])
                self.assertEqual(ended + len(back.commands), 3)

    def test_program_that_never_repeats(self) -> None:
        """
        Promise 9.2: retries of a build that cannot be continued are not counted, whatever maxRetries is; but of a
        program that never does again what its journal says only so many are not.
        """
        changing = """
import time
class Changing(steps.BuildStep):
    async def run(self):
        await self.execute((str(time.monotonic_ns()),))
        return 0
"""
        text = changing + master_cfg(steps=["Changing()", *four_steps()[1:]])
        harness = MasterHarness(f"{text}c['maxRetries'] = 0\n")
        harness.attach()
        request = harness.submit()
        for retries in range(MOST_UNCOUNTED + 1):
            self.assertEqual((len(harness.builds(request)), harness.request(request).result), (retries + 1, None))
            harness.restart()
            harness.attach()
            harness.settle(3)
        self.assertEqual(harness.request(request).result, Result.EXCEPTION)
        self.assertIn(f"gave up after {MOST_UNCOUNTED} retries: entry 0.0", harness.request(request).reason)

    def test_many_upgrades(self) -> None:
        """
        Promise 9.2: retries for different reasons are not counted, however many they are.
        """
        changing = """
import time
class Changing(steps.BuildStep):
    async def run(self):
        with open(basedir + "/before", encoding="utf-8") as file:
            before = int(file.read())
        for _ in range(before):
            await self.execute(("same",))
        await self.execute((str(time.monotonic_ns()),))
        return 0
"""
        text = changing + master_cfg(steps=["Changing()", *four_steps()[1:]])
        harness = MasterHarness(f"{text}c['maxRetries'] = 0\n")

        def behave(started: StartedCommand) -> None:
            if "same" in str(started.spec):
                started.end(0)

        def come(before: int) -> None:
            with open(os.path.join(harness.basedir, "before"), "w", encoding="utf-8") as file:
                file.write(str(before))
            harness.attach(slave=FakeSlave(behaviour=behave))
            harness.settle(3)

        request = harness.submit()
        come(0)
        for retries in range(MOST_UNCOUNTED + 2):
            self.assertEqual((len(harness.builds(request)), harness.request(request).result), (retries + 1, None))
            harness.restart()
            come(retries + 1)
        reasons = {build.reason for build in harness.builds(request)[:-1]}
        self.assertEqual(len(reasons), MOST_UNCOUNTED + 2)

    def test_lease_of_an_abandoned_build(self) -> None:
        """
        Invariant I8: when the slave does not come back, the second attempt waits until the command's lease has expired.
        """
        harness = MasterHarness("import os\n" + ONE + "\nassert not os.path.exists(basedir + '/broken')\n")
        harness.attach()
        request = harness.submit()
        open(os.path.join(harness.basedir, "broken"), "w", encoding="utf-8").close()
        harness.configure(ONE)
        harness.restart()
        harness.settle(1829)
        self.assertIsNone(harness.builds(request)[0].finished)
        harness.settle(2)
        self.assertEqual(harness.builds(request)[0].result, Result.RETRY)

    def test_secret_is_looked_up_first(self) -> None:
        """
        A resumed command is known to the slave's session before any slave attaches, however long the lookup of secrets
        takes.
        """
        harness = MasterHarness(ONE)
        slave = harness.attach()
        harness.submit()
        harness.restart()
        self.assertEqual(tuple(harness.farm.slaves.session("bot1").live_ids), (slave.commands[0].id,))

    def test_replay_without_end(self) -> None:
        """
        A step that waits for something outside its journal delays the start of a new master by at most one minute.
        """
        waiting = """
from twisted.internet.defer import Deferred
class Waiting(steps.BuildStep):
    async def run(self):
        await Deferred()
"""
        harness = MasterHarness(waiting + master_cfg(steps=["Waiting()", *four_steps()[1:]]))
        harness.attach()
        harness.submit()
        harness.farm = harness._farm(load(harness.basedir, keys=configuration_keys()))
        started = Deferred.fromCoroutine(harness.farm.start())
        self.assertNoResult(started)
        harness.settle(60)
        self.successResultOf(started)


class LazyRecords(InlineWriter):
    """
    Records that write notes together with the next change, as the real writer does.
    """

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[Callable[[], object]] = []
        self.writes = 0

    def note(self, change: Callable[[Connection], Any]) -> Deferred[Any]:
        noted: Deferred[Any] = Deferred()
        write = super().write
        self.notes.append(lambda: write(change).chainDeferred(noted))
        return noted

    def write(self, change: Callable[[Connection], Any]) -> Deferred[Any]:
        self.writes += 1
        self.flush()
        return super().write(change)

    def flush(self) -> None:
        notes, self.notes = self.notes, []
        for note in notes:
            note()


class DeferredCommitTests(SynchronousTestCase):
    """
    Outcomes that are committed together with the next change.
    """

    def harness(self, text: str) -> MasterHarness:
        with mock.patch.object(harness_module, "InlineWriter", LazyRecords):
            return MasterHarness(text)

    def records(self, harness: MasterHarness) -> LazyRecords:
        assert isinstance(harness.records, LazyRecords)
        return harness.records

    def test_commits(self) -> None:
        """
        A build of one command takes four commits (submitted, begun, command intended, ended), and one more for each
        further command.
        """
        more = master_cfg(steps=[run_step("zero"), *four_steps()])
        for text, commits in ((ONE, 7), (more, 8)):
            harness = self.harness(text)
            slave = harness.attach(slave=FakeSlave(behaviour=succeeding))
            before = self.records(harness).writes
            request = harness.submit()
            self.assertIs(harness.request(request).result, Result.SUCCESS)
            self.assertEqual(self.records(harness).writes - before, commits)
            self.assertEqual(slave.disowned, [])

    def test_forgotten_when_committed(self) -> None:
        """
        Invariant I4: the slave may forget a command only after its outcome is committed, even if the build has moved
        on.
        """
        harness = self.harness(REPORTING_STEPS)
        slave = harness.attach()
        harness.submit()
        told = slave.commands[0].end(0)
        harness.settle()
        self.assertEqual((len(slave.commands), told), (1, []))
        harness.restart()
        again = harness.attach(held=slave.held())
        self.assertEqual([id for id, _ in again.resumed], [slave.commands[0].id])
        self.assertEqual(again.disowned, [])

    def test_text(self) -> None:
        """
        Invariant I6: text that a step writes becomes visible only after the commit of the outcomes on which it may
        depend; then all of it is visible.
        """
        harness = self.harness(REPORTING_STEPS)
        slave = harness.attach()
        harness.submit()
        slave.commands[0].end(0)
        self.assertFalse(os.path.exists(os.path.join(harness.basedir, "streams", "0", "1", "0-1-told")))
        harness.write_noted()
        self.records(harness).flush()
        with open(os.path.join(harness.basedir, "streams", "0", "1", "0-1-told")) as file:
            self.assertEqual(file.read(), "EXITED, says one")
        harness.settle()
        self.assertEqual(len(slave.commands), 2)
        self.records(harness).flush()
        told = [row for row in harness.read(lambda c: streams.of_build(c, 1)) if row.name == "told"]
        self.assertEqual([row.length for row in told], [len("EXITED, says one")])


REPORTING_STEPS = """
class Reporting(steps.BuildStep):
    async def run(self):
        ran = await self.execute(["run", self.name])
        self.bench.write("told", ran.outcome.ending.name + ", says " + self.name)
        return util.SUCCESS
c["slaves"] = [slave.BuildSlave("bot1")]
c["builders"] = [util.BuilderConfig("b", ["bot1"], util.BuildFactory([Reporting(name="one"), Reporting(name="two")]))]
c["schedulers"] = [schedulers.Submit("go", ["b"])]
"""


class UploadTests(SynchronousTestCase):
    """
    Uploads that become artifacts.
    """

    def test_the_same_name_twice(self) -> None:
        """
        Invariant I2: a second upload to the same name replaces the first artifact only when the second is complete.
        """
        upload = 'steps.FileUpload(slavesrc="out", masterdest="out")'
        harness = MasterHarness(master_cfg(steps=[upload, upload, upload, *four_steps()]))
        slave = harness.attach()
        request = harness.submit()
        before = b""
        for number, text in enumerate((b"the first", b"another, longer one", b"")):
            started = slave.commands[number]
            path = os.path.join(harness.basedir, "artifacts", "b", "1", "out")
            if number:
                started.write(text[:5], "artifact")
                with open(path, "rb") as file:
                    self.assertEqual(file.read(), before)
                harness.restart()
                harness.attach(slave=slave, held=[HeldCommand(started.id, fingerprint(started.spec), Life.RUNNING)])
                self.assertEqual(slave.resumed[-1], (started.id, {"artifact": 5} if text else {}))
            started.write(text, "artifact")
            self.assertEqual(started.end(streams={"artifact": text}), [()])
            with open(path, "rb") as file:
                self.assertEqual(file.read(), text)
            before = text
        self.assertEqual([result for _, result in harness.steps(request)][:3], [Result.SUCCESS] * 3)
        self.assertEqual(os.listdir(os.path.dirname(path)), ["out"])

    def test_third_attempt(self) -> None:
        """
        Invariant I2: a restarted master has what it got of each attempt at an upload, also of the last one.
        """
        harness = MasterHarness(master_cfg(steps=['steps.FileUpload(slavesrc="out", masterdest="out")']))
        slave = harness.attach()
        harness.submit()
        started = slave.commands[0]
        for length, attempt in enumerate(ATTEMPTS, start=1):
            started.write(b"x" * length, f"artifact{attempt}")
        harness.restart()
        harness.attach(slave=slave, held=[HeldCommand(started.id, fingerprint(started.spec), Life.RUNNING)])
        self.assertEqual(slave.resumed[-1][1], {"artifact": 1, "artifact~1": 2, "artifact~2": 3})

    def test_names_like_incomplete_uploads(self) -> None:
        """
        Promise 6.17: an artifact may have any name that an incomplete upload could have: both files exist in the end.
        """
        names = ("app.partial", "app~1.partial", "app", ".incoming/1-0-0", "app~1")
        uploads = [f'steps.FileUpload(slavesrc="x", masterdest={name!r})' for name in names]
        harness = MasterHarness(master_cfg(steps=[*uploads, *four_steps()]))
        slave = harness.attach()
        harness.submit()
        for number, name in enumerate(names):
            slave.commands[number].write(name.encode(), "artifact")
            harness.restart()
            held = [HeldCommand(slave.commands[number].id, fingerprint(slave.commands[number].spec), Life.RUNNING)]
            harness.attach(slave=slave, held=held)
            self.assertEqual(slave.resumed[-1][1], {"artifact": len(name)})
            self.assertEqual(slave.commands[number].end(streams={"artifact": name.encode()}), [()])

        for name in names:
            with open(os.path.join(harness.basedir, "artifacts", "b", "1", name), encoding="ascii") as file:
                self.assertEqual(file.read(), name)


class UnawaitedCommandTests(SynchronousTestCase):
    """
    Steps that end without waiting for what they started.
    """

    def test_left_running(self) -> None:
        """
        A command that a step left running is interrupted when the step ends; the build waits for the command's end.
        """
        harness = MasterHarness(
            """
from twisted.internet.defer import Deferred
class Careless(steps.BuildStep):
    name = "careless"
    async def run(self):
        Deferred.fromCoroutine(self.execute(["run", "forgotten"])).addErrback(lambda failure: None)
        return 0
"""
            + master_cfg(steps=["Careless()", *four_steps()[1:]])
        )
        slave = harness.attach()
        request = harness.submit()
        self.assertEqual([reason for _, reason in slave.interrupted], ["its step has ended"])
        self.assertEqual(harness.steps(request), [("careless", None)])
        slave.behaviour = succeeding
        slave.commands[0].end(ending=Ending.KILLED, why=Why.INTERRUPTED)
        harness.settle()
        self.assertEqual(harness.request(request).result, Result.SUCCESS)

    def test_retry(self) -> None:
        """
        A step with the result RETRY ends the build, and the request is retried.
        """
        harness = MasterHarness(master_cfg(steps=four_steps(one="decodeRC={75: util.RETRY}")))
        harness.attach(slave=FakeSlave(behaviour=scripted({"one": 75})))
        request = harness.submit()
        self.assertEqual(harness.builds(request)[0].result, Result.RETRY)
        self.assertEqual(harness.steps(request)[0], ("one", Result.RETRY))
        self.assertEqual([name for name, _ in harness.steps(request)], ["one", "last"])


class LostTests(SynchronousTestCase):
    """
    Slaves that do not come back, or that come back without their commands.
    """

    def setUp(self) -> None:
        self.harness = MasterHarness(ONE)
        self.slave = self.harness.attach()
        self.request = self.harness.submit()

    def test_reattached(self) -> None:
        """
        When a link breaks and the slave reattaches with its commands, the same build continues.
        """
        self.slave.lose()
        back = self.harness.attach(held=self.slave.held())
        self.assertEqual([id for id, _ in back.resumed], [self.slave.commands[0].id])
        self.assertEqual(len(self.harness.builds(self.request)), 1)
        self.assertIsNone(self.harness.builds(self.request)[0].finished)

    def test_grace(self) -> None:
        """
        When a slave is away for its grace plus 30 s, the build ends with RETRY and the reason; if the slave reattaches
        later, it is told to disown the command.
        """
        self.slave.lose()
        self.harness.settle(1800 + 29)
        self.assertIsNone(self.harness.builds(self.request)[0].finished)
        self.harness.settle(2)
        (build,) = self.harness.builds(self.request)
        self.assertEqual(build.result, Result.RETRY)
        self.assertIn("grace", build.reason)
        back = self.harness.attach(held=self.slave.held())
        self.assertEqual(back.disowned, [self.slave.commands[0].id])

    def test_lost_while_it_is_cancelled(self) -> None:
        """
        A build that loses its slave while its cancellation is being recorded is not retried.
        """
        writes: list[tuple[Any, Deferred[Any]]] = []
        really = self.harness.records.write

        def slowly(change: Any) -> Deferred[Any]:
            writes.append((change, Deferred()))
            return writes[-1][1]

        with mock.patch.object(self.harness.records, "write", slowly):
            stopping = Deferred.fromCoroutine(self.harness.farm.running.stop(self.request, "not wanted any more"))
            self.slave.lose()
            self.harness.farm.slaves.session("bot1")._core.lose_all("gone")
            while writes:
                change, done = writes.pop(0)
                really(change).chainDeferred(done)  # type: ignore[unused-awaitable]  # *done* has it
        self.harness.settle()
        self.assertTrue(self.successResultOf(stopping))
        self.assertEqual(self.harness.request(self.request).result, Result.CANCELLED)

    def test_cancelled_while_its_loss_is_recorded(self) -> None:
        """
        A cancellation that arrives while the build's retry is being recorded wins: the request is CANCELLED.
        """
        really, held = self.harness.records.write, []

        def slowly(change: Any) -> Deferred[Any]:
            held.append((change, Deferred[Any]()))
            return held[-1][1]

        self.slave.lose()
        with mock.patch.object(self.harness.records, "write", slowly):
            self.harness.farm.slaves.session("bot1")._core.lose_all("gone")
            change, done = held.pop(0)  # the outcome; the end of the build is next
            really(change).chainDeferred(done)  # type: ignore[unused-awaitable]  # *done* has it
            stopping = Deferred.fromCoroutine(self.harness.farm.running.stop(self.request, "not wanted any more"))
            while held:
                change, done = held.pop(0)
                really(change).chainDeferred(done)  # type: ignore[unused-awaitable]  # *done* has it
        self.harness.settle(10)
        self.assertTrue(self.successResultOf(stopping))
        self.assertEqual(self.harness.request(self.request).result, Result.CANCELLED)
        self.assertEqual(len(self.harness.builds(self.request)), 1)

    def test_cancelled_while_it_begins(self) -> None:
        """
        A cancellation that arrives while the start of the build is being recorded wins: the request is CANCELLED.
        """
        harness = MasterHarness(ONE)
        request = harness.submit()
        really, held = harness.records.write, list[tuple[Any, Deferred[Any]]]()

        def slowly(change: Any) -> Deferred[Any]:
            held.append((change, Deferred()))
            return held[-1][1]

        with mock.patch.object(harness.records, "write", slowly):
            slave = harness.attach()
            stopping = Deferred.fromCoroutine(harness.farm.running.stop(request, "not wanted any more"))
            self.assertNoResult(stopping)
            while held:
                change, done = held.pop(0)
                really(change).chainDeferred(done)  # type: ignore[unused-awaitable]  # *done* has it
        harness.settle()
        self.assertTrue(self.successResultOf(stopping))
        for started in slave.commands:
            started.end(ending=Ending.KILLED, why=Why.INTERRUPTED)
        harness.settle()
        self.assertEqual(harness.request(request).result, Result.CANCELLED)

    def test_revoked_while_it_begins(self) -> None:
        """
        Promise 3.17: `revoke --cancel` of the slave's grant or of the submitter's grant cancels a request, also while
        the start of its build is being recorded.
        """
        for verb, name in ((verbs.SLAVE, "bot1"), (verbs.SUBMIT, "go")):
            for kill in {False, verb == verbs.SLAVE}:
                with mock.patch.object(harness_module, "InlineWriter", lambda: KillableRecords(InlineWriter())):
                    harness = MasterHarness(ONE)
                records: Any = harness.records
                slave = harness.attach()
                grant, string = harness.farm.grants.of(verb, name), harness.farm.grants.of(verbs.SUBMIT, "go")
                assert grant is not None
                assert string is not None
                harness.farm.hold.begin()
                request = harness.submit(by_grant=string.id)
                records.held = True
                harness.farm.hold.end()
                harness.settle()
                revoking = Deferred.fromCoroutine(harness.farm.revocation.revoke(grant, kill=kill, cancel=True))
                records.held = False
                records.commit(records.waiting)
                harness.settle()
                for started in slave.commands:
                    started.end(ending=Ending.KILLED, why=Why.INTERRUPTED)
                harness.settle(11)
                self.successResultOf(revoking)
                self.assertIs(harness.request(request).result, Result.CANCELLED, (verb, kill))

    def test_started_commands_are_listed(self) -> None:
        """
        Promise 8: before a build is retried, a remark lists the commands that had started.
        """
        self.slave.commands[0].end(0)
        self.harness.settle()
        self.slave.lose()
        self.harness.attach(home="home-2")
        (build,) = self.harness.builds(self.request)
        rows = self.harness.read(lambda connection: remarks.of_build(connection, build.id))
        self.assertIn("these had started: $ run one; $ run two", [row.text for row in rows])

    def test_other_directory(self) -> None:
        """
        A slave that reattaches with another home directory has lost the commands of the old one.
        """
        self.slave.lose()
        self.harness.attach(home="home-2")
        self.assertEqual(self.harness.builds(self.request)[0].result, Result.RETRY)

    def test_retries_used_up(self) -> None:
        """
        A request is retried maxRetries times, then ends with EXCEPTION and the reasons.
        """
        for attempt in range(4):
            self.slave.lose()
            self.slave = self.harness.attach(home=f"home-{attempt + 2}")
            self.harness.settle(301)
        request = self.harness.request(self.request)
        self.assertEqual(request.result, Result.EXCEPTION)
        self.assertEqual(len(self.harness.builds(self.request)), 4)
        self.assertIn("gave up after 3 retries", request.reason)
        self.assertIn("another directory", request.reason)

    def test_on_lost_fail(self) -> None:
        """
        Promise 8: a builder with onLost="fail" waits for its slave without a limit, and takes the command's result.
        """
        harness = MasterHarness(master_cfg(arguments="onLost='fail'"))
        slave = harness.attach()
        request = harness.submit()
        self.assertIsNone(slave.commands[0].spec.grace)  # type: ignore[union-attr]  # they run
        slave.lose()
        harness.settle(1_000_000)
        back = harness.attach(slave=FakeSlave(commands=slave.commands, behaviour=succeeding), held=slave.held())
        back.commands[0].end(0)
        harness.settle()
        (build,) = harness.builds(request)
        self.assertEqual(build.result, Result.SUCCESS)

    def test_on_lost_fail_and_lost(self) -> None:
        """
        Promise 8: when the slave reattaches without the command, onLost="fail" makes the step an EXCEPTION without a
        retry; a step's own onLost overrides the builder's.
        """
        for own, results in (("", [Result.EXCEPTION]), ("onLost='retry'", [Result.RETRY, None])):
            harness = MasterHarness(master_cfg(steps=four_steps(one=own), arguments="onLost='fail'"))
            slave = harness.attach()
            request = harness.submit()
            slave.lose()
            lost = tuple(evolve(held, life=Life.LOST) for held in slave.held())
            harness.attach(slave=FakeSlave(behaviour=succeeding if not own else lambda started: None), held=lost)
            harness.settle(3)
            self.assertEqual([build.result for build in harness.builds(request)], results)

    def test_declared_lost(self) -> None:
        """
        When an admin declares the slave lost, the build is retried at once.
        """
        self.slave.lose()
        self.harness.farm.slaves.session("bot1").give_up("the admin says so")
        self.harness.settle()
        self.assertEqual(self.harness.builds(self.request)[0].reason, "the admin says so")
