"""
Builds in a farm in memory: results, stops, restarts at every moment, lost slaves, retries.
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

from buildbot_lite.master.config.loading import load
from buildbot_lite.master.grants import verbs
from buildbot_lite.model.hello import HeldCommand, Life
from buildbot_lite.model.outcome import Ending, Why
from buildbot_lite.model.results import Result
from buildbot_lite.model.spec import fingerprint
from buildbot_lite.storage import schema
from buildbot_lite.storage.inline import InlineWriter
from buildbot_lite.storage.records import remarks, streams
from test.histories.masters import KillableRecords

from . import stage as stage_module
from .stage import (
    ONE,
    FakeSlave,
    Stage,
    scripted,
    succeeding,
)


class ResultTests(SynchronousTestCase):
    """
    What the results of steps make of a build.
    """

    def run_with(self, **exit_codes: int) -> tuple[Result | None, list[tuple[str, Result | None]]]:
        """
        The build's result and its steps', when commands end with *exit_codes*.
        """
        stage = Stage(ONE)
        stage.attach(slave=FakeSlave(behaviour=scripted(exit_codes)))
        request = stage.submit()
        return stage.request(request).result, stage.steps(request)

    def test_success(self) -> None:
        """
        All steps succeed: so does the build.
        """
        result, steps = self.run_with()
        self.assertEqual(result, Result.SUCCESS)
        self.assertEqual([name for name, _ in steps], ["one", "two", "three", "last"])

    def test_halt(self) -> None:
        """
        A step with haltOnFailure ends the build, but for what always runs.
        """
        result, steps = self.run_with(one=1)
        self.assertEqual(result, Result.FAILURE)
        self.assertEqual(steps, [("one", Result.FAILURE), ("last", Result.SUCCESS)])

    def test_warn(self) -> None:
        """
        A failure that only warns gives the build warnings, and the rest is run.
        """
        result, steps = self.run_with(two=1)
        self.assertEqual(result, Result.WARNINGS)
        self.assertEqual(steps[1], ("two", Result.FAILURE))
        self.assertEqual(len(steps), 4)

    def test_fail(self) -> None:
        """
        An ordinary failure makes the build a failure and stops nothing.
        """
        result, steps = self.run_with(three=1)
        self.assertEqual(result, Result.FAILURE)
        self.assertEqual(steps[-1], ("last", Result.SUCCESS))

    def test_exception(self) -> None:
        """
        A step whose code raises ends the build with EXCEPTION, and says so in a log of its own.
        """
        stage = Stage(
            ONE
            + """
class Bad(steps.BuildStep):
    name = "bad"
    async def run(self):
        raise ValueError("oh")
c["builders"][0].factory.addStep(Bad())
"""
        )
        stage.attach(slave=FakeSlave(behaviour=succeeding))
        request = stage.submit()
        self.assertEqual(stage.request(request).result, Result.EXCEPTION)
        self.assertEqual(stage.steps(request)[-1], ("bad", Result.EXCEPTION))
        (build,) = stage.builds(request)
        names = [row.name for row in stage.read(lambda c: streams.of_build(c, build.id))]
        self.assertEqual(names, ["traceback"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)


class SecretTests(SynchronousTestCase):
    """
    What commands are told.
    """

    def test_later_commands_mask_too(self) -> None:
        """
        Invariant I7: a secret that one command was told is masked in what later commands of the build print.
        """
        directory = tempfile.mkdtemp()
        descriptor = os.open(os.path.join(directory, "token"), os.O_WRONLY | os.O_CREAT, 0o600)
        os.write(descriptor, b"hunter2hunter2")
        os.close(descriptor)
        stage = Stage(
            ONE.replace('command=["run", "two"]', 'command=["run", "two"], env={"TOKEN": util.Secret("token")}')
            + f"c['secretsProviders'] = [secrets.SecretInAFile({directory!r})]"
        )
        slave = stage.attach(slave=FakeSlave(behaviour=succeeding))
        stage.submit()
        told = [dict(given.secrets) for given in slave.given]
        self.assertEqual(told, [{}, *[{"token": "hunter2hunter2"}] * 3])
        self.assertNotIn("hunter2", repr([given.spec for given in slave.given]))


CARELESS = """
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


