"""
The time that the code of steps may take, and its end by the limit in replays.
"""

import gc
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any
from unittest import mock

from twisted.internet.defer import CancelledError, Deferred, gatherResults, inlineCallbacks, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import BuildbotLiteError
from buildbot_lite.master.builds import made_steps, step_time
from buildbot_lite.master.builds.build_context import BuildContext
from buildbot_lite.master.builds.build_progress import Ended
from buildbot_lite.master.builds.journal import OVERDUE, Journal
from buildbot_lite.master.builds.overdue import OverdueEnd
from buildbot_lite.master.scheduling.code_time import CodeTime
from buildbot_lite.master.steps import counting
from buildbot_lite.master.steps.own_logs import LogObserver
from buildbot_lite.model import user_functions
from buildbot_lite.model.results import Result
from buildbot_lite.model.time_limit import OverdueError
from buildbot_lite.plugins import steps, util
from buildbot_lite.testing import command, replay, run
from buildbot_lite.testing.memory import MemoryTriggers
from buildbot_lite.testing.script import ScriptedSlave
from buildbot_lite.testing.world import World

from .test_function_limits import hang, search_without_end

EVIL_LINE = "a" * 60 + "\n"
"""To search it with "(a+)+b" takes longer than the test."""


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
        search_without_end(data)


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

    def tearDown(self) -> None:
        """
        Nothing but the end of a callback whose Deferred nobody looks at is logged, before another test begins.
        """
        gc.collect()
        self.flushLoggedErrors(OverdueError)

    def test_ended(self) -> None:
        """
        Code that never ends is ended, wherever in a step it is, and the step is an EXCEPTION that says so.
        """
        for what, made in ENDLESS.items():
            with self.subTest(what):
                ran = run(made(), *answers_of(what))
                self.assertIs(ran.result, Result.EXCEPTION)
                self.assertRegex(ran.summary, r"was ended, because it took longer than 5(\.0)? s")
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
                world, step = World(answers_of(what)), made()
                world.finish(step)
                kinds = [entry.kind for entry in world.store.entries.values()]
                self.assertEqual(kinds.count(OVERDUE), 1)
                with mock.patch.object(user_functions, "LONGEST_CALL", None):
                    ran = world.finish(step)
                self.assertIs(ran.result, Result.EXCEPTION)
                self.assertEqual(len(world.store.entries), len(kinds))

    def test_passed(self) -> None:
        """
        A step that passed passes again, although its code takes longer in the replay than the limit allows.
        """
        slow: list[Any] = []

        async def work(self: Any) -> Result:
            await self.execute(["x"])
            if slow:
                _spend(0.2)
                slow.pop().restore()
            await self.bench.now()
            return Result.SUCCESS

        step = step_of(steps.BuildStep, run=work)
        world = World([command("x")])
        self.assertIs(world.finish(step).result, Result.SUCCESS)
        slow.append(self.patch(user_functions, "LONGEST_CALL", 0.1))
        self.assertIs(world.finish(step).result, Result.SUCCESS)
        self.assertEqual(slow, [])

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

    def test_shown(self) -> None:
        """
        A step that was ended is shown, whatever its ``hideStepIf`` says, also in a replay.
        """
        arguments = {"hideStepIf": lambda result, step: True}
        for method in (waits_and_hangs, hangs_at_once):
            world = World([command("x")] if method is waits_and_hangs else [])
            step = step_of(steps.BuildStep, run=method, arguments=arguments)
            self.assertFalse(world.finish(step).hidden)
            self.assertFalse(world.finish(step).hidden)

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


