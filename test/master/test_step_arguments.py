"""
The declaration of step arguments, in today's form and in that of 0.1.0.
"""

import gc
import weakref
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import ConfigError
from buildbot_lite.master.config.loading import Generation, hash_of, load
from buildbot_lite.master.config.mistakes import MistakesError
from buildbot_lite.master.steps.argument import declaration
from buildbot_lite.model.results import Result
from buildbot_lite.model.spec import Run
from buildbot_lite.plugins import steps, util
from buildbot_lite.testing import command as expected
from buildbot_lite.testing import run

from .configurations import configured

argument, checks = util.argument, util.checks

BEFORE = """\
from buildbot_lite.plugins import schedulers, slave, steps, util
from buildbot_lite.master.mistakes import MISSING

class Wait(steps.BuildStep):
    name = "wait"
    arguments = {
        "delay": lambda at, name, value: at.seconds(name, value),
        "reason": lambda at, name, value: at.text(name, value),
        "limit": lambda at, name, value: at.whole(name, value),
    }
    positional = ("delay",)
    aliases = {"pause": "delay"}
    nullable = ("limit",)
    without_effect = ("verbose",)
    delay = 5
    reason = MISSING
    limit = 3

    async def run(self):
        await self.execute(["sleep", str(self.delay), self.reason, str(self.limit)])
        return util.SUCCESS

class Longer(Wait):
    delay = 10

class Make(steps.ShellCommand):
    command = ("make", "all")
    timeout = 60
    arguments = {"target": lambda at, name, value: at.text(name, value)}
    target = "all"

    async def run(self):
        self.command = ["make", self.target]
        return await super().run()

class Remote(steps.ShellCommand):
    arguments = {**steps.ShellCommand.arguments, "host": lambda at, name, value: at.text(name, value)}
    positional = (*steps.ShellCommand.positional, "host")
    aliases = {**steps.ShellCommand.aliases, "machine": "host"}
    nullable = (*steps.ShellCommand.nullable, "host")
    without_effect = (*steps.ShellCommand.without_effect, "verbose")
    host = "here"

    async def run(self):
        self.command = ["ssh", str(self.host), *self.command]
        return await super().run()

class Copy(steps.BuildStep):
    renderables = ["where"]

    def __init__(self, where, **kwargs):
        super().__init__(**kwargs)
        self.where = where

    async def run(self):
        await self.execute(["cp", "x", self.where])
        return util.SUCCESS

c = BuildmasterConfig = {
    "slaves": [slave.BuildSlave("bot1")],
    "schedulers": [],
    "builders": [util.BuilderConfig(name="b", slavenames=["bot1"], factory=util.BuildFactory([
        Wait(4, reason="none"),
        Wait(pause=util.Property("pause"), reason="none", limit=None, verbose=True),
        """
AFTER = """,
        Make(),
        Make(target=util.Property("target"), timeout=None, haltOnFailure=False),
        Remote("there", command=["cat"], initialStdin="x", timeout=None, verbose=True, logEnviron=False),
        Remote(machine=util.Property("target"), command=["cat"]),
        Remote(host=None, command=["cat"]),
        Copy(util.Interpolate("%(prop:target)s/x"), name="copy"),
    ]))],
}
"""
OF_0_1_0 = BEFORE + 'Longer(reason="none")' + AFTER


def stored(text: str) -> Generation:
    """
    The configuration of a stored generation, without files on the disk.
    """
    return load("/nowhere", files={"master.cfg": text})


class Wait(steps.BuildStep):  # type: ignore[name-defined, misc]  # a Namespace's attributes are Any
    """
    A user's step in today's form.
    """

    name = "wait"
    delay = argument(checks.seconds, positional=True, aliases=("pause",))
    limit = argument(checks.whole, default=3, nullable=True)
    reason = argument(checks.text, default="none", positional=True)

    async def run(self) -> Result:
        await self.execute(["sleep", str(self.delay), self.reason, str(self.limit)])
        return Result.SUCCESS