class VeilTests(SynchronousTestCase):
    """
    What the master writes itself.
    """

    def test_text_of_ours(self) -> None:
        """
        Promise 19: a value that a step came by in its own ways is in no traceback, remark, summary, property or log.
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

        stage = Stage(ONE + "import os\n" + CARELESS.replace("PATH", repr(path)))
        stage.attach(slave=FakeSlave(behaviour=succeeding))
        request = stage.submit()

        self.assertEqual(stage.steps(request)[-2:], [("careless", Result.SUCCESS), ("worse", Result.EXCEPTION)])
        self.assertIn("ValueError: **************", "".join(logged))
        self.assertNotIn("hunter2", "".join(logged))
        self.assertEqual(len(self.flushLoggedErrors()), 0)
        records = []
        for table in ("buildsets", "builds", "steps", "journal", "streams", "remarks", "feed"):
            records += stage.read(lambda c, t=table: c.exec_driver_sql(f"select * from {t}").fetchall())
        self.assertIn("**************", repr(records))
        self.assertNotIn("hunter2", repr(records))
        for directory, _, files in os.walk(stage.basedir):
            for name in files:
                with open(os.path.join(directory, name), "rb") as written:
                    self.assertNotIn(b"hunter2", written.read(), name)


class StopTests(SynchronousTestCase):
    """
    Ending a build before its time.
    """

    def setUp(self) -> None:
        self.stage = Stage(ONE)
        self.slave = self.stage.attach()
        self.request = self.stage.submit()

    def cancel(self) -> None:
        """
        As an admin would.
        """
        self.stage.done(self.stage.farm.submissions.cancel_request(self.request, "enough"))
        self.stage.settle()

    def test_cancel(self) -> None:
        """
        The command is interrupted; of the rest only what always runs is run; the request ends CANCELLED.
        """
        self.cancel()
        (given,) = self.slave.given
        self.assertEqual(self.slave.interrupted, [(given.id, "enough")])
        self.slave.behaviour = succeeding
        given.end(ending=Ending.KILLED, why=Why.INTERRUPTED)
        self.stage.settle()
        self.assertEqual(self.stage.request(self.request).result, Result.CANCELLED)
        self.assertEqual(self.stage.steps(self.request), [("one", Result.CANCELLED), ("last", Result.SUCCESS)])

    def test_cancelled_twice(self) -> None:
        """
        Invariant I6: nobody is told that it is cancelled before that is committed, whoever asked first.
        """
        with mock.patch.object(stage_module, "InlineWriter", lambda: KillableRecords(InlineWriter())):
            stage = Stage(ONE)
        records: Any = stage.records
        stage.attach()
        request = stage.submit()
        records.held = True
        told = [Deferred.fromCoroutine(stage.farm.running.stop(request, "not wanted")) for _ in range(2)]
        for each in told:
            self.assertNoResult(each)
        records.held = False
        records.commit(records.waiting)
        self.assertEqual([self.successResultOf(each) for each in told], [True, True])

    def test_cancel_then_restart(self) -> None:
        """
        Invariant I5: a master that died after the stop was recorded meets it again at the same step.
        """
        self.cancel()
        self.stage.restart()
        slave = self.stage.attach(held=self.slave.held())
        (given,) = self.slave.given
        self.assertEqual(slave.interrupted, [(given.id, "enough")])
        self.assertEqual(slave.given, [])

    def test_cancel_while_away(self) -> None:
        """
        A slave that is away hears of it when it is back.
        """
        self.slave.lose()
        self.cancel()
        back = self.stage.attach(held=self.slave.held())
        self.assertEqual([reason for _, reason in back.interrupted], ["enough"])

    def test_max_time(self) -> None:
        """
        A build that takes longer than its maxTime fails.
        """
        stage = Stage(ONE.replace('"bot1"], util.Build', '"bot1"], maxTime=60, factory=util.Build'))
        slave = stage.attach()
        request = stage.submit()
        stage.settle(61)
        self.assertEqual(len(slave.interrupted), 1)
        slave.behaviour = succeeding
        slave.given[0].end(ending=Ending.KILLED, why=Why.INTERRUPTED)
        stage.settle()
        self.assertEqual(stage.request(request).result, Result.FAILURE)
        self.assertIn("maxTime", stage.request(request).reason)


class RestartTests(SynchronousTestCase):
    """
    A master that dies at any moment.
    """

    def test_after_every_command(self) -> None:
        """
        Promise 7, Invariant I1: whenever the master dies, the same build goes on, and no command is given twice.
        """
        for ended_before in range(4):
            for kept in (False, True):
                with self.subTest(ended_before=ended_before, kept=kept):
                    self.check(ended_before, kept=kept)

    def check(self, ended_before: int, *, kept: bool) -> None:
        """
        The master dies when *ended_before* commands have ended; the slave has the next one, or never got it.
        """
        stage = Stage(ONE)
        slave = stage.attach()
        request = stage.submit()
        for number in range(ended_before):
            slave.given[number].end(0)
            stage.settle()
        running = slave.given[ended_before]
        stage.restart()
        held = slave.held()[-1:] if kept else ()
        again = stage.attach(held=held)
        if kept:
            self.assertEqual([id for id, _ in again.resumed], [running.id])
            self.assertEqual(again.given, [])
            again.given.append(running)
            again.behaviour = succeeding
            live = stage.farm.slaves.session("bot1")
            self.assertEqual(tuple(live.live_ids), (running.id,))
            command = live._core.commands[running.id]
            running.command = command
            running.end(0)
        else:
            self.assertEqual([given.id for given in again.given], [running.id])
            again.behaviour = succeeding
            again.given[0].end(0)
        stage.settle()
        self.assertEqual(stage.request(request).result, Result.SUCCESS)
        self.assertEqual(len(stage.builds(request)), 1)
        ids = [given.id for given in slave.given[:-1]] + [given.id for given in again.given]
        self.assertEqual(len(ids), len(set(ids)))
        self.assertEqual(len(stage.steps(request)), 4)

    def test_log_goes_on(self) -> None:
        """
        Invariant I2: a new master asks for the log from where the old one's ended.
        """
        stage = Stage(ONE)
        slave = stage.attach()
        stage.submit()
        self.assertEqual(slave.given[0].write(b"hello "), 6)
        stage.restart()
        again = stage.attach(held=slave.held())
        self.assertEqual(again.resumed, [(slave.given[0].id, {"stdio": 6})])

    def test_log_that_was_not_noted(self) -> None:
        """
        Promise 3.5, Invariant I3: a master that is killed while its database is locked could not note that there is a
        log; its bytes are here and are not sent again, and the next master notes it all the same.
        """
        stage = Stage(ONE)
        slave = stage.attach()
        request = stage.submit()
        running = slave.given[0]
        running.write(b"hello ")
        [build] = stage.builds(request)
        stage.records.write(lambda connection: connection.execute(schema.streams.delete()))  # type: ignore[unused-awaitable]  # at once
        stage.restart()
        again = stage.attach(slave=FakeSlave(), held=slave.held())
        running.command = stage.farm.slaves.session("bot1")._core.commands[running.id]
        running.end(0, streams={"stdio": b"hello "})
        stage.settle()
        self.assertEqual(again.resumed, [(running.id, {"stdio": 6})])
        noted = stage.read(lambda connection: streams.of_build(connection, build.id))
        self.assertEqual([(each.name, each.length) for each in noted], [("stdio", 6)])

    def test_changed_program(self) -> None:
        """
        A build goes on with the configuration that it began with, whatever master.cfg says by now.
        """
        stage = Stage(ONE)
        slave = stage.attach()
        request = stage.submit()
        stage.configure(ONE.replace('["run", "two"]', '["something", "else"]'))
        stage.restart()
        again = stage.attach(slave=FakeSlave(behaviour=succeeding), held=slave.held()[:0])
        self.assertEqual([given.spec.argv for given in again.given][1], ("run", "two"))  # type: ignore[union-attr]  # they run
        self.assertEqual(stage.request(request).result, Result.SUCCESS)

    def check_abandoned(self, stage: Stage, slave: FakeSlave, request: int) -> None:
        """
        A second attempt begins only when the slave was told to forget the first one's command.
        """
        self.assertEqual([build.finished for build in stage.builds(request)], [None])
        back = stage.attach(held=slave.held())
        self.assertEqual(back.disowned, [slave.given[0].id])
        stage.settle(3)
        first, second = stage.builds(request)
        self.assertEqual(first.result, Result.RETRY)
        self.assertIsNone(second.finished)

    def test_begun_while_reconfigured(self) -> None:
        """
        Promise 3.4: the configuration of a build that begins while another is being recorded is kept until it ends.
        """
        with mock.patch.object(stage_module, "InlineWriter", lambda: KillableRecords(InlineWriter())):
            stage = Stage(ONE)
        records: Any = stage.records
        stage.attach()
        stage.farm.hold.begin()
        request = stage.submit()
        stage.configure(ONE + "c['title'] = 'another'")
        records.held = True
        reconfigured = Deferred.fromCoroutine(stage.farm.reconfiguration.apply())
        stage.farm.hold.end()
        stage.settle()
        records.held = False
        records.commit(records.waiting)
        stage.settle()
        self.successResultOf(reconfigured)
        (build,) = stage.builds(request)
        self.assertIn(build.generation, os.listdir(os.path.join(stage.basedir, "private", "generations")))
        stage.restart()
        stage.attach(slave=FakeSlave(behaviour=succeeding))
        self.assertEqual(len(stage.builds(request)), 1)
        self.assertIs(stage.request(request).result, Result.SUCCESS)

    def test_unloadable_configuration(self) -> None:
        """
        Invariant I8: a build whose configuration cannot be loaded any more is tried again, but not beside itself.
        """
        stage = Stage("import os\n" + ONE + "\nassert not os.path.exists(basedir + '/broken')\n")
        slave = stage.attach()
        request = stage.submit()
        open(os.path.join(stage.basedir, "broken"), "w", encoding="utf-8").close()
        stage.configure(ONE)
        stage.restart()
        self.check_abandoned(stage, slave, request)

    def test_lost_configuration(self) -> None:
        """
        Promise 6.19: a build whose configuration's text was lost, or damaged, is tried again, but not beside itself.
        """
        for text in (None, "[1"):
            stage = Stage(ONE)
            slave = stage.attach()
            request = stage.submit()
            (name,) = os.listdir(os.path.join(stage.basedir, "private", "generations"))
            path = os.path.join(stage.basedir, "private", "generations", name)
            os.unlink(path)
            if text is not None:
                with open(path, "w", encoding="ascii") as file:
                    file.write(text)
            stage.configure(ONE + "c['title'] = 'another'")
            stage.restart()
            self.check_abandoned(stage, slave, request)

    def test_text_let_go(self) -> None:
        """
        Promise 6.19: the text of an earlier configuration is there as long as a build that began with it runs, and not
        after the next start or `reconfig`.
        """
        stage = Stage(ONE)
        slave, directory = stage.attach(), os.path.join(stage.basedir, "private", "generations")
        stage.submit()
        (old,) = os.listdir(directory)
        stage.configure(ONE + "c['title'] = 'another'")
        stage.done(stage.farm.reconfiguration.apply())
        self.assertIn(old, os.listdir(directory))
        slave.behaviour = succeeding
        for each in range(4):
            slave.given[each].end(0)
            stage.settle()
        stage.done(stage.farm.reconfiguration.apply())

        self.assertEqual(len(os.listdir(directory)), 1)
        self.assertNotIn(old, os.listdir(directory))

    def test_other_program(self) -> None:
        """
        Invariant I8: a build whose program asks for something else than before is tried again, but not beside itself.
        """
        changing = """
