"""
The time that the code of steps may take, and its end by the limit in replays.
"""

import re
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.master.builds.build_context import BuildContext
from buildbot_lite.master.builds.journal import OVERDUE
from buildbot_lite.master.scheduling.code_time import CodeTime
from buildbot_lite.master.steps import counting
from buildbot_lite.master.steps.own_logs import LogObserver
from buildbot_lite.model import user_functions
from buildbot_lite.model.results import Result
from buildbot_lite.model.time_limit import OverdueError
from buildbot_lite.plugins import steps, util
from buildbot_lite.testing import command, replay, run
from buildbot_lite.testing.world import World

from .test_function_limits import hang

EVIL = re.compile("(a+)+b")
"""Searching `EVIL_LINE` with it takes longer than the test."""
EVIL_LINE = "a" * 60 + "\n"


def step_of(base: type, /, *, arguments: dict[str, Any] | None = None, **methods: Any) -> Any:
    """
    A step of the configuration's own, with *methods*.
    """
    return type("Own", (base,), methods)(**(arguments or {}))


async def waits_and_hangs(self: Any) -> None:
    """
    A ``run`` that hangs after a command.
    """
    await self.execute(["x"])
    hang()


async def hangs_at_once(self: Any) -> None:
    """
    A ``run`` that has no effect at all.
    """
    hang()


async def leaves_traces(self: Any) -> None:
    """
    A ``run`` that writes, sets properties and adds steps on its way, also in the turn that never ends.
    """
    self.bench.write("own", "first\n")
    await self.execute(["x"])
    self.setProperty("before", await self.bench.now())
    self.bench.write("own", "second\n")
    self.bench.write("late", "third\n")
    self.setProperty("late", ["found"])
    self.build.addStepsAfterCurrentStep([steps.SetProperty(property="added", value="yes")])
    hang()


async def catches(self: Any) -> Result:
    """
    A ``run`` that catches its interruption, and goes on.
    """
    try:
        hang()
    except BaseException:  # noqa: BLE001 - what bad code does
        await self.execute(["never"])
    return Result.SUCCESS


async def asks_and_hangs(self: Any) -> None:
    """
    A ``run`` that hangs while its command runs.
    """
    asked = Deferred.fromCoroutine(self.execute(["x"]))
    await hangs_at_once(self)
    await asked


@inlineCallbacks
def with_yield(self: Any) -> Any:
    """
    The older style.
    """
    made = yield self.makeRemoteShellCommand(command=["x"])
    yield self.runCommand(made)
    hang()


@inlineCallbacks
def with_callback(self: Any) -> Any:
    """
    A callback of what a method returned.
    """
    made = yield self.makeRemoteShellCommand(command=["x"])
    yield self.runCommand(made).addCallback(hang)


def started(self: Any) -> None:
    """
    The oldest style: nothing waits for what a callback does.
    """
    made = self.makeRemoteShellCommand(command=["x"])
    made.addCallback(self.runCommand).addCallback(hang).addCallback(self.finished)


class HangingObserver(LogObserver):
    """
    An observer that never returns.
    """

    def outReceived(self, data: str) -> None:
        """
        Never return.
        """
        hang()


class SearchingObserver(LogObserver):
    """
    An observer with a bad regular expression.
    """

    def outReceived(self, data: str) -> None:
        """
        Never return, if the output is the wrong one.
        """
        EVIL.search(data)


def observed(observer: Callable[[], Any]) -> Callable[[Any], Any]:
    """
    A ``run`` with an observer.
    """

    def run(self: Any) -> Any:
        self.addLogObserver("stdio", observer())
        return steps.ShellCommand.run(self)

    return run


COMMAND = {"command": ["x"]}
ENDLESS: dict[str, Callable[[], Any]] = {
    "run": partial(step_of, steps.BuildStep, run=waits_and_hangs),
    "run without effects": partial(step_of, steps.BuildStep, run=hangs_at_once),
    "traces": partial(step_of, steps.BuildStep, run=leaves_traces),
    "run that catches": partial(step_of, steps.BuildStep, run=catches),
    "a command that runs": partial(step_of, steps.BuildStep, run=asks_and_hangs),
    "run with yield": partial(step_of, steps.ShellCommand, run=with_yield, arguments=COMMAND),
    "a callback": partial(step_of, steps.ShellCommand, run=with_callback, arguments=COMMAND),
    "start": partial(step_of, steps.ShellCommand, start=started, arguments=COMMAND),
    "evaluateCommand": partial(step_of, steps.ShellCommand, evaluateCommand=hang, arguments=COMMAND),
    "getResultSummary": partial(step_of, steps.ShellCommand, getResultSummary=hang, arguments=COMMAND),
    "an observer": partial(step_of, steps.ShellCommand, run=observed(HangingObserver), arguments=COMMAND),
    "an observer's search": partial(step_of, steps.ShellCommand, run=observed(SearchingObserver), arguments=COMMAND),
    "a renderer": partial(steps.ShellCommand, command=util.renderer(hang)),
    "doStepIf": partial(steps.ShellCommand, command=["x"], doStepIf=hang),
}
WITHOUT_COMMAND = {"run without effects", "run that catches", "a renderer", "doStepIf"}