class SlowCommands:
    """
    Makes the commands *texts* of scripted slaves end only when the test says so.
    """

    def __init__(self, case: SynchronousTestCase, *texts: str) -> None:
        self.interrupted: list[str] = []
        self.held: dict[str, Callable[[], Any]] = {}
        self.waiting = waiting = set(texts)
        plain, made = ScriptedSlave.resume, BuildContext.__init__

        def text_of(slave: Any, id: str) -> str:
            return str(next(asked.text for asked in slave._script.asked if asked.id == id))

        def resume(slave: Any, id: str, *arguments: Any) -> Any:
            text = text_of(slave, id)
            if text not in waiting:
                return plain(slave, id, *arguments)
            waiting.remove(text)
            self.held[text] = partial(plain, slave, id, *arguments)
            return succeed(None)

        def interrupt(slave: Any, id: str, reason: str) -> Any:
            self.interrupted.append(text_of(slave, id))
            return succeed(None)

        def context(made_one: BuildContext, **arguments: Any) -> None:
            made(made_one, **arguments)
            self._clock = arguments["others_turn"].args[0]

        case.patch(ScriptedSlave, "resume", resume)
        case.patch(ScriptedSlave, "interrupt", interrupt)
        case.patch(BuildContext, "__init__", context)

    def end(self, text: str) -> None:
        """
        The command *text* ends, and what waits for that goes on.
        """
        self.held.pop(text)()
        self.others_turn()

    def others_turn(self) -> None:
        """
        What waits for its turn in the reactor goes on.
        """
        for _ in range(5):
            self._clock.advance(0)


@inlineCallbacks
def both_at_once(self: Any) -> Any:
    """
    Two commands at once, and what is called with the first one's result never returns.
    """
    first = yield self.makeRemoteShellCommand(command=["x"])
    second = yield self.makeRemoteShellCommand(command=["y"])
    yield gatherResults([self.runCommand(first).addCallback(hang), self.runCommand(second)])