import os
class Changing(steps.BuildStep):
    async def run(self):
        words = ("second" if os.path.exists(basedir + "/second") else "first",)
        return (await self.execute(words)).outcome.succeeded and 0 or 2
"""
        stage = Stage(
            changing
            + ONE.replace('steps.ShellCommand(name="one", command=["run", "one"], haltOnFailure=True)', "Changing()")
        )
        slave = stage.attach()
        request = stage.submit()
        open(os.path.join(stage.basedir, "second"), "w", encoding="utf-8").close()
        stage.restart()
        self.check_abandoned(stage, slave, request)
        self.assertIn("entry 0.0 of its journal", stage.builds(request)[0].reason)

    def test_lease_of_what_is_abandoned(self) -> None:
        """
        Invariant I8: when the slave does not come back, the second attempt waits until the lease has run out.
        """
        stage = Stage("import os\n" + ONE + "\nassert not os.path.exists(basedir + '/broken')\n")
        stage.attach()
        request = stage.submit()
        open(os.path.join(stage.basedir, "broken"), "w", encoding="utf-8").close()
        stage.configure(ONE)
        stage.restart()
        stage.settle(1829)
        self.assertIsNone(stage.builds(request)[0].finished)
        stage.settle(2)
        self.assertEqual(stage.builds(request)[0].result, Result.RETRY)

    def test_secret_is_looked_up_first(self) -> None:
        """
        A resumed command is known to its session before any slave is answered, however long its secrets take.
        """
        stage = Stage(ONE)
        slave = stage.attach()
        stage.submit()
        stage.restart()
        self.assertEqual(tuple(stage.farm.slaves.session("bot1").live_ids), (slave.given[0].id,))

    def test_step_that_never_catches_up(self) -> None:
        """
        A build that waits for something outside its journal keeps a new master from opening for a minute at most.
        """
        waiting = """
