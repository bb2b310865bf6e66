"""
The time that methods of steps and change sources may take.
"""

import re
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks, returnValue
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import UserFunctionOverdueError
from buildbot_lite.master.scheduling.code_time import SHARE_OF_ALL, CodeTime
from buildbot_lite.master.steps.own_logs import LogObserver
from buildbot_lite.model.user_functions import LONGEST_CALL, SHARE
from buildbot_lite.plugins import steps
from buildbot_lite.testing import command, run

from .test_function_limits import hang
from .test_step_time import shorten_searches


class CodeTimeTests(SynchronousTestCase):
    """
    Promise 8.5: slow code of the configuration leaves the farm most of its time.
    """

    def setUp(self) -> None:
        """
        A meter that only the code under test moves, beside the clock.
        """
        self.clock = Clock()
        self.took = 0.0
        self.time = CodeTime(self.clock, meter=lambda: self.took)

    def slow(self, owner: str, turns: int, seconds: float) -> tuple[list[float], Deferred[Any]]:
        """
        Begin a coroutine of *owner* with *turns* of *seconds* each; returns when each came.
        """
        times: list[float] = []
        time = self.time.of(owner)

        async def work() -> str:
            for _ in range(turns):
                times.append(self.clock.seconds())
                self.took += seconds
                await deferLater(self.clock, 0)
            return "done"

        return times, Deferred.fromCoroutine(time.run("run", work))

    def advance(self, seconds: float) -> None:
        """
        Pass *seconds*.
        """
        self.clock.pump([0.1] * round(seconds * 10))

    def test_share(self) -> None:
        """
        Code that has used up its time gets a tenth from then on, and comes to its end.
        """
        times, done = self.slow("b", 11, 1.0)
        self.advance(7)
        self.assertEqual(len(times), LONGEST_CALL + 1)
        self.advance(6 / SHARE)
        self.assertEqual(self.successResultOf(done), "done")
        self.assertAlmostEqual(times[-1] - times[-2], 1 / SHARE, delta=0.2)

    def test_one_budget(self) -> None:
        """
        A build that holds its builder's budget shares it with later builds, whichever owners begin in between; and a
        budget that is used up is kept, although nobody holds it.
        """
        held = self.time.of("b")
        self.time.of("c")
        self.assertIs(self.time.of("b"), held)
        held.spend(2 * LONGEST_CALL)
        del held
        self.time.of("d")
        self.assertTrue(self.time.of("b").is_short)
        self.advance(3 * LONGEST_CALL / SHARE)
        self.time.of("e")
        self.assertEqual(self.time._short, set())

    def test_owners(self) -> None:
        """
        An owner's time is for all its builds, also for later ones; another owner that begins does not wait.
        """
        _, first = self.slow("b", 6, 1.0)
        self.advance(20)
        self.successResultOf(first)
        again, _ = self.slow("b", 6, 1.0)
        other, _ = self.slow("c", 1, 1.0)
        self.assertEqual(len(other), 1)
        self.advance(20)
        self.assertLess(len(again), 5)

    def test_all(self) -> None:
        """
        Many slow owners have a share together.
        """
        many = [self.slow(str(number), 1000, 1.0)[0] for number in range(20)]
        self.advance(200)
        before = sum(map(len, many))
        self.advance(200)
        self.assertLess(sum(map(len, many)) - before, 200 * SHARE_OF_ALL + 20)

    def test_share_of_all(self) -> None:
        """
        When many have used up what all have together, an owner waits for them after half of its own time, not before.
        """
        for number in range(20):
            self.time.of(str(number)).spend(LONGEST_CALL)
        little, much = self.time.of("little"), self.time.of("much")
        little.spend(LONGEST_CALL / 2 - 0.1)
        much.spend(LONGEST_CALL / 2 + 0.1)
        self.assertIsNone(little.pause())
        waiting = much.pause()
        assert waiting is not None
        self.advance(1)
        self.assertNoResult(waiting)
        self.advance(20 * LONGEST_CALL / SHARE_OF_ALL)
        self.successResultOf(waiting)

    def test_quick(self) -> None:
        """
        Quick turns never wait, however many there are.
        """
        times, done = self.slow("b", 10000, 0.001)
        self.clock.pump([0.0] * 10001)
        self.successResultOf(done)
        self.assertEqual(times[-1], 0.0)

    def test_cancelled(self) -> None:
        """
        A coroutine that is cancelled while it waits for its time is told.
        """
        told: list[str] = []
        time = self.time.of("b")

        async def work() -> None:
            self.took += 50.0
            try:
                await deferLater(self.clock, 0)
            finally:
                told.append("cancelled")

        running = Deferred.fromCoroutine(time.run("run", work))
        self.clock.advance(0)
        self.assertEqual(told, [])
        running.cancel()
        self.failureResultOf(running)
        self.assertEqual(told, ["cancelled"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_overdue(self) -> None:
        """
        A turn that never ends is ended, in each form in which a method may be written, and the error says where.
        """
        fired: list[Deferred[None]] = []

        def waits() -> Deferred[None]:
            fired.append(Deferred())
            return fired[-1]

        async def native() -> None:
            await waits()
            hang()

        @inlineCallbacks
        def inlined() -> Any:
            yield waits()
            hang()

        forms: list[tuple[Callable[[], Any], bool]] = [(native, True), (inlined, True), (hang, False)]
        for function, is_waiting in forms:
            with self.subTest(function.__name__):
                running = Deferred.fromCoroutine(self.time.of("b").run("poll", function))
                if is_waiting:
                    self.assertNoResult(running)
                    fired.pop().callback(None)
                error = self.failureResultOf(running, UserFunctionOverdueError)
                self.assertRegex(str(error.value), r"^poll \(\w+, test_\w+.py line \d+\) was ended")

    def test_inlined(self) -> None:
        """
        A function of ``inlineCallbacks`` returns what it did, also by ``returnValue``; what it yields is awaited.
        """
        waited: Deferred[int] = Deferred()

        @inlineCallbacks
        def new(add: int) -> Any:
            found = yield waited
            return found + add

        @inlineCallbacks
        def old(add: int) -> Any:
            found = yield 5
            returnValue(found + add)

        first, second = (Deferred.fromCoroutine(self.time.of("b").run("run", each, 1)) for each in (new, old))
        self.assertEqual(self.successResultOf(second), 6)
        waited.callback(7)
        self.assertEqual(self.successResultOf(first), 8)
        self.flushWarnings()


def step_class(base: type, **methods: Any) -> Any:
    """
    A step of the configuration's own.
    """
    return type("Own", (base,), methods)


async def waits_and_hangs(self: Any) -> None:
    """
    A ``run`` that hangs after a command.
    """
    await self.execute(["x"])
    hang()


@inlineCallbacks
def old_style(self: Any) -> Any:
    """
    The same in Buildbot's older style.
    """
    made = yield self.makeRemoteShellCommand(command=["x"])
    yield self.runCommand(made)
    hang()


class HangingObserver(LogObserver):
    """
    An observer that never returns.
    """

    def outReceived(self, data: str) -> None:
        """
        Never return.
        """
        hang()


def observed(self: Any) -> Any:
    """
    A ``run`` whose observer hangs.
    """
    self.addLogObserver("stdio", HangingObserver())
    return steps.ShellCommand.run(self)


class OutputTimeTests(SynchronousTestCase):
    """
    Long output does not stop the farm.
    """

    def test_output_in_parts(self) -> None:
        """
        Long output is searched, and shown to observers, in turns of whole lines, and all of it.
        """
        seen: list[str] = []

        class Observer(HangingObserver):
            def outReceived(self, data: str) -> None:
                seen.append(data)

        def watched(self: Any) -> Any:
            self.addLogObserver("stdio", Observer())
            return steps.ShellCommand.run(self)

        output = "x.c:1: warning: y\n" * 20000
        run(step_class(steps.ShellCommand, run=watched)(command=["x"]), command("x").exits(0, output))
        self.assertEqual("".join(seen), output)
        self.assertGreater(len(seen), 3)
        self.assertTrue(all(part.endswith("\n") for part in seen))
        ran = run(steps.Compile(command=["x"]), command("x").exits(0, output))
        self.assertRegex(ran.summary, "20000 warnings")

    def test_hostile_pattern(self) -> None:
        """
        A search of one line that never ends fails the step, which says why.
        """
        shorten_searches(self, 0.05)
        step = steps.Compile(command=["x"], warningPattern="(a+)+b")
        ran = run(step, command("x").exits(0, "a" * 60 + "\n"))
        self.assertEqual(ran.result.name, "FAILURE")
        self.assertTrue(re.search("Make them simpler", ran.summary))