class ConcurrentStepsTests(SynchronousTestCase):
    """
    Promise 8.25: a step that waits for several things at once is ended, with all of them, and stays ended.
    """

    def setUp(self) -> None:
        """
        Worlds whose builds a crash left are kept to the end.
        """
        self.worlds: list[World] = []

    def tearDown(self) -> None:
        """
        Nothing but the end of Deferreds that nobody looks at is logged, before another test begins.
        """
        gc.collect()
        self.flushLoggedErrors(OverdueError, CancelledError)

    def ended(self, world: World, step: Any, slow: SlowCommands, *texts: str) -> Ended:
        """
        How *step* ended, after the slow commands *texts* ended, in this order.
        """
        _, _, running = world._start(step)
        for text in texts:
            self.assertNoResult(running)
            slow.end(text)
        return self.successResultOf(running)

    def test_other_order(self) -> None:
        """
        A replay ends the step where it ended, although it has the recorded answers in another order.
        """
        step, slow = step_of(steps.ShellCommand, run=both_at_once, arguments=COMMAND), SlowCommands(self, "x", "y")
        world = World([command("x"), command("y")])
        first = self.ended(world, step, slow, "y", "x")
        self.assertIs(first.result, Result.EXCEPTION)
        again = world.finish(step)
        self.assertEqual(again.ended, first)
        self.assertRegex(again.summary, "was ended, because it took longer")

    def test_other_order_without_a_mark(self) -> None:
        """
        A replay that comes to code that never ends, because it has the answers in another order, makes the build begin
        again.
        """
        self.patch(step_time, "LONGEST_REPLAY", 0.05)
        step, slow = step_of(steps.ShellCommand, run=both_at_once, arguments=COMMAND), SlowCommands(self, "x", "y")
        world = World([command("x"), command("y")])
        self.ended(world, step, slow, "y", "x")
        for key, entry in list(world.store.entries.items()):
            if entry.kind == OVERDUE:
                del world.store.entries[key]
        again = world.finish(step)
        self.assertIs(again.result, Result.RETRY)
        self.assertIn("took longer than", again.ended.reason)

    def test_closed(self) -> None:
        """
        A step that nothing refers to any more is closed, although its commands have not ended.
        """
        journal = mock.Mock(replaying=False, mark=lambda *place: None, has_marks=lambda step: False)

        async def never(over: BuildbotLiteError) -> None:
            await Deferred()

        async def work() -> None:
            await Deferred()

        time = step_time.StepTime(journal, 0, budget=mock.Mock(pause=lambda: None), let_go=never)
        running = time.run(work())
        running.send(None)
        # A callback of the step's.
        self.assertRaises(OverdueError, time.turn, hang)
        running.close()
        # That of what waits for the commands comes later, or before.
        del running, time
        gc.collect()
        self.assertEqual(self.flushLoggedErrors(RuntimeError), [])

    def test_running_command(self) -> None:
        """
        A command that still runs is interrupted, and the step ends when it has ended; so it does in a replay, in which
        the code gets that command's outcome as little as before.
        """

        @inlineCallbacks
        def work(self: Any) -> Any:
            held = yield self.makeRemoteShellCommand(command=["y"])
            made = yield self.makeRemoteShellCommand(command=["x"])
            waits = self.runCommand(held).addCallback(lambda _: self.runCommand(made))
            self.runCommand(made).addCallback(hang)
            yield waits

        step, slow = step_of(steps.ShellCommand, run=work, arguments=COMMAND), SlowCommands(self, "x", "y")
        world = World([command("y"), command("x")])
        first = self.ended(world, step, slow, "x", "y")
        self.assertEqual(slow.interrupted, ["y"])
        self.assertIs(first.result, Result.EXCEPTION)
        again = world.finish(step)
        self.assertEqual((again.ended, again.commands), (first, ["y", "x"]))

    def test_recorded_before_interrupted(self) -> None:
        """
        A master that dies, at whatever moment, after it interrupted a command of a step that took too long, ends the
        step in the replay, too, although its code is quick there.
        """
        endless: list[bool] = []

        @inlineCallbacks
        def work(self: Any) -> Any:
            held = yield self.makeRemoteShellCommand(command=["y"])
            made = yield self.makeRemoteShellCommand(command=["x"])
            self.runCommand(made).addCallback(lambda _: hang() if endless else None)
            yield self.runCommand(held)
            return Result.SUCCESS

        step, interrupted = step_of(steps.ShellCommand, run=work, arguments=COMMAND), []
        for moment in range(14):
            slow, world = SlowCommands(self, "x", "y"), World([command("x"), command("y")])
            self.worlds.append(world)
            endless.append(True)
            world.store.last = moment
            _, _, running = world._start(step)
            world.crashed.append(running)
            for text in ("x", "y"):
                if text in slow.held:
                    slow.end(text)
            endless.clear()
            slow.waiting.clear()
            world.store.last = None
            interrupted.append(bool(slow.interrupted))
            again = world.finish(step)
            self.assertIs(again.result, Result.EXCEPTION if slow.interrupted else again.result, moment)
            self.assertIn("took longer" if slow.interrupted else "", again.summary)
        self.assertEqual(set(interrupted), {False, True})

    def test_set_while_it_is_closed(self) -> None:
        """
        What the ended code sets on its end does not count, as in a replay.
        """

        async def work(self: Any) -> None:
            await self.execute(["x"])
            try:
                await self.bench.now()
                self.setProperty("found", "before")
                await hangs_at_once(self)
            finally:
                self.setProperty("found", "after")

        ran = replay(step_of(steps.BuildStep, run=work), command("x"))
        self.assertEqual(ran.properties["found"], "after")

    def test_triggered_builds(self) -> None:
        """
        The builds that the step waits for are cancelled.
        """
        cancelled: list[int] = []

        async def cancel(triggers: MemoryTriggers, buildset: int, reason: str) -> list[Any]:
            cancelled.append(buildset)
            return []

        async def work(self: Any) -> None:
            waits = Deferred.fromCoroutine(self.bench.trigger(["s"], {}, wait=True))
            await self.execute(["x"])
            await hangs_at_once(self)
            await waits

        self.patch(MemoryTriggers, "when_finished", lambda triggers, buildset: Deferred())
        self.patch(MemoryTriggers, "cancel", cancel)
        world = World([command("x")], triggers={"s": Result.SUCCESS})
        ran = world.finish(step_of(steps.BuildStep, run=work))
        self.assertIs(ran.result, Result.EXCEPTION)
        self.assertEqual(cancelled, [1])

    def test_cancelling_that_fails(self) -> None:
        """
        An error while other builds are cancelled does not change the end that is recorded.
        """

        async def cancel(triggers: MemoryTriggers, buildset: int, reason: str) -> list[Any]:
            raise BuildbotLiteError("locked")

        async def work(self: Any) -> None:
            waits = Deferred.fromCoroutine(self.bench.trigger(["s"], {}, wait=True))
            await self.execute(["x"])
            await hangs_at_once(self)
            await waits

        self.patch(MemoryTriggers, "when_finished", lambda triggers, buildset: Deferred())
        self.patch(MemoryTriggers, "cancel", cancel)
        world = World([command("x")], triggers={"s": Result.SUCCESS})
        ran = world.finish(step_of(steps.BuildStep, run=work))
        self.assertRegex(ran.summary, "took longer than")

    def test_recording_that_fails(self) -> None:
        """
        A step whose end cannot be recorded, by a defect or a cancellation, is an ordinary EXCEPTION.
        """
        for error in (ValueError("a defect"), CancelledError()):
            for where in ("_record", "set_mark"):

                async def fail(*args: Any, error: Exception = error) -> None:
                    raise error

                with (
                    self.subTest(repr(error), where=where),
                    mock.patch.object(OverdueEnd if where == "_record" else Journal, where, fail),
                ):
                    ran = run(step_of(steps.BuildStep, run=hangs_at_once))
                    self.assertIs(ran.result, Result.EXCEPTION)
                    self.assertRegex(ran.summary, "took longer than")
                    self.assertEqual(len(self.flushLoggedErrors(type(error))), 1)