from twisted.internet.defer import Deferred
class Waiting(steps.BuildStep):
    async def run(self):
        await Deferred()
"""
        stage = Stage(
            waiting
            + ONE.replace('steps.ShellCommand(name="one", command=["run", "one"], haltOnFailure=True)', "Waiting()")
        )
        stage.attach()
        stage.submit()
        stage.farm = stage._farm(load(stage.basedir))
        started = Deferred.fromCoroutine(stage.farm.start())
        self.assertNoResult(started)
        stage.settle(60)
        self.successResultOf(started)


class LazyRecords(InlineWriter):
    """
    Records in which what nobody waits for is written with what somebody waits for, as in the real ones.
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


class HeldTests(SynchronousTestCase):
    """
    Outcomes that are committed with what comes next.
    """

    def stage(self, text: str) -> Stage:
        with mock.patch.object(stage_module, "InlineWriter", LazyRecords):
            return Stage(text)

    def records(self, stage: Stage) -> LazyRecords:
        assert isinstance(stage.records, LazyRecords)
        return stage.records

    def test_commits(self) -> None:
        """
        A build of one command takes four commits: asked for, begun, intended, ended; one more for each more command.
        """
        more = 'util.BuildFactory([steps.ShellCommand(name="zero", command=["run", "zero"]),'
        for text, commits in ((ONE, 7), (ONE.replace("util.BuildFactory([", more), 8)):
            stage = self.stage(text)
            slave = stage.attach(slave=FakeSlave(behaviour=succeeding))
            before = self.records(stage).writes
            request = stage.submit()
            self.assertIs(stage.request(request).result, Result.SUCCESS)
            self.assertEqual(self.records(stage).writes - before, commits)
            self.assertEqual(slave.disowned, [])

    def test_forgotten_when_committed(self) -> None:
        """
        Invariant I4: the slave may forget a command only when its outcome is committed, however far the build is.
        """
        stage = self.stage(TELLING)
        slave = stage.attach()
        stage.submit()
        told = slave.given[0].end(0)
        stage.settle()
        self.assertEqual((len(slave.given), told), (1, []))
        self.records(stage).notes.clear()
        stage.restart()
        again = stage.attach(held=slave.held())
        self.assertEqual([id for id, _ in again.resumed], [slave.given[0].id])
        self.assertEqual(again.disowned, [])

    def test_text(self) -> None:
        """
        Invariant I6: what a step writes is seen when the outcome that it may tell of is committed; and it is all there.
        """
        stage = self.stage(TELLING)
        slave = stage.attach()
        stage.submit()
        slave.given[0].end(0)
        self.assertFalse(os.path.exists(os.path.join(stage.basedir, "streams", "0", "1", "0-1-told")))
        self.records(stage).flush()
        with open(os.path.join(stage.basedir, "streams", "0", "1", "0-1-told")) as file:
            self.assertEqual(file.read(), "EXITED, says one")
        stage.settle()
        self.assertEqual(len(slave.given), 2)
        self.records(stage).flush()
        told = [row for row in stage.read(lambda c: streams.of_build(c, 1)) if row.name == "told"]
        self.assertEqual([row.length for row in told], [len("EXITED, says one")])


