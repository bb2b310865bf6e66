"""
Steps of a configuration's own that were written for Buildbot, in both styles.
"""

from collections.abc import Generator, Iterator
from typing import Any, ClassVar

from twisted.internet.defer import CancelledError, Deferred, fail, inlineCallbacks, succeed
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import ConfigError
from buildbot_lite.master.builds.build_context import MOST_STEPS
from buildbot_lite.master.steps import (
    BuildStep,
    Compile,
    MasterShellCommand,
    PyFlakes,
    PyLint,
    SetPropertyFromCommand,
    ShellCommand,
    ShellSequence,
    Sphinx,
    SubunitShellCommand,
    TreeSize,
    Trial,
)
from buildbot_lite.master.steps.mixins import CommandMixin, ShellMixin
from buildbot_lite.master.steps.own_logs import BufferLogObserver, LineConsumerLogObserver, LogLineObserver
from buildbot_lite.master.steps.sequence import ShellArg
from buildbot_lite.master.steps.step import BuildStepFailed
from buildbot_lite.model.results import Result
from buildbot_lite.testing import command, replay, run


class GenerateStages(ShellMixin, BuildStep):
    """
    Runs a program, and adds a step for each line of its output.
    """

    def __init__(self, **kwargs: Any) -> None:
        kwargs = self.setupShellMixin(kwargs, prohibitArgs=["usePTY"])
        super().__init__(**kwargs)
        self.observer = BufferLogObserver()
        self.addLogObserver("stdio", self.observer)

    @inlineCallbacks
    def run(self) -> Generator[Any, Any, Any]:  # type: ignore[override]  # a Deferred can be awaited as well
        cmd = yield self.makeRemoteShellCommand()
        yield self.runCommand(cmd)
        if not cmd.didFail():
            names = self.observer.getStdout().split()
            self.build.addStepsAfterLastStep([ShellCommand(command=["end"])])
            self.build.addStepsAfterCurrentStep([ShellCommand(name=name, command=["do", name]) for name in names])
        return cmd.results()