class EndlessReplayTests(SynchronousTestCase):
    """
    Promise 8.25: a replay that never ends does not stop the farm; the build begins again.
    """

    def setUp(self) -> None:
        """
        A short limit, which code that never ends exceeds on any machine.
        """
        self.patch(step_time, "LONGEST_REPLAY", 0.05)

    def tearDown(self) -> None:
        """
        Nothing but the end of Deferreds that nobody looks at is logged, before another test begins.
        """
        gc.collect()
        self.flushLoggedErrors(OverdueError, CancelledError)

    def replayed(self, work: Callable[[Any, Callable[[], None]], Any]) -> Ended:
        """
        How the step *work* ends in a replay in which the function that it gets never returns.
        """
        endless: list[bool] = []

        async def run(self: Any) -> Result:
            await work(self, lambda: hang() if endless else None)
            await self.bench.now()
            return Result.SUCCESS

        step, world = step_of(steps.BuildStep, run=run), World([command("x")])
        self.patch(step_time, "LONGEST_REPLAY", 0.05)
        self.assertIs(world.finish(step).result, Result.SUCCESS)
        endless.append(True)
        return world.finish(step).ended

    def test_changed_code(self) -> None:
        """
        Code that now never ends, before the end of what the journal says.
        """

        async def work(self: Any, maybe_hang: Callable[[], None]) -> None:
            await self.execute(["x"])
            maybe_hang()

        ended = self.replayed(work)
        self.assertIs(ended.result, Result.RETRY)
        self.assertIn("took longer than 0.05 s to repeat", ended.reason)

    def test_search(self) -> None:
        """
        A search that now never ends.
        """

        def look(maybe_hang: Callable[[], None], part: str) -> list[str]:
            maybe_hang()
            return []

        async def work(self: Any, maybe_hang: Callable[[], None]) -> None:
            await self.execute(["x"])
            await self.bench.look_through(["a", "b"], partial(look, maybe_hang), seconds=1e6)

        self.assertIs(self.replayed(work).result, Result.RETRY)