def answers_of(what: str) -> list[Any]:
    """
    The commands that the step *what* runs before it hangs.
    """
    return [] if what in WITHOUT_COMMAND else [command("x").exits(0, EVIL_LINE)]


class EndlessStepsTests(SynchronousTestCase):
    """
    Promise 8.25: no code of a step stops the farm, and a step that was ended stays ended.
    """

    def setUp(self) -> None:
        """
        A short limit, which code that never ends exceeds on any machine.
        """
        self.patch(user_functions, "LONGEST_CALL", 0.05)

    def tearDown(self) -> None:
        """
        Nothing but the end of a callback whose Deferred nobody looks at is logged.
        """
        self.flushLoggedErrors(OverdueError)

    def test_ended(self) -> None:
        """
        Code that never ends is ended, wherever in a step it is, and the step is an EXCEPTION that says so.
        """
        for what, made in ENDLESS.items():
            with self.subTest(what):
                ran = run(made(), *answers_of(what))
                self.assertIs(ran.result, Result.EXCEPTION)
                self.assertRegex(ran.summary, r"was ended, because it took longer than 0\.\d+ s")
                self.assertEqual(len(ran.commands), len(answers_of(what)))

    def test_replayed(self) -> None:
        """
        After a crash at any moment the step ends as it did, with the same commands, logs and properties.
        """
        for what, made in ENDLESS.items():
            with self.subTest(what):
                replay(made(), *answers_of(what))

    def test_not_again(self) -> None:
        """
        A replay neither runs the code that was ended, nor waits for it: without any limit, it ends at once.
        """
        for what, made in ENDLESS.items():
            with self.subTest(what):
                self.patch(user_functions, "LONGEST_CALL", 0.05)
                world, step = World(answers_of(what)), made()
                world.finish(step)
                kinds = [entry.kind for entry in world.store.entries.values()]
                self.assertEqual(kinds.count(OVERDUE), 1)
                self.patch(user_functions, "LONGEST_CALL", None)
                ran = world.finish(step)
                self.assertIs(ran.result, Result.EXCEPTION)
                self.assertEqual(len(world.store.entries), len(kinds))

    def test_passed(self) -> None:
        """
        A step that passed passes again, although its code takes longer in the replay than the limit allows.
        """
        slow: list[bool] = []

        async def work(self: Any) -> Result:
            await self.execute(["x"])
            if slow:
                _spend(0.2)
            await self.bench.now()
            return Result.SUCCESS

        step = step_of(steps.BuildStep, run=work)
        world = World([command("x")])
        self.assertIs(world.finish(step).result, Result.SUCCESS)
        slow.append(True)
        self.assertIs(world.finish(step).result, Result.SUCCESS)

    def test_limited_after_the_replay(self) -> None:
        """
        Code that a crash kept from its end is limited, as soon as it has the last recorded answer.
        """
        world = World([command("x")])
        step = step_of(steps.BuildStep, run=waits_and_hangs)
        world.crash(step, 2)
        self.assertEqual([entry.kind for entry in world.store.entries.values()], ["command"])
        self.assertIs(world.finish(step).result, Result.EXCEPTION)

    def test_traces(self) -> None:
        """
        What the ended code wrote and set is kept; the steps that it added are not run.
        """
        ran = run(step_of(steps.BuildStep, run=leaves_traces), command("x"))
        self.assertEqual(ran.log("own"), "first\nsecond\n")
        self.assertEqual(ran.log("late"), "third\n")
        self.assertEqual(ran.properties["late"], ["found"])
        self.assertNotIn("added", ran.properties)

    def test_place(self) -> None:
        """
        The sentence names the function, the file and the line.
        """
        ran = run(step_of(steps.BuildStep, run=waits_and_hangs), command("x"))
        self.assertRegex(ran.summary, r"^The code of this step \(hang, test_function_limits.py line \d+\) was ended")

    def test_program_changed(self) -> None:
        """
        A step that was ended, and whose program now ends earlier, makes the build begin again.
        """
        world = World([command("x")])
        world.finish(step_of(steps.BuildStep, run=waits_and_hangs))

        async def nothing(self: Any) -> Result:
            return Result.SUCCESS

        _, _, running = world._start(step_of(steps.BuildStep, run=nothing))
        self.assertIs(self.successResultOf(running).result, Result.RETRY)