TELLING = """
class Telling(steps.BuildStep):
    async def run(self):
        ran = await self.execute(["run", self.name])
        self.bench.write("told", ran.outcome.ending.name + ", says " + self.name)
        return util.SUCCESS
c["slaves"] = [slave.BuildSlave("bot1")]
c["builders"] = [util.BuilderConfig("b", ["bot1"], util.BuildFactory([Telling(name="one"), Telling(name="two")]))]
c["schedulers"] = [schedulers.Submit("go", ["b"])]
"""


class UploadTests(SynchronousTestCase):
    """
    Artifacts.
    """

    def test_the_same_name_twice(self) -> None:
        """
        Invariant I2: a second upload to the same name touches the first only when it is whole; then it replaces it.
        """
        upload = 'steps.FileUpload(slavesrc="out", masterdest="out")'
        stage = Stage(ONE.replace("util.BuildFactory([", f"util.BuildFactory([{upload}, {upload}, {upload}, "))
        slave = stage.attach()
        request = stage.submit()
        before = b""
        for number, text in enumerate((b"the first", b"another, longer one", b"")):
            given = slave.given[number]
            path = os.path.join(stage.basedir, "artifacts", "b", "1", "out")
            if number:
                given.write(text[:5], "artifact")
                with open(path, "rb") as file:
                    self.assertEqual(file.read(), before)
                stage.restart()
                stage.attach(slave=slave, held=[HeldCommand(given.id, fingerprint(given.spec), Life.RUNNING)])
                self.assertEqual(slave.resumed[-1], (given.id, {"artifact": 5} if text else {}))
            given.write(text, "artifact")
            self.assertEqual(given.end(streams={"artifact": text}), [()])
            with open(path, "rb") as file:
                self.assertEqual(file.read(), text)
            before = text
        self.assertEqual([result for _, result in stage.steps(request)][:3], [Result.SUCCESS] * 3)
        self.assertEqual(os.listdir(os.path.dirname(path)), ["out"])

    def test_names_like_ours(self) -> None:
        """
        Promise 6.17: no name of an artifact is that of another on its way: both are there in the end.
        """
        names = ("app.partial", "app~1.partial", "app", ".incoming/1-0-0", "app~1")
        uploads = ", ".join(f'steps.FileUpload(slavesrc="x", masterdest={name!r})' for name in names)
        stage = Stage(ONE.replace("util.BuildFactory([", f"util.BuildFactory([{uploads}, "))
        slave = stage.attach()
        stage.submit()
        for number, name in enumerate(names):
            slave.given[number].write(name.encode(), "artifact")
            stage.restart()
            held = [HeldCommand(slave.given[number].id, fingerprint(slave.given[number].spec), Life.RUNNING)]
            stage.attach(slave=slave, held=held)
            self.assertEqual(slave.resumed[-1][1], {"artifact": len(name)})
            self.assertEqual(slave.given[number].end(streams={"artifact": name.encode()}), [()])

        for name in names:
            with open(os.path.join(stage.basedir, "artifacts", "b", "1", name), encoding="ascii") as file:
                self.assertEqual(file.read(), name)


