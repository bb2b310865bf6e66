"""
Steps that run programs.
"""

import os
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import ConfigError
from buildbot_lite.master import steps
from buildbot_lite.master.config.mistakes import collecting
from buildbot_lite.master.steps import (
    Compile,
    Configure,
    MasterShellCommand,
    SetPropertyFromCommand,
    ShellCommand,
)
from buildbot_lite.model.interpolation import Interpolate
from buildbot_lite.model.outcome import Why
from buildbot_lite.model.rendering import (
    Property,
    Secret,
    renderer,
)
from buildbot_lite.model.results import Result
from buildbot_lite.model.spec import Run
from buildbot_lite.testing import (
    Finished,
    command,
    replay,
    run,
)

from .local_machine import LocalMachine


def spec_of(ran: Finished) -> Run:
    """
    The spec of the one program that was run.
    """
    [one] = ran.asked
    assert isinstance(one.spec, Run)
    return one.spec


def mistakes(text: str) -> list[str]:
    """
    The mistakes in *text*, a piece of a master.cfg.
    """
    with collecting({"master.cfg": "master.cfg"}) as found:
        exec(compile(text, "master.cfg", "exec"), {"__name__": "config", **vars(steps)})
    return [str(mistake) for mistake in found.found]


class ShellCommandTests(SynchronousTestCase):
    def test_list(self) -> None:
        """
        A list is passed word by word; nested lists are flattened, and numbers become text.
        """
        ran = run(ShellCommand(command=["make", ["-j", 4], "a b"]))
        self.assertEqual(spec_of(ran).argv, ("make", "-j", "4", "a b"))
        self.assertEqual(ran.commands, ["make -j 4 'a b'"])

    def test_string(self) -> None:
        """
        A string is run by the shell.
        """
        self.assertEqual(spec_of(run(ShellCommand(command="make | tail"))).script, "make | tail")

    def test_rendered(self) -> None:
        """
        Each part of a command can be rendered from properties.
        """
        step = ShellCommand(
            command=["echo", Property("n"), Interpolate("%(prop:branch)s!")], workdir=Interpolate("%(prop:branch)s/x")
        )
        ran = run(step, properties={"n": 7, "branch": "main"})
        self.assertEqual(spec_of(ran).argv, ("echo", "7", "main!"))
        self.assertEqual(spec_of(ran).workdir, "test/main/x")

    def test_defaults(self) -> None:
        """
        The defaults: workdir "build", 1200 s without output, and a failure that does not end the build.
        """
        step = ShellCommand(command="x")
        spec = spec_of(run(step))
        self.assertEqual((spec.workdir, spec.timeout, spec.max_time), ("test/build", 1200.0, None))
        self.assertEqual((step.haltOnFailure, step.flunkOnFailure), (False, True))

    def test_all_arguments(self) -> None:
        """
        Each argument sets its part of the spec.
        """
        step = ShellCommand(
            command="x",
            workdir=".",
            env={"A": "1", "B": None, "PATH": ["/opt/bin", "${PATH}"]},
            initialStdin="hello",
            timeout=None,
            maxTime=60,
            interruptSignal="sigint",
            sigtermTime=3,
            logfiles={"test.log": {"filename": "out/test.log"}, "b": "..b.log"},
            lazylogfiles=True,
            logMaxSize=1000,
            usePTY=True,
            leaveRunning=True,
        )
        self.assertEqual(
            spec_of(run(step)),
            Run(
                script="x",
                workdir="test",
                env={"A": "1", "B": None, "PATH": "/opt/bin:${PATH}"},
                stdin="hello",
                timeout=None,
                max_time=60.0,
                interrupt_signal="INT",
                sigterm_time=3.0,
                logfiles={"test.log": "out/test.log", "b": "..b.log"},
                cap=1000,
                pty=True,
                leave_running=True,
            ),
        )

    def test_exit_code(self) -> None:
        """
        Exit code 0 is SUCCESS; any other is FAILURE with the code in the summary.
        """
        self.assertEqual(run(ShellCommand(command="x")).result, Result.SUCCESS)
        ran = run(ShellCommand(command="x"), command("x").exits(3, "oh\n"))
        self.assertEqual((ran.result, ran.summary, ran.log()), (Result.FAILURE, "exit code 3", "oh\n"))

    def test_decode(self) -> None:
        """
        DecodeRC maps exit codes to results; a code that it does not have is FAILURE, even 0.
        """
        step = ShellCommand(command="x", decodeRC={1: Result.WARNINGS, 77: Result.SKIPPED})
        for code, result in {1: Result.WARNINGS, 77: Result.SKIPPED, 0: Result.FAILURE}.items():
            self.assertEqual(run(step, command("x").exits(code)).result, result)

    def test_separate_stderr(self) -> None:
        """
        SeparateStderr makes a separate log of standard error.
        """
        ran = run(ShellCommand(command="x", separateStderr=True), command("x").exits(0, "out", "err"))
        self.assertEqual((ran.log(), ran.log("stderr")), ("out", "err"))
        self.assertTrue(spec_of(ran).separate_stderr)

    def test_endings(self) -> None:
        """
        A signal, a timeout, a missing program and a full disk are failures with a sentence.
        """
        step = ShellCommand(command="x")
        for answer, words in (
            (command().dies("SEGV"), "SEGV"),
            (command().killed(Why.TIMEOUT), "wrote nothing"),
            (command().killed(Why.CAP), "too much"),
            (command().fails("No such program: x"), "No such program: x"),
            (command().killed(Why.DISK_FULL, "disk full"), "bot1: disk full"),
        ):
            ran = run(step, answer)
            self.assertEqual(ran.result, Result.FAILURE)
            self.assertIn(words, ran.summary)

    def test_lost(self) -> None:
        """
        A lost slave means RETRY; with onLost="fail", it means EXCEPTION without a retry.
        """
        self.assertEqual(run(ShellCommand(command="x"), command().lost()).ended.result, Result.RETRY)
        ran = run(ShellCommand(command="x", onLost="fail"), command().lost("bot1 burnt"))
        self.assertEqual((ran.result, ran.summary), (Result.EXCEPTION, "bot1 burnt"))

    def test_secret(self) -> None:
        """
        The recorded spec has only a reference to a secret; its value is sent separately.
        """
        ran = run(ShellCommand(command=["login", Secret("token")]), secrets={"token": "hunter22"})
        self.assertEqual(ran.asked[0].secrets, {"token": "hunter22"})
        self.assertNotIn("hunter22", repr(ran.asked[0].spec))
        self.assertEqual(ran.commands, ["login '*****'"])

    def test_subclass(self) -> None:
        """
        A subclass may set arguments as class attributes, and may wrap the constructor.
        """

        class Make(ShellCommand):
            command: Any = ("make", "all")
            timeout = 60

        class Target(Make):
            renderables = ("target",)

            def __init__(self, target: Any, **kwargs: Any) -> None:
                super().__init__(**kwargs)
                self.target = target

            async def run(self) -> Result:
                self.command = ["make", self.target]
                return await super().run()

        self.assertEqual(spec_of(run(Make())).timeout, 60)
        ran = run(Target(Property("t"), timeout=5), properties={"t": "docs"})
        self.assertEqual((spec_of(ran).argv, spec_of(ran).timeout), (("make", "docs"), 5.0))

    def test_rendered_wrongly(self) -> None:
        """
        A value that is wrong after rendering is an EXCEPTION that names the argument; nothing is run.
        """
        for step in (
            ShellCommand(command=["echo", Property("gone")]),
            ShellCommand(command="x", workdir=Interpolate("%(prop:x)s/../../..")),
            ShellCommand(command="x", timeout=renderer(lambda _: "soon")),
        ):
            ran = run(step)
            self.assertEqual((ran.result, ran.commands), (Result.EXCEPTION, []))
            self.assertIn("must be", ran.summary)

    def test_configure_compile_test(self) -> None:
        """
        Configure, Compile and Test have Buildbot's commands, names and flags.
        """
        self.assertEqual(run(Configure()).commands, ["./configure"])
        self.assertEqual(run(Compile()).commands, ["make all"])
        self.assertEqual(run(steps.Test()).commands, ["make test"])
        self.assertEqual(
            [step.name for step in (Configure(), Compile(), steps.Test())], ["configure", "compile", "test"]
        )
        self.assertEqual([step.haltOnFailure for step in (Configure(), Compile(), steps.Test())], [True, True, False])

    def test_on_master(self) -> None:
        """
        MasterShellCommand runs in the master's own keeper.
        """
        ran = run(MasterShellCommand(command="ls"))
        self.assertTrue(ran.asked[0].on_master)
        self.assertEqual(spec_of(ran).workdir, "test")

    def test_replay(self) -> None:
        """
        Promise 7: a command runs once, whenever the master crashes.
        """
        replay(ShellCommand(command="x"), command("x").exits(1, "text"))
        replay(MasterShellCommand(command="x"), command("x").exits(0, "text"))