def shorten_searches(case: SynchronousTestCase, seconds: float) -> None:
    """
    Limit each search in the output of a step to *seconds*, and no other code.
    """
    look = step_time.StepTime._look

    def shortened(time: step_time.StepTime, *arguments: Any) -> Any:
        with mock.patch.object(user_functions, "LONGEST_CALL", seconds):
            return look(time, *arguments)

    case.patch(step_time.StepTime, "_look", shortened)


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

    def test_one_part(self) -> None:
        """
        One part of the output may take no longer than one call of the configuration's functions.
        """
        self.patch(counting, "_LONGEST_SEARCH", 1e6)
        shorten_searches(self, 0.05)
        ran = run(self.hostile(), command("x").exits(0, EVIL_LINE))
        self.assertIs(ran.result, Result.FAILURE)
        self.assertIn("was given up", ran.summary)

    def test_no_search_any_more(self) -> None:
        """
        A step whose search was given up, and whose program now searches nothing, makes the build begin again.
        """
        world = World([command("x").exits(0, self.OUTPUT)])
        world.finish(self.hostile())
        ran = world.finish(steps.Compile(command=["x"], warningPattern=None))
        self.assertIs(ran.result, Result.RETRY)

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


class ConstructorTests(SynchronousTestCase):
    """
    Promise 8.25: constructors of steps, which each build calls, are limited, too.
    """

    def ended(self, construct: Callable[[], None]) -> Failure:
        """
        How a build ends whose step has a constructor that calls *construct* in builds.
        """
        made: list[None] = []

        def constructor(self: Any) -> None:
            steps.BuildStep.__init__(self)
            if made:
                construct()
            made.append(None)

        _, _, running = World([])._start(step_of(steps.BuildStep, __init__=constructor))
        failure: Failure = self.failureResultOf(running, BuildbotLiteError)
        return failure

    def test_endless(self) -> None:
        """
        One that never returns ends its build, which says so.
        """
        self.assertIn("The constructor of the step Own was ended", str(self.ended(hang).value))

    def test_all_together(self) -> None:
        """
        All constructors of a build have one limit; also those of the steps that a step adds.
        """
        self.patch(user_functions, "LONGEST_CALL", 1000.0)
        limits: list[float] = []

        def within(limit: float, make: Callable[[], Any]) -> None:
            limits.append(limit)
            make()

        async def adds(self: Any) -> Result:
            self.build.addStepsAfterLastStep([steps.SetProperty(property="last", value="1")])
            two = [steps.SetProperty(property="a", value="2"), steps.SetProperty(property="b", value="3")]
            self.build.addStepsAfterCurrentStep(two)
            return Result.SUCCESS

        self.patch(made_steps, "call_within", within)
        ran = run(step_of(steps.BuildStep, run=adds))
        self.assertEqual({name: ran.properties[name] for name in ("last", "a", "b")}, {"last": "1", "a": "2", "b": "3"})
        self.assertEqual(limits, [1000.0] * 2)

    def test_failing(self) -> None:
        """
        One that fails ends its build, with its error.
        """

        def fail() -> None:
            raise ValueError("no")

        self.assertIn("The constructor of the step Own failed: ValueError: no", str(self.ended(fail).value))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_interrupted_callback(self) -> None:
        """
        A callback that the reactor called, and that was interrupted, ends its step, also in a replay.
        """
        fired: list[Deferred[None]] = []

        async def work(self: Any) -> None:
            await self.execute(["x"])
            own: Deferred[None] = Deferred()
            fired.append(own)
            await own

        slow, world, step = SlowCommands(self), World([command("x")]), step_of(steps.BuildStep, run=work)
        _, _, running = world._start(step)
        fired.pop().errback(OverdueError())
        slow.others_turn()
        ended = self.successResultOf(running)
        self.assertIs(ended.result, Result.EXCEPTION)
        self.assertEqual(world.finish(step).ended, ended)
        self.assertEqual(fired, [])