class Counter(LogLineObserver):
    """
    Counts lines of both kinds.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []

    def outLineReceived(self, line: str) -> None:
        self.lines.append(f"o{line}")

    def errLineReceived(self, line: str) -> None:
        self.lines.append(f"e{line}")


class NewStyleTests(SynchronousTestCase):
    """
    Promise 8.6: steps with ``run``, which yield or await.
    """

    def test_too_many_steps(self) -> None:
        """
        A step that adds steps without end is refused, and no more of them are made than a build may have.
        """
        for method in ("addStepsAfterCurrentStep", "addStepsAfterLastStep"):
            made: list[int] = []

            def endless(made: list[int] = made) -> Iterator[BuildStep]:
                same = ShellCommand(command=["x"])
                while True:
                    made.append(1)
                    yield same

            class Adding(BuildStep):
                async def run(self) -> Result:
                    getattr(self.build, method)(endless())  # noqa: B023 - it runs in this turn
                    return Result.SUCCESS

            with self.subTest(method):
                ran = run(Adding())
                self.assertIs(ran.result, Result.EXCEPTION)
                self.assertTrue(any(f"more than {MOST_STEPS} steps" in each for each in ran.remarks), ran.remarks)
                self.assertEqual(len(made), MOST_STEPS + 1)
                self.flushLoggedErrors()

    def test_result_so_far(self) -> None:
        """
        Promise 8.6: build.results is the worst result of the steps that ended, as they count for the build.
        """
        seen: list[Result] = []

        class Looking(BuildStep):
            async def run(self) -> Result:
                seen.extend([self.build.results, self.build.result])
                return Result.SUCCESS

        class Warned(BuildStep):
            async def run(self) -> Result:
                self.build.addStepsAfterCurrentStep([Looking(name="after")])
                seen.append(self.build.results)
                return Result.WARNINGS

        run(Warned())
        self.assertEqual(seen, [Result.SUCCESS, Result.WARNINGS, Result.WARNINGS])

    def test_yield(self) -> None:
        """
        A step that yields runs its command once, and the steps that it adds run in their order, whenever the master
        crashes.
        """
        answers = [
            command("list").exits(0, "a b\n"),
            command("do a"),
            command("do b"),
            command("end"),
        ]
        ran = replay(GenerateStages(command=["list"]), *answers)
        self.assertEqual(ran.ended.result, Result.SUCCESS)
        failed = replay(GenerateStages(command=["list"]), command("list").exits(3))
        self.assertEqual((failed.result, failed.summary), (Result.FAILURE, "exit code 3"))
        with self.assertRaisesRegex(ConfigError, "usePTY"):
            GenerateStages(command=["list"], usePTY=True)

    def test_log_of_a_command(self) -> None:
        """
        The output of a command gets into the log that stdioLogName names, instead of stdio, and its observers; None:
        into stdio, and no observer has it.
        """
        rows: list[tuple[dict[str, Any], dict[str, str], dict[str, list[str]]]] = [
            ({}, {"stdio": "text\n"}, {"stdio": ["otext"], "own": []}),
            ({"stdioLogName": "stdio"}, {"stdio": "text\n"}, {"stdio": ["otext"], "own": []}),
            ({"stdioLogName": "own"}, {"own": "text\n"}, {"stdio": [], "own": ["otext"]}),
            ({"stdioLogName": None, "collectStdout": True}, {"stdio": "text\n"}, {"stdio": [], "own": []}),
        ]
        for given, logs, observed in rows:
            counters = {name: Counter() for name in observed}

            class Own(ShellMixin, BuildStep):
                async def run(self) -> Result:
                    for name, counter in counters.items():  # noqa: B023 - it runs in this turn
                        counter.lines.clear()
                        self.addLogObserver(name, counter)
                    cmd = await self.makeRemoteShellCommand(command=["ask"], **given)  # noqa: B023
                    await self.runCommand(cmd)
                    log = given.get("stdioLogName", "stdio")  # noqa: B023
                    assert set(cmd.logs) == {"stderr", log} - {None}
                    assert log is None or cmd.logs[log].getText() == "text\n"
                    assert cmd.stdout == "text\n"
                    return cmd.results()

            with self.subTest(given):
                ran = replay(Own(), command("ask").exits(0, "text\n"))
                self.assertIs(ran.result, Result.SUCCESS)
                written = {name: text.decode() for name, text in ran.logs.items() if text}
                self.assertEqual(written, logs)
                self.assertEqual({name: counter.lines for name, counter in counters.items()}, observed)

        class Wrong(ShellMixin, BuildStep):
            wrong: Any = None

            async def run(self) -> Result:
                await self.makeRemoteShellCommand(command=["ask"], logfiles={"followed": "f"}, stdioLogName=self.wrong)
                return Result.SUCCESS

        for name, said in (("a/b", "cannot be the name of a log"), ("followed", "is also one of logfiles")):
            Wrong.wrong = name
            refused = run(Wrong())
            self.assertIs(refused.result, Result.EXCEPTION)
            self.assertTrue(any(said in each for each in refused.remarks), refused.remarks)
            self.flushLoggedErrors()

    def test_await(self) -> None:
        """
        Overrides of the arguments, exit code and collected output, with await.
        """

        class Own(ShellMixin, BuildStep):
            async def run(self) -> Result:
                cmd = await self.makeRemoteShellCommand(
                    command=["ask", 7], collectStdout=True, collectStderr=True, workdir="w", timeout=None
                )
                await self.runCommand(cmd)
                self.setProperty("found", [cmd.rc, cmd.stdout, cmd.stderr])
                log = await self.addLog("own")
                await log.addStdout("text\n")
                self.addCompleteLog("whole", b"bytes\n")
                self.addHTMLLog("page", "<p>")
                self.addURL("site", "https://example.org/")
                return cmd.results()

            def getResultSummary(self) -> dict[str, str]:
                return {"step": f"ended {self.results.name.lower()}"}

        ran = replay(Own(decodeRC={5: Result.WARNINGS}), command("ask 7").exits(5, "out\n", "err\n"))
        spec: Any = ran.asked[0].spec
        self.assertEqual((spec.timeout, spec.separate_stderr, spec.workdir.rpartition("/")[2]), (None, True, "w"))
        self.assertEqual(ran.properties["found"], [5, "out\n", "err\n"])
        self.assertEqual((ran.result, ran.summary), (Result.WARNINGS, "ended warnings"))
        self.assertEqual([ran.log(name) for name in ("own", "whole", "page")], ["text\n", "bytes\n", "<p>"])
        self.assertIn("site: https://example.org/", ran.remarks)

    def test_mistakes(self) -> None:
        """
        A command that is missing, and an argument that is none, end the step with a sentence.
        """

        class Own(ShellMixin, BuildStep):
            more: Any = None

            async def run(self) -> Result:
                await self.makeRemoteShellCommand(**self.more)
                return Result.SUCCESS

        for more, said in (({}, "needs a command"), ({"command": "a", "colour": 1}, "no argument 'colour'")):
            Own.more = more
            ran = run(Own())
            self.assertEqual(ran.result, Result.EXCEPTION)
            self.assertIn(said, ran.summary)

    def test_files(self) -> None:
        """
        Each method of CommandMixin runs its command; a failure ends the step, unless it is to be answered.
        """

        class Own(CommandMixin, BuildStep):
            @inlineCallbacks
            def run(self) -> Generator[Any, Any, Any]:  # type: ignore[override]  # as above
                found = [
                    (yield self.runMkdir("a/b")),
                    (yield self.pathExists("a")),
                    (yield self.runRmFile("x", abandonOnFailure=False)),
                    (yield self.runGlob("*.c")),
                    (yield self.getFileContentFromWorker("f")),
                ]
                self.setProperty("found", found)
                yield self.runRmdir("a", timeout=5)
                return Result.SUCCESS

        answers = [
            command("mkdir a/b"),
            command("test -e ./a").exits(1),
            command("rm -f ./x").exits(1),
            command("*glob '*.c'").exits(0, "b.c\0\na c.c\0\n"),
            command("cat ./f").exits(0, "text"),
            command("rmdir a").fails("It is busy."),
        ]
        ran = replay(Own(), *answers)
        self.assertEqual(ran.properties["found"], [True, False, False, ["a c.c", "b.c"], "text"])
        self.assertEqual((ran.result, ran.summary), (Result.FAILURE, "It is busy."))

    def test_order_of_bases(self) -> None:
        """
        The mixins may stand after BuildStep as well.
        """

        async def started(step: Any) -> Result:
            await step.runMkdir("a")
            await step.runCommand(await step.makeRemoteShellCommand(command=["b"]))
            return Result.SUCCESS

        own: Any = type("Own", (BuildStep, CommandMixin, ShellMixin), {"run": started})
        self.assertEqual(run(own(), command("mkdir a"), command("b")).result, Result.SUCCESS)

    def test_failed(self) -> None:
        """
        BuildStepFailed is FAILURE, with no traceback.
        """

        class Own(BuildStep):
            async def run(self) -> Result:
                raise BuildStepFailed

        ran = run(Own(name="own"))
        self.assertEqual((ran.result, ran.summary, ran.logs), (Result.FAILURE, "own", {}))

    def test_failed_without_summary(self) -> None:
        """
        When the step's summary cannot be made either, the step ends with EXCEPTION, and says why.
        """

        class Own(BuildStep):
            async def run(self) -> Result:
                raise BuildStepFailed

            def getResultSummary(self) -> dict[str, str]:
                raise KeyError("built")

        ran = run(Own(name="own"))
        self.assertEqual((ran.result, ran.summary), (Result.EXCEPTION, "KeyError: 'built'"))
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)


class StartedTests(SynchronousTestCase):
    """
    Promise 8.6: steps of Buildbot's first style, which begin with ``start``.
    """

    def test_finished(self) -> None:
        """
        The step ends with what it calls: finished at once or later, failed, or the answer SKIPPED of start.
        """

        class Old(BuildStep):
            ending: Any = None

            def start(self) -> Any:
                return type(self).ending(self)

        boom = Failure(ZeroDivisionError("boom"))
        rows: list[tuple[Any, Result]] = [
            (lambda step: step.finished(Result.WARNINGS), Result.WARNINGS),
            (lambda step: step.finished(2), Result.FAILURE),
            (lambda step: [step.finished(0), step.finished(2)], Result.SUCCESS),
            (lambda step: Result.SKIPPED, Result.SKIPPED),
            (lambda step: step.failed(boom), Result.EXCEPTION),
            (lambda step: fail(boom), Result.EXCEPTION),
            (lambda step: succeed(1).addCallback(lambda _: step.finished(0)), Result.SUCCESS),
        ]
        for ending, expected in rows:
            with self.subTest(expected):
                Old.ending = staticmethod(ending)
                self.assertIs(run(Old()).result, expected)
                self.flushLoggedErrors(ZeroDivisionError)

    def test_own_run(self) -> None:
        """
        A class whose own base calls start from its run is run by that.
        """

        class Base(BuildStep):
            async def run(self) -> Result:
                self.start()
                return Result.WARNINGS

        class Sub(Base):
            def start(self) -> None:
                pass

        self.assertIs(run(Sub()).result, Result.WARNINGS)

    def test_base(self) -> None:
        """
        A start that prepares the command and calls that of its base runs the base's step once, whenever the master
        crashes; the methods that look at the output are called.
        """

        class Old(ShellCommand):
            def start(self) -> None:
                self.setCommand(["make", self.getProperty("target")])
                ShellCommand.start(self)

            def createSummary(self, log: Any) -> None:
                self.setProperty("lines", log.readlines())

        class Derived(Old):
            def start(self) -> None:
                self.setProperty("target", "all")
                super().start()

        for code, result in ((0, Result.SUCCESS), (2, Result.FAILURE)):
            ran = replay(Derived(command="x"), command("make all").exits(code, "a\n"))
            self.assertEqual((ran.result, ran.properties["lines"]), (result, ["a\n"]))

    def test_callbacks(self) -> None:
        """
        A start that leaves callbacks behind, on commands that it runs, is replayed like any other step.
        """

        class Old(ShellMixin, BuildStep):
            def start(self) -> None:
                begun = self.makeRemoteShellCommand(command=["ask"]).addCallback(self.runCommand)
                _ = begun.addCallback(lambda cmd: self.finished(cmd.results())).addErrback(self.failed)

        ran = replay(Old(), command("ask").exits(5))
        self.assertEqual((ran.result, ran.summary), (Result.FAILURE, "exit code 5"))

    def test_new_style_of_old(self) -> None:
        """
        A run of the class itself, or of a subclass, is the one that is used.
        """

        class Old(BuildStep):
            def start(self) -> None:
                self.finished(Result.FAILURE)

        class New(Old):
            async def run(self) -> Result:
                return Result.WARNINGS

        class Both(BuildStep):
            def start(self) -> None:
                raise ValueError

            async def run(self) -> Result:
                return Result.WARNINGS

        for cls in (New, Both):
            self.assertIs(run(cls()).result, Result.WARNINGS)

    def test_stopped(self) -> None:
        """
        A step whose wait is cancelled cancels what its base began.
        """
        begun: list[Deferred[Any]] = []

        class Waiting(BuildStep):
            async def run(self) -> Result:
                begun.append(Deferred())
                return Result(await begun[0])

        class Old(Waiting):
            def start(self) -> None:
                super().start()

        running = Deferred.fromCoroutine(Old().run())
        running.cancel()
        self.failureResultOf(running, CancelledError)
        self.assertTrue(begun[0].called)


class OldStyleTests(SynchronousTestCase):
    """
    Promise 8.6: subclasses of shell steps that override Buildbot's older methods.
    """

    def test_hooks(self) -> None:
        """
        Each method is called with the command or the log, and evaluateCommand decides.
        """

        class Own(ShellCommand):
            least: Any
            parms: ClassVar[list[str]] = [*ShellCommand.parms, "least"]

            def commandComplete(self, cmd: Any) -> None:
                self.setStatistic("rc", cmd.rc)

            def createSummary(self, log: Any) -> None:
                self.addCompleteLog("lines", "".join(sorted(log.readlines())))
                self.setProperty("text", log.getText())

            def evaluateCommand(self, cmd: Any) -> Result:
                return Result.WARNINGS if self.getStatistic("rc") == int(self.least) else cmd.results()

        for code, result in ((3, Result.WARNINGS), (1, Result.FAILURE), (0, Result.SUCCESS)):
            ran = replay(Own(command=["x"], least=3), command("x").exits(code, "b\na\n"))
            self.assertEqual((ran.result, ran.log("lines"), ran.properties["text"]), (result, "a\nb\n", "b\na\n"))

    def test_observers(self) -> None:
        """
        Line observers see each line of the command, also of a Compile, and generators get them as pairs.
        """
        pairs: list[tuple[str, str]] = []

        def consume() -> Generator[Any, tuple[str, str], None]:
            for _ in range(2):
                pairs.append((yield))

        for cls in (ShellCommand, Compile):
            pairs.clear()

            class Own(cls):  # type: ignore[valid-type, misc]  # each in turn
                def __init__(self, **kwargs: Any) -> None:
                    super().__init__(**kwargs)
                    self.counter = Counter()
                    self.addLogObserver("stdio", self.counter)
                    self.addLogObserver("stdio", LineConsumerLogObserver(consume))
                    self.addFactoryArguments(x=1)

                def evaluateCommand(self, cmd: Any) -> Any:
                    self.setProperty("lines", self.counter.lines)
                    return None

            ran = run(Own(command=["x"], separateStderr=True), command("x").exits(0, "a\nb\n", "c\n"))
            self.assertEqual((ran.result, ran.properties["lines"]), (Result.SUCCESS, ["oa", "ob", "ec"]))
            self.assertEqual(pairs, [("o", "a"), ("o", "b")])

    def test_hooks_of_shipped_steps(self) -> None:
        """
        Every shipped step that runs one command calls the methods, and shows the output to observers.
        """
        arguments: dict[Any, dict[str, Any]] = {
            SetPropertyFromCommand: {"command": ["x"], "property": "found"},
            SubunitShellCommand: {"command": ["x"]},
            Trial: {"tests": "x"},
            Sphinx: {"sphinx_builddir": "x"},
            PyFlakes: {"command": ["x"]},
            PyLint: {"command": ["x"]},
            TreeSize: {},
            MasterShellCommand: {"command": ["x"]},
        }
        for cls, given in arguments.items():

            class Own(cls):  # type: ignore[valid-type, misc]  # each in turn
                def __init__(self, **kwargs: Any) -> None:
                    super().__init__(**kwargs)
                    self.counter = Counter()
                    self.addLogObserver("stdio", self.counter)

                def commandComplete(self, cmd: Any) -> None:
                    self.setProperty("lines", self.counter.lines)

                def evaluateCommand(self, cmd: Any) -> Any:
                    return Result.EXCEPTION

            with self.subTest(cls.__name__):
                ran = run(Own(**given), command("*").exits(0, "7\n"))
                self.assertEqual((ran.result, ran.properties["lines"]), (Result.EXCEPTION, ["o7"]))

    def test_observers_of_sequences(self) -> None:
        """
        An observer sees the output of each program of a ShellSequence.
        """
        counter = Counter()

        class Own(ShellSequence):
            def __init__(self, **kwargs: Any) -> None:
                super().__init__(**kwargs)
                self.addLogObserver("stdio", counter)

        step = Own(commands=[ShellArg(command=["x"]), ShellArg(command=["y"])])
        run(step, command("x").exits(0, "1\n"), command("y").exits(0, "2\n"))
        self.assertEqual(counter.lines, ["o1", "o2"])

    def test_judge(self) -> None:
        """
        A subclass that judges by the output is believed, also by what asks the command.
        """

        class Own(ShellCommand):
            def judge(self, ran: Any) -> Result:
                return max(super().judge(ran), Result.FAILURE if "bad" in ran.output() else Result.SUCCESS)

            def commandComplete(self, cmd: Any) -> None:
                self.setProperty("failed", cmd.didFail())

        ran = run(Own(command=["x"]), command("x").exits(0, "bad\n"))
        self.assertEqual((ran.result, ran.properties["failed"]), (Result.FAILURE, True))

    def test_late_command(self) -> None:
        """
        A constructor may set the command itself.
        """

        class Own(ShellCommand):
            def __init__(self, target: str, **kwargs: Any) -> None:
                super().__init__(command=["x"], **kwargs)
                self.setCommand(["make", target])

        self.assertEqual(run(Own(target="all")).commands, ["make all"])
