"""
`buildbot_lite.testing`, the tools for tests of one's own steps.
"""

import random
import time
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import ConfigError
from buildbot_lite.master.steps import BuildStep, ShellCommand
from buildbot_lite.model.outcome import Why
from buildbot_lite.model.rendering import Secret
from buildbot_lite.model.results import Result
from buildbot_lite.testing import (
    command,
    replay,
    run,
)


class Deploy(BuildStep):
    """
    A step that uses every method of its context.
    """

    name = "deploy"
    renderables = ("where",)

    def __init__(self, where: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.where = where

    async def run(self) -> Result:
        started = await self.bench.now()
        ticket = (await self.bench.random(4)).hex()
        self.bench.write("plan", f"to {self.where}\n")
        listed = await self.execute(["ls", ticket], workdir="out")
        for name in listed.output().split():
            ran = await self.execute(["copy", name, self.where], env={"TOKEN": "\0token\0"})
            if not ran.outcome.succeeded:
                return self.fail(f"{name} could not be copied.")
            self.bench.write("plan", f"copied {name}\n")
        told = await self.bench.record("telling them", self.where, self.tell, repeatable=True)
        self.setProperty("told", told)
        self.setProperty("took", await self.bench.now() - started)
        results = await self.bench.trigger(["check"], {"ticket": ticket}, wait=True)
        return Result.WARNINGS if results["check"] is not Result.SUCCESS else Result.SUCCESS

    async def tell(self) -> object:
        """
        Do something on the master.
        """
        return {"status": 200}


def answers() -> list[Any]:
    """
    Return the answers that `Deploy` needs.
    """
    return [command("ls ????????").exits(0, "a b\n"), command("copy a there"), command("copy b there")]


AROUND: dict[str, Any] = {"secrets": {"token": "hunter22"}, "triggers": {"check": Result.SUCCESS}}


class RunTests(SynchronousTestCase):
    def test_everything(self) -> None:
        """
        A test sees result, commands, logs, properties, remarks and triggered builds.
        """
        ran = run(Deploy("there"), *answers(), **AROUND)
        self.assertEqual((ran.result, ran.summary), (Result.SUCCESS, "deploy"))
        self.assertEqual(ran.commands[1:], ["copy a there", "copy b there"])
        self.assertEqual(ran.log("plan"), "to there\ncopied a\ncopied b\n")
        self.assertEqual(ran.log(), "a b\n")
        self.assertEqual(ran.properties["told"], {"status": 200})
        self.assertEqual(ran.asked[1].secrets, {"token": "hunter22"})
        self.assertEqual([name for name, _ in ran.triggered], ["check"])
        self.assertIn("$ copy a there  (in test/build)", ran.remarks)

    def test_failure(self) -> None:
        """
        A step that fails early does not run the remaining commands; a test that expects them fails and names them.
        """
        first, second, third = answers()
        ran = run(Deploy("there"), first, second.exits(1), **AROUND)
        self.assertEqual((ran.result, ran.summary), (Result.FAILURE, "a could not be copied."))
        error = self.assertRaises(AssertionError, run, Deploy("there"), first, second.exits(1), third, **AROUND)
        self.assertIn("did not run 'copy b there'", str(error))

    def test_unexpected(self) -> None:
        """
        An unexpected command fails the test with both texts.
        """
        error = self.assertRaises(AssertionError, run, ShellCommand(command=["make"]), command("ninja"))
        self.assertEqual(str(error), "The step ran 'make', but 'ninja' is expected.")
        error = self.assertRaises(AssertionError, run, Deploy("there"), command("ls *").exits(0, "a"), **AROUND)
        self.assertIn("no further command is expected", str(error))

    def test_patterns(self) -> None:
        """
        In an expected command, * and ? are wildcards, and brackets are literal.
        """
        run(ShellCommand(command=["echo", "[a]*"]), command("echo '[a]*'"))
        run(ShellCommand(command=["echo", "b"]), command("ec?o *"))
        self.assertRaises(AssertionError, run, ShellCommand(command=["echo", "b"]), command("echo [b]"))

    def test_lenient(self) -> None:
        """
        Without answers, every command succeeds and writes nothing.
        """
        self.assertEqual(run(ShellCommand(command=["make"])).commands, ["make"])

    def test_answers(self) -> None:
        """
        A program can be killed, fail to start, or be lost.
        """
        step = ShellCommand(command=["make"], onLost="fail")
        self.assertEqual(run(step, command().dies("KILL")).result, Result.FAILURE)
        self.assertEqual(run(step, command().killed(Why.MAX_TIME)).result, Result.FAILURE)
        self.assertEqual(run(step, command().fails("no")).summary, "no")
        self.assertEqual(run(step, command().lost()).result, Result.EXCEPTION)

    def test_followed_log(self) -> None:
        """
        A followed log is written like the other logs.
        """
        step = ShellCommand(command=["make"], logfiles={"test.log": "test.log"})
        self.assertEqual(run(step, command("make").writes("ok", "test.log")).log("test.log"), "ok")

    def test_surroundings(self) -> None:
        """
        The test sets the build's sources, slave and submissions.
        """

        class Look(BuildStep):
            async def run(self) -> Result:
                view = self.bench.view
                found = self.bench.input("patch")
                assert found is not None
                self.setProperty("seen", [view.sources["lib"]["branch"], view.slave["name"], found[1]])
                return Result.SUCCESS

        ran = run(Look(), sources={"lib": {"branch": "x"}}, slave="arm1", inputs={"patch": b"four"})
        self.assertEqual(ran.properties["seen"], ["x", "arm1", 4])

    def test_missing_secret(self) -> None:
        """
        A secret that the test does not provide is an exception that names it.
        """
        ran = run(ShellCommand(command=["login", Secret("token")]))
        self.assertEqual(ran.result, Result.EXCEPTION)
        self.assertIn("'token'", ran.summary)

    def test_no_run(self) -> None:
        """
        The error for a step class without run() says so.
        """
        ran = run(BuildStep())
        self.assertEqual(ran.result, Result.EXCEPTION)
        self.assertIn("async def run(self)", ran.summary)

    def test_mistake(self) -> None:
        """
        A wrong argument raises when the test creates the step.
        """
        self.assertRaises(ConfigError, ShellCommand, command=["make"], timeout="soon")

    def test_own_arguments(self) -> None:
        """
        The declared arguments of a step are checked and rendered.
        """

        class Wait(BuildStep):
            arguments = {"delay": lambda at, name, value: at.seconds(name, value)}  # noqa: RUF012 - a constant
            delay: Any = 5

            async def run(self) -> Result:
                await self.execute(["sleep", f"{self.delay:g}"])
                return Result.SUCCESS

        self.assertEqual(run(Wait()).commands, ["sleep 5"])
        self.assertEqual(run(Wait(delay=3)).commands, ["sleep 3"])
        self.assertRaises(ConfigError, Wait, delay="long")
        self.assertRaises(ConfigError, Wait, dealy=3)


class ReplayTests(SynchronousTestCase):
    def test_well(self) -> None:
        """
        Promise 7: a step that uses only its context passes at every crash of the master.
        """
        self.assertEqual(replay(Deploy("there"), *answers(), **AROUND).result, Result.SUCCESS)

    def test_every_moment(self) -> None:
        """
        The replay crashes at each journal entry: before its effect, after its effect, and after its outcome is
        recorded.
        """
        seen = []

        class Count(ShellCommand):
            async def run(self) -> Result:
                seen.append(1)
                return await super().run()

        replay(Count(command=["make"]))
        # Once without a crash, and then twice for each of three moments.
        self.assertEqual(len(seen), 7)

    def test_clock(self) -> None:
        """
        The replay detects a step that depends on the machine's clock.
        """

        class Bad(BuildStep):
            async def run(self) -> Result:
                await self.execute(["touch", str(time.perf_counter_ns())])
                return Result.SUCCESS

        error = self.assertRaises(AssertionError, replay, Bad())
        self.assertIn("After a crash at moment 1 of 3", str(error))

    def test_random(self) -> None:
        """
        The replay detects a step that depends on random numbers of its own.
        """

        class Bad(BuildStep):
            async def run(self) -> Result:
                await self.execute(["first"])
                await self.execute(["touch", str(random.random())])
                return Result.SUCCESS

        self.assertRaises(AssertionError, replay, Bad())

    def test_memory(self) -> None:
        """
        The replay detects a step that counts in a class variable.
        """

        class Bad(BuildStep):
            runs = 0

            async def run(self) -> Result:
                Bad.runs += 1
                await self.execute(["true"])
                self.setProperty("runs", Bad.runs)
                return Result.SUCCESS

        error = self.assertRaises(AssertionError, replay, Bad())
        self.assertIn("properties", str(error))

    def test_unrepeatable(self) -> None:
        """
        A non-repeatable effect is not repeated: when its outcome is unknown, the step ends as an exception.
        """

        class Mail(BuildStep):
            async def run(self) -> Result:
                await self.bench.record("sending mail", None, self.send, repeatable=False)
                return Result.SUCCESS

            async def send(self) -> None:
                sent.append(1)

        sent: list[int] = []
        error = self.assertRaises(AssertionError, replay, Mail())
        self.assertIn("whether it happened is unknown", str(error))