class StrayTests(SynchronousTestCase):
    """
    Steps that do not wait for what they began.
    """

    def test_left_running(self) -> None:
        """
        What a step left running is interrupted when it ends, and the build waits for that.
        """
        stage = Stage(
            """
from twisted.internet.defer import Deferred
class Careless(steps.BuildStep):
    name = "careless"
    async def run(self):
        Deferred.fromCoroutine(self.execute(["run", "forgotten"])).addErrback(lambda failure: None)
        return 0
"""
            + ONE.replace('steps.ShellCommand(name="one", command=["run", "one"], haltOnFailure=True)', "Careless()")
        )
        slave = stage.attach()
        request = stage.submit()
        self.assertEqual([reason for _, reason in slave.interrupted], ["its step has ended"])
        self.assertEqual(stage.steps(request), [("careless", None)])
        slave.behaviour = succeeding
        slave.given[0].end(ending=Ending.KILLED, why=Why.INTERRUPTED)
        stage.settle()
        self.assertEqual(stage.request(request).result, Result.SUCCESS)

    def test_retry(self) -> None:
        """
        A step whose result is RETRY ends the build, which is tried again.
        """
        stage = Stage(ONE.replace('command=["run", "one"]', 'command=["run", "one"], decodeRC={75: util.RETRY}'))
        stage.attach(slave=FakeSlave(behaviour=scripted({"one": 75})))
        request = stage.submit()
        self.assertEqual(stage.builds(request)[0].result, Result.RETRY)
        self.assertEqual(stage.steps(request)[0], ("one", Result.RETRY))
        self.assertEqual([name for name, _ in stage.steps(request)], ["one", "last"])


