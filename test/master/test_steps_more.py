"""
Sequences, tools, and smaller steps: a row for each of Buildbot's arguments.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import ConfigError
from buildbot_lite.master.steps import ShellSequence
from buildbot_lite.master.steps.outcomes import LONGEST_COMPLAINT
from buildbot_lite.model.outcome import Why
from buildbot_lite.model.results import Result
from buildbot_lite.plugins import steps, util
from buildbot_lite.testing import Finished, command, replay, run


def spec_of(ran: Finished, number: int) -> Any:
    """
    The spec of a command.
    """
    return ran.asked[number].spec


class SequenceTests(SynchronousTestCase):
    """
    Promise 8.6: several programs in one step.
    """

    def test_flags(self) -> None:
        """
        What the result of the first of two programs makes of the step, and whether the second runs.
        """
        plain: dict[str, Any] = {}
        rows: list[tuple[dict[str, Any], int, Result, int]] = [
            (plain, 0, Result.SUCCESS, 2),
            (plain, 1, Result.FAILURE, 2),
            ({"haltOnFailure": True}, 1, Result.FAILURE, 1),
            ({"flunkOnFailure": False}, 1, Result.SUCCESS, 2),
            ({"flunkOnFailure": False, "warnOnFailure": True}, 1, Result.WARNINGS, 2),
            ({"flunkOnFailure": False, "haltOnFailure": True}, 1, Result.SUCCESS, 1),
            (plain, 3, Result.SUCCESS, 2),
            ({"warnOnWarnings": True}, 3, Result.WARNINGS, 2),
            ({"flunkOnWarnings": True}, 3, Result.FAILURE, 2),
        ]
        for flags, code, result, count in rows:
            with self.subTest(flags=flags, code=code):
                step = steps.ShellSequence(
                    commands=[util.ShellArg(command=["a", util.Property("x")], **flags), util.ShellArg("b | c")],
                    decodeRC={0: Result.SUCCESS, 3: Result.WARNINGS},
                    workdir="w",
                    env={"A": "1"},
                )
                answers = [command("a 7").exits(code), command("b | c")][:count]
                ran = replay(step, *answers, properties={"x": 7})
                self.assertEqual(ran.result, result)
                self.assertEqual({spec_of(ran, n).workdir.rpartition("/")[2] for n in range(count)}, {"w"})

    def test_logname(self) -> None:
        """
        The output of a program with a log of its own is there, too.
        """
        for name in ("logname", "logfile"):
            step = steps.ShellSequence([util.ShellArg(command="make", **{name: "make"})])
            ran = replay(step, command("make").exits(1, "text\n"))
            self.assertEqual((ran.log("make"), ran.log()), ("text\n", "text\n"))
            self.assertEqual(ran.summary, "make: exit code 1")

    def test_left_out(self) -> None:
        """
        Empty commands are left out, and those that a subclass does not want; the list may be rendered.
        """

        class Own(ShellSequence):
            def shouldRunTheCommand(self, command: Any) -> bool:
                return bool(command) and command != ["no"]

        commands = util.renderer(lambda props: [util.ShellArg(each) for each in (["no"], [], ["yes"])])
        self.assertEqual(run(Own(commands=commands), command("yes")).result, Result.SUCCESS)

    def test_mistakes(self) -> None:
        """
        What is no ShellArg is refused.
        """
        for given in (["make"], "make", 3):
            with self.subTest(given), self.assertRaises(ConfigError):
                steps.ShellSequence(commands=given)
        for arguments in ({}, {"command": "a", "logname": 3}, {"command": "a", "haltOnFailure": "no"}):
            with self.subTest(arguments), self.assertRaises(ConfigError):
                util.ShellArg(**arguments)


class SmallStepTests(SynchronousTestCase):
    """
    Promise 8.6: steps that look at the slave, or send something small.
    """

    def test_environment(self) -> None:
        """
        Properties are made of the variables that are set; their values may have several lines.
        """
        step = steps.SetPropertiesFromEnv(variables=["HOME", "A", "B"])
        printed = command("*print-variables HOME A B").exits(0, "HOME=/h\0\nA=x=1\n2\0\nOTHER=1\0\n")
        self.assertEqual(replay(step, printed).properties, {"HOME": "/h", "A": "x=1\n2"})
        self.assertEqual(run(steps.SetPropertiesFromEnv("A")).properties, {})
        with self.assertRaisesRegex(ConfigError, "name of an environment variable"):
            steps.SetPropertiesFromEnv(variables=["A; rm -rf /"])

    def test_copy(self) -> None:
        """
        The target is removed, made and filled; neither directory may be in the other.
        """
        ran = replay(steps.CopyDirectory(src="build/a", dest="b", timeout=None, maxTime=9))
        self.assertEqual(ran.commands, ["rmdir b", "mkdir b", "cp -pPR ../build/a/. ."])
        self.assertEqual((spec_of(ran, 2).timeout, spec_of(ran, 2).max_time), (None, 9.0))
        failed = run(steps.CopyDirectory("a", "b"), command("rmdir b"), command("mkdir b").fails("No room."))
        self.assertEqual((failed.result, failed.summary), (Result.FAILURE, "No room."))
        for src, dest in [("a", "a/b"), ("a/b", "a"), ("a", "a"), (".", "a")]:
            with self.subTest(src=src, dest=dest), self.assertRaisesRegex(ConfigError, "may be in the other"):
                steps.CopyDirectory(src, dest)

    def test_exists(self) -> None:
        """
        A missing file is FAILURE, and says so.
        """
        self.assertEqual(run(steps.FileExists(file="build/-x"), command("test -f ./build/-x")).result, Result.SUCCESS)
        ran = replay(steps.FileExists("a"), command().exits(1))
        self.assertEqual((ran.result, ran.summary), (Result.FAILURE, "a does not exist, or is not a file"))

    def test_assert(self) -> None:
        """
        The condition is computed in the build.
        """
        step = steps.Assert(check=util.Property("arch") == "arm64")
        self.assertEqual(run(step, properties={"arch": "arm64"}).result, Result.SUCCESS)
        self.assertEqual(run(step, properties={"arch": "x86"}).result, Result.FAILURE)
        self.assertEqual(run(steps.Assert(False)).result, Result.FAILURE)

    def test_log(self) -> None:
        """
        The rendered value is in the log.
        """
        self.assertEqual(run(steps.LogRenderable([util.Property("a")]), properties={"a": 1}).log("Output"), "[1]\n")

    def test_json(self) -> None:
        """
        Values, and the build, arrive as JSON.
        """
        ran = replay(
            steps.JSONStringDownload({"a": util.Property("n")}, workerdest="x", mode=0o600), properties={"n": 7}
        )
        self.assertEqual((json.loads(ran.asked[0].read), spec_of(ran, 0).mode), ({"a": 7}, 0o600))
        ran = replay(steps.JSONPropertiesDownload(slavedest="x"), properties={"n": 7}, sources={"": {"branch": "m"}})
        found = json.loads(ran.asked[0].read)
        self.assertEqual((found["properties"]["n"], found["sourcestamps"]), (7, [{"codebase": "", "branch": "m"}]))

    def test_uploads(self) -> None:
        """
        Each file and directory becomes an artifact; a missing one fails the step with its name.
        """
        step = steps.MultipleFileUpload(workersrcs=["a b", "d*"], masterdest="out", glob=True, url="u", workdir="w")
        ran = replay(
            step,
            command("*list-files glob './a b' './d*'").exits(0, "a b\ndir/d1/\n"),
            command("upload w/a b").uploads(b"A"),
            command("upload-directory w/dir/d1").uploads(b"D"),
        )
        self.assertEqual(ran.artifacts, {"out/a b": b"A", "out/d1.tar": b"D"})
        self.assertIn("out: u", ran.remarks)
        failed = run(steps.MultipleFileUpload(["x"], "out"), command().exits(1, "./x does not exist\n"))
        self.assertEqual((failed.result, failed.summary), (Result.FAILURE, "./x does not exist"))
        failed = run(steps.MultipleFileUpload(["x"], "out"), command().exits(1, "y" * 100_000))
        self.assertEqual(failed.summary, "y" * LONGEST_COMPLAINT)
        stopped = run(steps.MultipleFileUpload(["x"], "out"), command().killed(Why.INTERRUPTED))
        self.assertEqual((stopped.result, stopped.summary), (Result.CANCELLED, "interrupted"))
        escaped = run(steps.MultipleFileUpload(["*"], "out", glob=True), command().exits(0, "../etc/passwd\n"))
        self.assertIs(escaped.result, Result.EXCEPTION)
        self.flushLoggedErrors()

    def test_list_is_readable(self) -> None:
        """
        The list of files, which is in the step's log, has one name on each line; a name with a line break is refused.
        """
        directory = self.mktemp()
        os.makedirs(os.path.join(directory, "sub dir"))
        for name in ("a b", "-n"):
            Path(directory, name).touch()
        step = steps.MultipleFileUpload(["a b", "-n", "sub*"], "out", glob=True)
        words = spec_of(run(step, command().exits(1, "stopped")), 0).argv

        def listed() -> tuple[int, str]:
            ran = subprocess.run(words, cwd=directory, capture_output=True, text=True, check=False)
            return ran.returncode, ran.stdout + ran.stderr

        self.assertEqual(listed(), (0, "a b\n-n\nsub dir/\n"))
        Path(directory, "sub\nx").touch()
        code, said = listed()
        self.assertEqual((code, said.splitlines()[-1]), (1, "the name of a file has a line break in it"))

    def test_files_with_one_name(self) -> None:
        """
        Two files that would be one artifact are refused before anything is sent; one that is named twice is sent once.
        """
        for listed, artifact in {
            "a/log\nb/log\n": "out/log",
            "x/\nx.tar\n": "out/x.tar",
            "x/\ny/x/\n": "out/x.tar",
        }.items():
            with self.subTest(listed):
                ran = run(steps.MultipleFileUpload(["*"], "out", glob=True), command().exits(0, listed))
                self.assertIs(ran.result, Result.FAILURE)
                self.assertIn(f"would both be the artifact {artifact!r}, so nothing was sent", ran.summary)
        again = command().exits(0, "a\n./a\na\n")
        ran = run(
            steps.MultipleFileUpload(["a", "*"], "out", glob=True), again, command("upload build/a").uploads(b"A")
        )
        self.assertEqual((ran.artifacts, ran.summary), ({"out/a": b"A"}, "1 file sent"))


class ToolTests(SynchronousTestCase):
    """
    Promise 8.6: commands of tools, and what is made of their output.
    """

    def test_commands(self) -> None:
        """
        Each argument is in the command.
        """
        rows: list[tuple[Any, str]] = [
            (steps.CMake(), "cmake"),
            (steps.CMake("src", "Ninja", {"A": True, "B": "x y", "C": 3}, ["-Wdev"], "cmake3"),
             "cmake3 -G Ninja -DA=1 '-DB=x y' -DC=3 -Wdev src"),
            (steps.CMake("src", definitions={}, options=[]), "cmake src"),
            (steps.CMake(path=util.Property("p"), definitions={"P": util.Property("p")}), "cmake -DP=src src"),
            (steps.Trial(tests="app.test"), "trial --reporter=bwverbose app.test"),
            (steps.Trial(python=["python3", "-W"], trial="bin/trial", trialMode=["-v"], trialArgs=["-x"], jobs=2,
                         recurse=True, reactor="poll", randomly=True, tests=["a", "b"]),
             "python3 -W bin/trial -v --jobs=2 --recurse --reactor=poll --random=0 -x a b"),
            (steps.Sphinx("doc", "out"), "sphinx-build doc out"),
            (steps.Sphinx(sphinx_builddir="o", sphinx_builder="html", sphinx="sb", tags=["a"], strict_warnings=True,
                          defines={"x": False}, mode="full"), "sb -b html -t a -D x=0 -E -W . o"),
            (steps.PyFlakes(), "make pyflakes"),
            (steps.PyLint(command=["pylint", "app"]), "pylint app"),
            (steps.DebLintian(util.Interpolate("%(prop:p)s.deb")), "lintian -v src.deb"),
            (steps.DebLintian(fileloc="a.changes", suppressTags=["x", "y"]),
             "lintian -v --suppress-tags x,y a.changes"),
            (steps.DebLintian(command="lintian *.deb"), "lintian *.deb"),
            (steps.RpmLint(), "rpmlint -i ."),
            (steps.RpmLint(fileloc="a.spec", config="lint.conf"), "rpmlint -i -f lint.conf a.spec"),
            (steps.RemovePYCs(), "find . -name '*.pyc' -exec rm '{}' +"),
            (steps.TreeSize(), "du -s -k ."),
            (steps.Trial(command=["own"]), "own"),
        ]  # fmt: skip
        for step, expected in rows:
            with self.subTest(expected):
                self.assertEqual(run(step, properties={"p": "src"}).commands, [expected])

    def test_trial(self) -> None:
        """
        The tests' path is in front of PYTHONPATH, the log is followed, and the summary has the counts.
        """
        ran = replay(
            steps.Trial(tests="a", testpath="lib"), command().exits(1, "Ran 9 tests in 1s\n\nFAILED (failures=2)\n")
        )
        self.assertEqual(spec_of(ran, 0).env["PYTHONPATH"], "lib:${PYTHONPATH}")
        self.assertEqual(spec_of(ran, 0).logfiles, {"test.log": "_trial_temp/test.log"})
        self.assertEqual((ran.result, ran.summary), (Result.FAILURE, "9 tests, failures=2"))
        self.assertNotIn("PYTHONPATH", spec_of(run(steps.Trial(tests="a", testpath=None)), 0).env)

    def test_linters(self) -> None:
        """
        Findings are counted by kind; those that matter fail the step.
        """
        flakes = "a.py:1: 'os' imported but unused\na.py:2: undefined name 'x'\na.py:3: odd\n# text\n"
        ran = replay(steps.PyFlakes(), command().exits(1, flakes))
        self.assertEqual(ran.result, Result.FAILURE)
        self.assertEqual(
            [ran.properties[f"pyflakes-{each}"] for each in ("unused", "undefined", "redefs", "total")], [1, 1, 0, 3]
        )
        self.assertEqual(ran.log("undefined"), "a.py:2: undefined name 'x'\n")
        lint = "************* Module a\nC0111:  1,0: Missing docstring\na.py:3:1: W0611: unused (x)\n"
        ran = run(steps.PyLint(command="pylint a"), command().exits(20, lint))
        self.assertEqual((ran.result, ran.summary), (Result.WARNINGS, "convention=1 warning=1"))
        ran = run(steps.PyLint(command="pylint a"), command().exits(2, "a.py:3:1: E0611: no name (x)\n"))
        self.assertEqual(ran.result, Result.FAILURE)
        self.assertEqual(run(steps.PyLint(command="pylint a")).result, Result.SUCCESS)

    def test_sphinx(self) -> None:
        """
        Warnings make it WARNINGS.
        """
        ran = run(steps.Sphinx("a", "b"), command().exits(0, "a.rst:1: WARNING: odd\nok\n"))
        self.assertEqual((ran.result, ran.log("warnings")), (Result.WARNINGS, "a.rst:1: WARNING: odd\n"))

    def test_tree_size(self) -> None:
        """
        The size becomes a property; output without one gives WARNINGS.
        """
        self.assertEqual(run(steps.TreeSize(), command().exits(0, "12\t.\n")).properties, {"tree-size-KiB": 12})
        self.assertEqual(run(steps.TreeSize(), command().exits(0, "?\n")).result, Result.WARNINGS)


SUBUNIT = """time: 2026-11-29 07:00:00Z
test: a
success: a
test: b
failure: b [ multipart
Content-Type: text/plain
success: not one
]
error: c [
Traceback
]
skip: d [
reason
]
xfail e
noise: success: f
"""


class SubunitTests(SynchronousTestCase):
    """
    Promise 8.6: tests that write a subunit stream.
    """

    def test_counts(self) -> None:
        """
        Failures are counted, and shown; the exit code counts, too.
        """
        ran = replay(steps.SubunitShellCommand(command="t"), command("t").exits(0, SUBUNIT))
        self.assertEqual(
            (ran.result, ran.summary), (Result.FAILURE, "5 tests, 2 passed, 1 failed, 1 errors, 1 skipped")
        )
        wanted = "failure: b\n    Content-Type: text/plain\n    success: not one\nerror: c\n    Traceback\n"
        self.assertEqual(ran.log("problems"), wanted)
        rows: list[tuple[dict[str, Any], int, str, Result, str]] = [
            ({}, 0, "successful a\n", Result.SUCCESS, "1 test, 1 passed"),
            ({}, 1, "success: a\n", Result.FAILURE, "1 test, 1 passed"),
            ({}, 0, "uxsuccess: a\n", Result.FAILURE, "1 test, 1 failed"),
            ({}, 0, "", Result.SUCCESS, "no tests ran"),
            ({"failureOnNoTests": False}, 0, "", Result.SUCCESS, "no tests ran"),
            ({"failureOnNoTests": True}, 0, "", Result.FAILURE, "no tests ran"),
            ({"failureOnNoTests": True}, 0, "success: a", Result.SUCCESS, "1 test, 1 passed"),
        ]
        for given, code, output, result, summary in rows:
            with self.subTest(given, output=output):
                ran = run(steps.SubunitShellCommand(command="t", **given), command("t").exits(code, output))
                self.assertEqual((ran.result, ran.summary), (result, summary))

    def test_long_lines(self) -> None:
        """
        A long line of white space takes no longer to read than one of other characters.
        """
        for end in ("", "b"):
            output = f"error: a{' ' * (1 << 19)}{end}\n"
            ran = run(steps.SubunitShellCommand(command="t"), command("t").exits(1, output))
            self.assertEqual(ran.summary, "1 test, 1 errors")