class ArgumentTests(SynchronousTestCase):
    """
    `util.argument` declares arguments of steps.
    """

    def test_given(self) -> None:
        """
        An argument is given by position, name or alias; otherwise it has its default.
        """
        for step, command in (
            (Wait(4), "sleep 4.0 none 3"),
            (Wait(4, "slow"), "sleep 4.0 slow 3"),
            (Wait(pause=4, reason="slow", limit=7), "sleep 4.0 slow 7"),
        ):
            self.assertEqual(run(step).commands, [command])

    def test_none(self) -> None:
        """
        None is a value of a nullable argument, and means "not given" for any other.
        """
        self.assertEqual(run(Wait(4, limit=None)).commands, ["sleep 4.0 none None"])
        self.assertEqual(run(Wait(4, reason=None)).commands, ["sleep 4.0 none 3"])

    def test_rendered(self) -> None:
        """
        A rendered value is checked in the build, with the same sentence as a plain value in master.cfg.
        """
        self.assertEqual(run(Wait(util.Property("p")), properties={"p": 2}).commands, ["sleep 2.0 none 3"])
        ran = run(Wait(util.Property("p")), properties={"p": "soon"})
        self.assertEqual(ran.summary, "wait: delay must be a time in seconds, 0 or more, not 'soon'.")
        error = self.assertRaises(ConfigError, Wait, "soon")
        self.assertEqual(str(error), "Wait: delay must be a time in seconds, 0 or more, not 'soon'.")

    def test_defaults_of_subclasses(self) -> None:
        """
        A subclass changes a default with a class attribute, which is checked too.
        """

        class Longer(Wait):
            delay = 10

        class Wrong(Wait):
            delay = "long"

        self.assertEqual(run(Longer()).commands, ["sleep 10.0 none 3"])
        self.assertEqual(Longer.delay * 2, 20)
        error = self.assertRaises(ConfigError, Wrong)
        self.assertEqual(str(error), "Wrong: delay must be a time in seconds, 0 or more, not 'long'.")

    def test_mistakes(self) -> None:
        """
        Missing, unknown, repeated and superfluous arguments are reported.
        """
        for args, kwargs, sentence in (
            ((), {}, "Wait needs the argument 'delay'."),
            (
                (1, "x", 2),
                {},
                "Wait takes only delay and reason without a name; give each of the others as name=value.",
            ),
            ((1,), {"delay": 2}, "Wait has the argument 'delay' twice: by its place and by its name."),
            ((), {"delay": 1, "pause": 2}, "Wait: delay and pause mean the same argument; give one of them."),
            ((1,), {"limits": 2}, "Wait has no argument 'limits'.  Did you mean 'limit'?"),
            ((1,), {"haltOnFailure": "no"}, "Wait: haltOnFailure must be True or False, not 'no'."),
            ((1,), {"onLost": "go"}, "Wait: onLost must be one of 'retry', 'fail', not 'go'."),
        ):
            error = self.assertRaises(ConfigError, Wait, *args, **kwargs)
            self.assertEqual(str(error), sentence)

    def test_common(self) -> None:
        """
        A subclass can set the arguments of all steps as class attributes, as in Buildbot.
        """

        class Quiet(Wait):
            description = "waiting"
            descriptionDone = "waited"
            onLost = "fail"
            doStepIf = True

        self.assertEqual(run(Quiet(1)).summary, "waited")
        self.assertEqual(
            run(Quiet(1, descriptionDone=util.Interpolate("%(prop:x)s")), properties={"x": "y"}).summary, "y"
        )
        self.assertEqual(run(Quiet(1, doStepIf=False)).result, Result.SKIPPED)

    def test_each_build_its_own(self) -> None:
        """
        Builds share nothing that a step may change: each has lists and dictionaries of its own, and the arguments of
        master.cfg.
        """

        class Changing(steps.ShellCommand):  # type: ignore[name-defined, misc]  # a Namespace's attributes are Any
            words = argument(checks.anything, default=None, rendered=False)

            async def run(self) -> Result:
                self.command.append(str(len(self.words)))
                self.words.append("x")
                self.timeout = None
                return Result(await super().run())

        step = Changing(command=["echo"], words=[], timeout=7)
        for _ in range(2):
            ran = run(step)
            self.assertEqual((ran.commands, step.command, step.words, step.timeout), (["echo 0"], ["echo"], [], 7.0))

    def test_own_constructor(self) -> None:
        """
        A constructor of the user's is called for each build, and what it sets is checked in the build.
        """
        made = []

        class Counting(Wait):
            def __init__(self, **kwargs: Any) -> None:
                super().__init__(delay=1, **kwargs)
                made.append(self)
                self.delay = "soon" if len(made) > 1 else 2

        step = Counting()
        self.assertEqual(run(step).summary, "wait: delay must be a time in seconds, 0 or more, not 'soon'.")
        self.assertEqual(len(made), 2)

    def test_changed_before_it_runs(self) -> None:
        """
        An argument that a function of the user's sets before the step runs is checked, as one that is rendered is.
        """

        def change(step: Any) -> bool:
            step.limit = step.getProperty("limit")
            return True

        step = Wait(1, doStepIf=change)
        self.assertEqual(run(step, properties={"limit": 5}).commands, ["sleep 1.0 none 5"])
        self.assertEqual(run(step, properties={"limit": 0}).summary, "wait: limit must be a whole number ≥ 1, not 0.")

    def test_tables_of_0_1_0(self) -> None:
        """
        Step classes and steps have the argument tables of 0.1.0, which are read-only.
        """
        shell = steps.ShellCommand
        self.assertEqual(shell.arguments["timeout"], checks.seconds)
        self.assertNotIn("haltOnFailure", shell.arguments)
        self.assertNotIn("logEnviron", shell.arguments)
        self.assertEqual(shell.positional, ())
        self.assertEqual(shell.aliases, {"initialStdin": "stdin"})
        self.assertEqual(shell.nullable, ("timeout", "maxTime", "logMaxSize"))
        self.assertEqual(shell.without_effect, ("lazylogfiles", "logEnviron", "collectStdout", "collectStderr"))
        self.assertEqual((Wait.positional, Wait(4).positional), (("delay", "reason"),) * 2)
        self.assertEqual((steps.BuildStep.arguments, steps.BuildStep.nullable), ({}, ()))
        with self.assertRaises(TypeError):
            shell.arguments["x"] = checks.text

    def test_classes_are_not_kept(self) -> None:
        """
        The step classes of a replaced configuration are freed.
        """

        class TemporaryStep(Wait):
            pass

        declaration(TemporaryStep)
        gone = weakref.ref(TemporaryStep)
        del TemporaryStep
        gc.collect()
        self.assertIsNone(gone())