class LostTests(SynchronousTestCase):
    """
    Slaves that do not come back, or not as they were.
    """

    def setUp(self) -> None:
        self.stage = Stage(ONE)
        self.slave = self.stage.attach()
        self.request = self.stage.submit()

    def test_blip(self) -> None:
        """
        A lost link is no event in a build's life.
        """
        self.slave.lose()
        back = self.stage.attach(held=self.slave.held())
        self.assertEqual([id for id, _ in back.resumed], [self.slave.given[0].id])
        self.assertEqual(len(self.stage.builds(self.request)), 1)
        self.assertIsNone(self.stage.builds(self.request)[0].finished)

    def test_grace(self) -> None:
        """
        After its grace and half a minute the slave is lost: RETRY, with the reason; when it is back, it disowns.
        """
        self.slave.lose()
        self.stage.settle(1800 + 29)
        self.assertIsNone(self.stage.builds(self.request)[0].finished)
        self.stage.settle(2)
        (build,) = self.stage.builds(self.request)
        self.assertEqual(build.result, Result.RETRY)
        self.assertIn("grace", build.reason)
        back = self.stage.attach(held=self.slave.held())
        self.assertEqual(back.disowned, [self.slave.given[0].id])

    def test_lost_while_it_is_cancelled(self) -> None:
        """
        What is lost while its cancelling is being recorded is not done again.
        """
        writes: list[tuple[Any, Deferred[Any]]] = []
        really = self.stage.records.write

        def slowly(change: Any) -> Deferred[Any]:
            writes.append((change, Deferred()))
            return writes[-1][1]

        with mock.patch.object(self.stage.records, "write", slowly):
            stopping = Deferred.fromCoroutine(self.stage.farm.running.stop(self.request, "not wanted any more"))
            self.slave.lose()
            self.stage.farm.slaves.session("bot1")._core.lose_all("gone")
            while writes:
                change, done = writes.pop(0)
                really(change).chainDeferred(done)  # type: ignore[unused-awaitable]  # *done* has it
        self.stage.settle()
        self.assertTrue(self.successResultOf(stopping))
        self.assertEqual(self.stage.request(self.request).result, Result.CANCELLED)

    def test_cancelled_while_its_loss_is_recorded(self) -> None:
        """
        What is cancelled in the moment in which its retry is being recorded is cancelled.
        """
        really, held = self.stage.records.write, []

        def slowly(change: Any) -> Deferred[Any]:
            held.append((change, Deferred[Any]()))
            return held[-1][1]

        self.slave.lose()
        with mock.patch.object(self.stage.records, "write", slowly):
            self.stage.farm.slaves.session("bot1")._core.lose_all("gone")
            change, done = held.pop(0)  # the outcome; the end of the build is next
            really(change).chainDeferred(done)  # type: ignore[unused-awaitable]  # *done* has it
            stopping = Deferred.fromCoroutine(self.stage.farm.running.stop(self.request, "not wanted any more"))
            while held:
                change, done = held.pop(0)
                really(change).chainDeferred(done)  # type: ignore[unused-awaitable]  # *done* has it
        self.stage.settle(10)
        self.assertTrue(self.successResultOf(stopping))
        self.assertEqual(self.stage.request(self.request).result, Result.CANCELLED)
        self.assertEqual(len(self.stage.builds(self.request)), 1)

    def test_cancelled_while_it_begins(self) -> None:
        """
        What is cancelled while the beginning of its build is being recorded is cancelled.
        """
        stage = Stage(ONE)
        request = stage.submit()
        really, held = stage.records.write, list[tuple[Any, Deferred[Any]]]()

        def slowly(change: Any) -> Deferred[Any]:
            held.append((change, Deferred()))
            return held[-1][1]

        with mock.patch.object(stage.records, "write", slowly):
            slave = stage.attach()
            stopping = Deferred.fromCoroutine(stage.farm.running.stop(request, "not wanted any more"))
            self.assertNoResult(stopping)
            while held:
                change, done = held.pop(0)
                really(change).chainDeferred(done)  # type: ignore[unused-awaitable]  # *done* has it
        stage.settle()
        self.assertTrue(self.successResultOf(stopping))
        for given in slave.given:
            given.end(ending=Ending.KILLED, why=Why.INTERRUPTED)
        stage.settle()
        self.assertEqual(stage.request(request).result, Result.CANCELLED)

    def test_revoked_while_it_begins(self) -> None:
        """
        Promise 3.17: revoked with --cancel while the beginning of its build is being recorded, a request is cancelled:
        whether it was the slave's string, or that with which it was asked for.
        """
        for verb, name in ((verbs.SLAVE, "bot1"), (verbs.SUBMIT, "go")):
            for kill in {False, verb == verbs.SLAVE}:
                with mock.patch.object(stage_module, "InlineWriter", lambda: KillableRecords(InlineWriter())):
                    stage = Stage(ONE)
                records: Any = stage.records
                slave = stage.attach()
                grant, string = stage.farm.grants.of(verb, name), stage.farm.grants.of(verbs.SUBMIT, "go")
                assert grant is not None
                assert string is not None
                stage.farm.hold.begin()
                request = stage.submit(by_grant=string.id)
                records.held = True
                stage.farm.hold.end()
                stage.settle()
                revoking = Deferred.fromCoroutine(stage.farm.revocation.revoke(grant, kill=kill, cancel=True))
                records.held = False
                records.commit(records.waiting)
                stage.settle()
                for given in slave.given:
                    given.end(ending=Ending.KILLED, why=Why.INTERRUPTED)
                stage.settle(11)
                self.successResultOf(revoking)
                self.assertIs(stage.request(request).result, Result.CANCELLED, (verb, kill))

    def test_what_had_started(self) -> None:
        """
        Promise 8: before a build is done again, the commands that had started are listed.
        """
        self.slave.given[0].end(0)
        self.stage.settle()
        self.slave.lose()
        self.stage.attach(home="home-2")
        (build,) = self.stage.builds(self.request)
        rows = self.stage.read(lambda connection: remarks.of_build(connection, build.id))
        self.assertIn("these had started: $ run one; $ run two", [row.text for row in rows])

    def test_other_directory(self) -> None:
        """
        A slave that comes back with another directory has lost what ran in the old one.
        """
        self.slave.lose()
        self.stage.attach(home="home-2")
        self.assertEqual(self.stage.builds(self.request)[0].result, Result.RETRY)

    def test_retries_used_up(self) -> None:
        """
        A request is retried maxRetries times, then ends EXCEPTION with the reasons.
        """
        for attempt in range(4):
            self.slave.lose()
            self.slave = self.stage.attach(home=f"home-{attempt + 2}")
            self.stage.settle(301)
        request = self.stage.request(self.request)
        self.assertEqual(request.result, Result.EXCEPTION)
        self.assertEqual(len(self.stage.builds(self.request)), 4)
        self.assertIn("gave up after 3 retries", request.reason)
        self.assertIn("another directory", request.reason)

    def test_never_again(self) -> None:
        """
        Promise 8: a builder with onLost="fail" waits for its slave however long it is away, and takes the result.
        """
        stage = Stage(ONE.replace("util.BuildFactory([", "onLost='fail', factory=util.BuildFactory(["))
        slave = stage.attach()
        request = stage.submit()
        self.assertIsNone(slave.given[0].spec.grace)  # type: ignore[union-attr]  # they run
        slave.lose()
        stage.settle(1_000_000)
        back = stage.attach(slave=FakeSlave(given=slave.given, behaviour=succeeding), held=slave.held())
        back.given[0].end(0)
        stage.settle()
        (build,) = stage.builds(request)
        self.assertEqual(build.result, Result.SUCCESS)

    def test_never_again_although_lost(self) -> None:
        """
        Promise 8: when it comes back without the command, the step is an EXCEPTION and nothing is done again; a step's
        own onLost counts more.
        """
        for own, results in (("", [Result.EXCEPTION]), (", onLost='retry'", [Result.RETRY, None])):
            text = ONE.replace("util.BuildFactory([", "onLost='fail', factory=util.BuildFactory([")
            stage = Stage(text.replace("haltOnFailure=True", f"haltOnFailure=True{own}"))
            slave = stage.attach()
            request = stage.submit()
            slave.lose()
            lost = tuple(evolve(held, life=Life.LOST) for held in slave.held())
            stage.attach(slave=FakeSlave(behaviour=succeeding if not own else lambda given: None), held=lost)
            stage.settle(3)
            self.assertEqual([build.result for build in stage.builds(request)], results)

    def test_give_up(self) -> None:
        """
        An admin's word that the machine is gone retries at once.
        """
        self.slave.lose()
        self.stage.farm.slaves.session("bot1").give_up("the admin says so")
        self.stage.settle()
        self.assertEqual(self.stage.builds(self.request)[0].reason, "the admin says so")
