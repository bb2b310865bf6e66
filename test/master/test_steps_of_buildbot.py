"""
Buildbot's arguments of steps: a row for each.
"""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import ConfigError
from buildbot_lite.model.results import Result
from buildbot_lite.plugins import steps, util
from buildbot_lite.testing import command, replay, run


class ArgumentTableTests(SynchronousTestCase):
    """
    Promise 8.6: arguments as people write them.
    """

    def test_taken(self) -> None:
        """
        Arguments that say how the program runs reach the slave; the others change nothing.
        """
        plain = {"command": ["make"]}
        rows: list[tuple[dict[str, Any], str, Any]] = [
            ({"interruptSignal": 15}, "interrupt_signal", "TERM"),
            ({"interruptSignal": 9}, "interrupt_signal", "KILL"),
            ({"interruptSignal": "INT"}, "interrupt_signal", "INT"),
            ({"want_stdout": True, "want_stderr": 1}, "argv", ("make",)),
            ({"want_stdout": False}, "argv", ("/bin/sh", "-c", 'exec "$@" 1>/dev/null', "make", "make")),
            ({"want_stderr": False}, "argv", ("/bin/sh", "-c", 'exec "$@" 2>/dev/null', "make", "make")),
            ({"command": "make -s", "want_stdout": False}, "script", "exec 1>/dev/null\nmake -s"),
            ({"command": "make -s", "want_stdout": False, "want_stderr": False}, "script",
             "exec 1>/dev/null 2>/dev/null\nmake -s"),
            ({"collectStdout": True, "collectStderr": True}, "argv", ("make",)),
            ({"logEncoding": "latin-1", "useProgress": False, "progressMetrics": ()}, "argv", ("make",)),
            ({"updateBuildSummaryPolicy": []}, "argv", ("make",)),
        ]  # fmt: skip
        for given, field, expected in rows:
            with self.subTest(given):
                ran = run(steps.ShellCommand(**{**plain, **given}))
                self.assertEqual(getattr(ran.asked[0].spec, field), expected)

    def test_flags(self) -> None:
        """
        A flag may be 1, 0 or the text of True; the text of False is refused, because Buildbot takes it for true.
        """
        for given, expected in [(1, True), (0, False), ("true", True), ("True", True), (True, True)]:
            self.assertIs(steps.Compile(haltOnFailure=given).haltOnFailure, expected)
        for given in ("False", "false", "no", 2, util.Property("x")):
            with self.subTest(given), self.assertRaisesRegex(ConfigError, "must be True or False"):
                steps.Compile(haltOnFailure=given)

    def test_url(self) -> None:
        """
        The link of an uploaded file becomes a remark, once it is uploaded.
        """
        rows = [
            (steps.FileUpload("a", "out/a.tgz", url="https://example.org/a"), "a.tgz: https://example.org/a"),
            (steps.FileUpload("a", "b", url="https://example.org/a", urlText="A"), "A: https://example.org/a"),
            (steps.DirectoryUpload("a", "b", url=util.Interpolate("x%(prop:n)s")), "b.tar: x7"),
        ]
        for step, expected in rows:
            self.assertIn(expected, run(step, properties={"n": 7}).remarks)
        failed = run(steps.FileUpload("a", "b", url="https://example.org/a"), command().fails("No."))
        self.assertNotIn("b: https://example.org/a", failed.remarks)

    def test_set_property_of_0_8(self) -> None:
        """
        ``SetProperty(command=…)`` sets the property from the output of a command.
        """
        rows: list[tuple[dict[str, Any], dict[str, Any]]] = [
            ({"property": "v"}, {"v": "1.0"}),
            ({"extract_fn": lambda code, out, err: {"n": len(out)}, "workdir": "b", "env": {"A": "1"}}, {"n": 4}),
        ]
        for given, expected in rows:
            step = steps.SetProperty(command=["describe"], **given)
            ran = replay(step, command("describe").exits(0, "1.0\n"))
            self.assertEqual(ran.properties, expected)
        self.assertEqual(run(steps.SetProperty("a", "b")).properties, {"a": "b"})

    def test_directories(self) -> None:
        """
        ``workdir`` changes nothing for directories, as in Buildbot.
        """
        self.assertEqual(run(steps.MakeDirectory("build/a", workdir="x")).commands, ["mkdir build/a"])
        self.assertEqual(run(steps.RemoveDirectory(dir="build/a", workdir="x")).commands, ["rmdir build/a"])


class DoStepIfTests(SynchronousTestCase):
    """
    Comparisons as conditions.
    """

    def test_comparison(self) -> None:
        """
        Promise 8.6: ``doStepIf=util.Property("branch") == "main"`` runs the step for that branch alone.
        """
        step = steps.ShellCommand(command=["make"], doStepIf=util.Property("branch") == "main")
        self.assertEqual(run(step, properties={"branch": "main"}).result, Result.SUCCESS)
        self.assertEqual(run(step, properties={"branch": "other"}).result, Result.SKIPPED)