class SetPropertyFromCommandTests(SynchronousTestCase):
    def test_property(self) -> None:
        """
        The property is the standard output without surrounding white space and without standard error.
        """
        step = SetPropertyFromCommand(command="uname -a", property="uname")
        ran = run(step, command("uname -a").exits(0, " Linux \n", "noise"))
        self.assertEqual(ran.properties, {"uname": "Linux"})

    def test_unstripped(self) -> None:
        """
        With strip=False, the property is the complete standard output.
        """
        step = SetPropertyFromCommand(command="x", property="p", strip=False)
        self.assertEqual(run(step, command().exits(0, " a\n")).properties, {"p": " a\n"})

    def test_failed(self) -> None:
        """
        A failed command sets no property.
        """
        ran = run(SetPropertyFromCommand(command="x", property="p"), command().exits(1, "a"))
        self.assertEqual((ran.result, ran.properties), (Result.FAILURE, {}))

    def test_function(self) -> None:
        """
        extract_fn gets the exit code and the outputs, and returns properties; it may be a coroutine function, and is
        called after a failure too.
        """

        async def extract(code: int, out: str, err: str) -> dict[str, object]:
            return {"seen": [code, out, err]}

        step = SetPropertyFromCommand(command="x", extract_fn=extract, includeStderr=True)
        ran = run(step, command().exits(2, "o", "e"))
        self.assertEqual((ran.result, ran.properties), (Result.FAILURE, {"seen": [2, "o", "e"]}))
        step = SetPropertyFromCommand(command="x", extract_fn=extract)
        self.assertEqual(run(step, command().exits(0, "o", "e")).properties, {"seen": [0, "o", ""]})

    def test_bad_function(self) -> None:
        """
        An extract_fn that returns no dictionary is a FAILURE with a sentence; one that raises is an EXCEPTION.
        """
        ran = run(SetPropertyFromCommand(command="x", extract_fn=lambda *_: "text"))
        self.assertEqual(ran.result, Result.FAILURE)
        self.assertIn("extract_fn returned 'text'", ran.summary)
        ran = run(SetPropertyFromCommand(command="x", extract_fn=lambda *_: 1 // 0))
        self.assertEqual(ran.result, Result.EXCEPTION)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_odd_bytes(self) -> None:
        """
        Bytes that are not UTF-8, and NULs, are replaced.
        """
        ran = run(SetPropertyFromCommand(command="x", property="p"), command().writes(b"a\xff\0b"))
        self.assertEqual(ran.properties, {"p": "a\ufffd\ufffdb"})

    def test_replay(self) -> None:
        """
        A replay sets the same properties.
        """
        replay(SetPropertyFromCommand(command="x", property="p"), command("x").exits(0, "1"))


class WorkdirTests(SynchronousTestCase):
    """
    Promise 8.6: commands work in other directories than the builder's where master.cfg says so.
    """

    def test_beside(self) -> None:
        """
        A workdir that begins with ../ is another directory of the slave's work, and not outside that.
        """
        for given, directory in (
            ("../cache", "cache"),
            ("../a/b/", "a/b"),
            (Interpolate("../of-%(prop:p)s/x"), "of-v1/x"),
        ):
            ran = run(ShellCommand(command=["true"], workdir=given), command(), properties={"p": "v1"})
            self.assertEqual(spec_of(ran).workdir, directory)
        ran = run(ShellCommand(command=["true"], workdir="../../etc"))
        self.assertEqual((ran.result, ran.commands), (Result.EXCEPTION, []))
        self.assertIn("leads out of its directory", ran.summary)

    def test_anywhere(self) -> None:
        """
        An absolute workdir, or one in the user's home, is entered by a shell, and made if it is not there; words reach
        the program as they are.
        """
        machine = LocalMachine(os.path.realpath(self.mktemp()))
        os.makedirs(machine.path())
        there = os.path.realpath(self.mktemp())
        program = ["/bin/sh", "-c", 'printf "%s;" "$PWD" "$@"', "sh", "a b", "$HOME", "~"]
        for given, directory in ((f"{there}/x y", f"{there}/x y"), ("~/x", f"{machine.root}/x")):
            self.assertIs(machine.run(ShellCommand(command=program, workdir=given)), Result.SUCCESS)
            self.assertEqual(machine.output, f"{directory};a b;$HOME;~;")
            self.assertIs(machine.run(ShellCommand(command='echo "$PWD"; exit 3', workdir=given)), Result.FAILURE)
            self.assertEqual(machine.output, f"{directory};a b;$HOME;~;{directory}\n")
            machine.output = ""

    def test_properties(self) -> None:
        """
        A property decides neither that it leads elsewhere, nor to which first name.
        """
        for given, value in (
            (Property("p"), "/etc"),
            (Property("p"), "../x"),
            (Interpolate("/srv%(prop:p)s"), "/../etc"),
        ):
            ran = run(ShellCommand(command=["true"], workdir=given), properties={"p": value})
            self.assertEqual((ran.result, ran.commands), (Result.EXCEPTION, []))


class MistakeTests(SynchronousTestCase):
    def test_listed(self) -> None:
        """
        Promise 11: each wrong argument is a mistake with its line.
        """
        for call, words in {
            "ShellCommand()": "needs the argument 'command'",
            "ShellCommand('x', command='x')": "takes no argument without a name",
            "SetProperty('a', 1, 2)": "takes only property and value without a name",
            "SetProperty('a', 1, value=2)": "has the argument 'value' twice",
            "ShellCommand(comand='x')": "no argument 'comand'.  Did you mean 'command'?",
            "ShellCommand(command=['x', None])": "each word of command must be text, not None",
            "ShellCommand(command='')": "command must be a list of words",
            "ShellCommand(command='x', workdir='a/../../etc')": "workdir must be a relative path",
            "ShellCommand(command='x', workdir='/srv/../etc')": "workdir must be a path with '..' only at its",
            "ShellCommand(command='x', workdir='/srv', logfiles={'a': 'x'})": "with logfiles, workdir must not be",
            "RemoveDirectory(dir='/srv')": "dir must be a relative path",
            "Git(repourl='r', workdir='/srv')": "workdir must be a relative path",
            "ShellCommand(command='x', timeout='soon')": "timeout must be a time in seconds",
            "ShellCommand(command='x', env=['A'])": "env must be a dictionary",
            "ShellCommand(command='x', env={'A=B': '1'})": "'A=B' cannot be the name of an environment variable",
            "ShellCommand(command='x', interruptSignal='FOO')": "interruptSignal must be the name of a signal",
            "ShellCommand(command='x', logfiles={'stdio': 'x'})": "'stdio' cannot be the name of a log",
            "ShellCommand(command='x', logfiles={'a': '../x'})": "not '../x'.  Let the command print the file",
            "ShellCommand(command='x', logfiles={'a': '/var/log/x'})": "must be the path of a file below the step's",
            "ShellCommand(command='x', logfiles={'a': {'filename': '~/x'}})": "not '~/x'.  Let the command print",
            "ShellCommand(command='x', logfiles={'a': {'filename': 'x', 'follow': 7}})": "must be True or False",
            "ShellCommand(command='x', logfiles={'a': {'filename': 'x', 'folow': True}})": "'filename' and 'follow'",
            "ShellCommand(command='x', decodeRC={'a': 1})": "is not an exit code and a result",
            "ShellCommand(command='x', usePTY=1, separateStderr=True)": "exclude each other",
            "ShellCommand(command='x', stdin='a', initialStdin='b')": "mean the same argument",
            "ShellCommand(command='x', logMaxSize=0)": "logMaxSize must be a whole number",
            "SetPropertyFromCommand(command='x')": "give either property",
            "SetPropertyFromCommand(command='x', property='a', extract_fn=len)": "give either property",
            "SetPropertyFromCommand(command='x', extract_fn='a')": "extract_fn must be a function",
            "ShellCommand(command='x', haltOnFailure='yes')": "haltOnFailure",
        }.items():
            found = mistakes("\n" + call)
            self.assertTrue(any(words in mistake for mistake in found), (call, found))
            self.assertTrue(all(mistake.startswith("master.cfg:2: ") for mistake in found), found)
            self.assertLessEqual(len(found), 2, found)

    def test_outside_a_configuration(self) -> None:
        """
        Outside a configuration, a mistake is raised at once.
        """
        self.assertRaises(ConfigError, ShellCommand, command="x", timeout="soon")
        self.assertRaises(ConfigError, ShellCommand, comand="x")

    def test_none(self) -> None:
        """
        None means "not given".
        """
        self.assertEqual(mistakes("ShellCommand(command='x', workdir=None, env=None, decodeRC=None)"), [])