def _spend(seconds: float) -> None:
    end = monotonic() + seconds
    while monotonic() < end:
        pass


class SearchTests(SynchronousTestCase):
    """
    Promise 8.26: a search for warnings takes a bounded time of the master's, and says when it is given up.
    """

    OUTPUT = "x.c:1: warning: y\n" * 10000 + EVIL_LINE + "x.c:2: warning: z\n" * 10000

    def setUp(self) -> None:
        """
        A short limit for the whole search, and a pattern with which one line never ends.
        """
        self.patch(counting, "_LONGEST_SEARCH", 0.3)
        self.patch(counting, "_LONGEST_SEARCH_OF_FILE", 0.1)

    def hostile(self) -> Any:
        """
        A step whose pattern finds warnings, but for one line.
        """
        return steps.Compile(command=["x"], warningPattern="(a+)+b|.*warning")

    def test_given_up(self) -> None:
        """
        The step fails, and says in its summary and beside its log that the search was given up.
        """
        ran = run(self.hostile(), command("x").exits(0, self.OUTPUT))
        self.assertIs(ran.result, Result.FAILURE)
        self.assertIn("The search for warnings was given up", ran.summary)
        self.assertTrue(any("was given up" in remark for remark in ran.remarks))

    def test_in_sum(self) -> None:
        """
        The limit is for all parts of the output together.
        """
        began: list[float] = []

        def slow(part: str) -> list[str]:
            began.append(0)
            _spend(0.2)
            return [part]

        async def look(self: Any) -> Result:
            found, is_whole = await self.bench.look_through(["part"] * 1000, slow, seconds=0.5)
            self.setProperty("found", [len(found), is_whole])
            return Result.SUCCESS

        ran = run(step_of(steps.BuildStep, run=look))
        self.assertLess(len(began), 5)
        self.assertEqual(ran.properties["found"][1], False)

    def test_replayed(self) -> None:
        """
        After a crash at any moment the search ends where it did.
        """
        replay(self.hostile(), command("x").exits(0, self.OUTPUT))

    def test_not_again(self) -> None:
        """
        A replay searches only what was searched, without a limit.
        """
        world = World([command("x").exits(0, self.OUTPUT)])
        step = self.hostile()
        first = world.finish(step)
        self.patch(counting, "_LONGEST_SEARCH", 1e6)
        again = world.finish(step)
        self.assertIs(again.result, first.result)
        self.assertIn("was given up", again.summary)

    def test_suppressions(self) -> None:
        """
        The search with expressions of a file on the slave ends where it did, too.
        """
        step = steps.Compile(command=["x"], suppressionFile="file", warningPattern="()()(.*)")
        replay(step, command("cat file").exits(0, ".* : (a+)+b\n"), command("x").exits(0, EVIL_LINE))

    def test_all_parts(self) -> None:
        """
        Nothing is given up, or counted twice, when there is no such line.
        """
        output = "x.c:1: warning: y\n" * 20000
        ran = replay(steps.Compile(command=["x"]), command("x").exits(0, output))
        self.assertIn("20000 warnings", ran.summary)


class StepBudgetTests(SynchronousTestCase):
    """
    Promise 8.25: slow code of steps leaves the farm most of its time, and a replay does not wait.
    """

    def test_pauses(self) -> None:
        """
        The turns of a step draw on the budget of its builder, and wait when that is used up.
        """
        clock, meter = Clock(), [0.0]
        budget = CodeTime(clock, meter=lambda: meter[0]).of("builder b")
        self.assertIsNone(budget.pause())
        budget.spend(6.0)
        self.assertNoResult(budget.pause() or succeed(None))
        clock.advance(11.0)
        self.assertIsNone(budget.pause())

    def test_replay(self) -> None:
        """
        A step waits for its builder's budget before its turns, but not in a replay.
        """
        pauses: list[str] = []

        class Counted:
            def pause(self) -> None:
                pauses.append("asked")

            def spend(self, seconds: float) -> None:
                pass

        made = BuildContext.__init__

        def with_budget(self: BuildContext, **arguments: Any) -> None:
            made(self, **arguments, budget=Counted())

        self.patch(BuildContext, "__init__", with_budget)
        world = World([command("x")])

        async def work(self: Any) -> Result:
            await self.execute(["x"])
            await self.bench.now()
            return Result.SUCCESS

        step = step_of(steps.BuildStep, run=work)
        world.finish(step)
        self.assertTrue(pauses)
        pauses.clear()
        world.finish(step)
        self.assertEqual(pauses, [])