class LateTests(SynchronousTestCase):
    def test_set_by_a_constructor(self) -> None:
        """
        An argument that a constructor of the configuration's own sets afterwards is not missing; a build renders it.
        """
        config = configured(
            """
            class Late(steps.ShellCommand):
                def __init__(self, **kwargs):
                    super().__init__(**kwargs)
                    self.command = ["echo", util.Property("word")]
            c["slaves"] = [slave.BuildSlave("bot1")]
            c["builders"] = [util.BuilderConfig("b", ["bot1"], util.BuildFactory([Late(name="late")]))]
            """
        )
        (step,) = config.builders["b"].steps
        ran = run(step, expected("echo x").exits(0), properties={"word": "x"})
        self.assertEqual(ran.result, Result.SUCCESS)


class StoredTests(SynchronousTestCase):
    """
    Users' steps of 0.1.0 in stored generations.
    """

    def steps(self) -> Any:
        """
        The steps of the stored generation.
        """
        generation = stored(OF_0_1_0)
        self.assertEqual(generation.hash, hash_of({"master.cfg": OF_0_1_0}))
        return generation.config.builders["b"].steps

    def test_tables(self) -> None:
        """
        The tables of 0.1.0 (arguments, positional, aliases, nullable, without_effect) keep their meaning.
        """
        first, second, longer, make, target, *_ = self.steps()
        self.assertEqual(run(first).commands, ["sleep 4.0 none 3"])
        self.assertEqual(run(second, properties={"pause": 2}).commands, ["sleep 2.0 none None"])
        self.assertEqual(run(longer).commands, ["sleep 10.0 none 3"])
        for step, command, timeout in ((make, "make all", 60.0), (target, "make docs", None)):
            ran = run(step, properties={"target": "docs"})
            spec = ran.asked[0].spec
            self.assertIsInstance(spec, Run)
            self.assertEqual((ran.commands, getattr(spec, "timeout", "")), ([command], timeout))

    def test_extended(self) -> None:
        """
        A step that extends the tables of a shipped step has the arguments of both.
        """
        there, rendered, nowhere = self.steps()[5:8]
        ran = run(there)
        self.assertEqual(ran.commands, ["ssh there cat"])
        spec = ran.asked[0].spec
        assert isinstance(spec, Run)
        self.assertEqual((spec.stdin, spec.timeout), ("x", None))
        self.assertEqual(run(rendered, properties={"target": "docs"}).commands, ["ssh docs cat"])
        self.assertEqual(run(nowhere).commands, ["ssh None cat"])
        declared, shipped = declaration(type(there)), declaration(steps.ShellCommand)
        self.assertEqual(declared.arguments.keys() - shipped.arguments.keys(), {"host", "verbose"})
        for name in ("command", "stdin", "timeout", "haltOnFailure"):
            self.assertEqual(attrs.asdict(declared.arguments[name]), attrs.asdict(shipped.arguments[name]))

    def test_constructor(self) -> None:
        """
        A constructor that passes keywords on, and a list of renderables, keep their meaning.
        """
        copy = self.steps()[-1]
        self.assertEqual(run(copy, properties={"target": "docs"}).commands, ["cp x docs/x"])
        self.assertEqual(copy.name, "copy")

    def test_mistakes(self) -> None:
        """
        Mistakes in steps of 0.1.0 are reported with their lines.
        """
        for wrong, sentence in (
            ("Wait(4)", "Wait needs the argument 'reason'."),
            ("Wait(4, 5, reason='x')", "Wait takes only delay without a name; give each of the others as name=value."),
            ("Wait('x', reason='x')", "Wait: delay must be a time in seconds, 0 or more, not 'x'."),
            ("Wait(dealy=4, reason='x')", "Wait has no argument 'dealy'.  Did you mean 'delay'?"),
        ):
            error = self.assertRaises(MistakesError, stored, BEFORE + wrong + AFTER)
            self.assertEqual(str(error), f"master.cfg:65: {sentence}")
