"""
Counting warnings.
"""

from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import ConfigError
from buildbot_lite.master.steps import counting
from buildbot_lite.master.steps.counting import Compile
from buildbot_lite.master.steps.warning_parser import read_suppressions
from buildbot_lite.model.results import Result
from buildbot_lite.plugins import steps
from buildbot_lite.testing import command, replay, run

OUTPUT = """\
make[1]: Entering directory '/b/lib'
a.c:7: warning: unused x
../b.c:9: Warning: odd
make[1]: Leaving directory '/b/lib'
a.c:8: warning: deprecated y
a.c: In function 'warnings'
no error
"""
GROUPS = r"^(.*?):(\d+): [wW]arning: (.*)$"
Rows = list[tuple[dict[str, Any], Result, list[str]]]


def warned(**arguments: Any) -> tuple[Result, list[str]]:
    """
    The result, and the lines of the log "warnings".
    """
    ran = run(steps.WarningCountingShellCommand(command=["make"], **arguments), command("make").exits(0, OUTPUT))
    lines = ran.log("warnings").splitlines()
    assert ran.properties.get("warnings-count", 0) == len(lines)
    return ran.result, [line.partition(":")[0] + line.partition(":")[2].partition(":")[0] for line in lines]


class WarningCountingTests(SynchronousTestCase):
    """
    Promise 8.6: warnings are counted, with Buildbot's arguments.
    """

    def test_arguments(self) -> None:
        """
        Each argument decides which lines count.
        """
        groups = {"warningPattern": GROUPS, "warningExtractor": steps.Compile.warnExtractFromRegexpGroups}
        everything = ["a.c7", "../b.c9", "a.c8"]
        rows: Rows = [
            ({}, Result.WARNINGS, everything),
            ({"warningPattern": None}, Result.SUCCESS, []),
            ({"warningPattern": ".*nothing"}, Result.SUCCESS, []),
            ({"warningPattern": ".*Warning"}, Result.WARNINGS, ["../b.c9"]),
            ({"warningPattern": "odd"}, Result.SUCCESS, []),
            ({"maxWarnCount": 3}, Result.WARNINGS, everything),
            ({"maxWarnCount": 2}, Result.FAILURE, everything),
            ({"maxWarnCount": 0}, Result.FAILURE, everything),
            ({"suppressionList": [(None, "unused", None, None)]}, Result.WARNINGS, ["../b.c9", "a.c8"]),
            ({"suppressionList": [("a.c", None, None, None)]}, Result.WARNINGS, everything),
            ({**groups, "suppressionList": [("a.c", None, None, None)]}, Result.WARNINGS, ["../b.c9"]),
            ({**groups, "suppressionList": [("^/b/b.c$", None, None, None)]}, Result.WARNINGS, ["a.c7", "a.c8"]),
            ({**groups, "suppressionList": [("^/b/lib/a.c$", "unused", 7, 7)]}, Result.WARNINGS, ["../b.c9", "a.c8"]),
            ({**groups, "suppressionList": [("a.c", "unused", 8, 9)]}, Result.WARNINGS, everything),
            ({**groups, "suppressionList": [(None, None, 1, 99)]}, Result.SUCCESS, []),
            ({**groups, "suppressionList": [("^/b/", None, None, None)], "directoryEnterPattern": None},
             Result.WARNINGS, everything),
            ({**groups, "suppressionList": [("^/b/lib/a.c$", None, None, None)], "directoryLeavePattern": None},
             Result.WARNINGS, ["../b.c9"]),
            ({"warningExtractor": lambda step, line, match: (None, 1, step.name), "suppressionList":
              [(None, "^shell$", None, None)]}, Result.SUCCESS, []),
        ]  # fmt: skip
        for arguments, result, lines in rows:
            with self.subTest(arguments):
                self.assertEqual(warned(**arguments), (result, lines))

    def test_class_attributes(self) -> None:
        """
        A subclass may set the patterns and the extractor in its body, also one of its own.
        """

        class Own(Compile):
            warningPattern = GROUPS
            suppressionList = (("a.c", None, None, None),)

            def warningExtractor(self, line: str, match: Any) -> Any:
                return match[1], int(match[2]), self.name

        ran = run(Own(), command("make all").exits(0, OUTPUT))
        self.assertEqual(ran.log("warnings"), "../b.c:9: Warning: odd\n")
        self.assertEqual(ran.summary, "1 warning")

    def test_file(self) -> None:
        """
        A suppression file is read on the slave first; a missing or wrong one fails the step.
        """
        step = steps.Compile(
            warningPattern=GROUPS,
            warningExtractor=steps.Compile.warnExtractFromRegexpGroups,
            suppressionFile="supp",
            workdir="b",
        )
        good = "# comment\n\na\\.c : unused : 7-9\nb.c : .* # not a comment : 1\n"
        ran = replay(step, command("cat supp").exits(0, good), command("make all").exits(0, OUTPUT))
        self.assertEqual(ran.log("warnings"), "../b.c:9: Warning: odd\na.c:8: warning: deprecated y\n")
        self.assertEqual(run(step, command("cat supp").exits(1)).result, Result.FAILURE)
        wrong = run(step, command("cat supp").exits(0, "a\n"))
        self.assertEqual(wrong.result, Result.FAILURE)
        self.assertIn("line 1", wrong.summary)
        with self.assertRaisesRegex(ValueError, "line 2"):
            read_suppressions("a:b\n(:c")

    def test_hostile_suppressions(self) -> None:
        """
        Expressions in a file of the slave's that never come to an end fail the step; they do not stop the master.
        """
        endless: dict[str, Any] = {"read_suppressions": lambda text: sum(iter(lambda: 0, 1))}
        output = "a.c:1: warning: " + "a" * 60 + "\n"
        rest = [command("make all").exits(0, output)]
        # Only what never ends has a limit here: what does end may take its time on a busy machine.
        for evil, after, replaced in (
            (".* : (a+)+b\n", rest, {"_LONGEST_SEARCH_OF_FILE": 0.05}),
            (".* : a\n", [], {"_LONGEST_READING": 0.05, **endless}),
        ):
            with self.subTest(evil), mock.patch.multiple(counting, **replaced):
                step = steps.Compile(
                    suppressionFile="supp",
                    warningPattern=GROUPS,
                    workdir="b",
                    warningExtractor=steps.Compile.warnExtractFromRegexpGroups,
                )
                ran = run(step, command("cat supp").exits(0, evil), *after)
                self.assertEqual(ran.result, Result.FAILURE)
                self.assertIn("take longer than", ran.summary)

    def test_failure(self) -> None:
        """
        A failure stays one, with its warnings; counts of several steps add up in the property.
        """
        ran = replay(steps.Compile(), command("make all").exits(2, OUTPUT), properties={"warnings-count": 4})
        self.assertEqual((ran.result, ran.summary), (Result.FAILURE, "exit code 2, 3 warnings"))
        self.assertEqual(ran.properties["warnings-count"], 7)

    def test_test(self) -> None:
        """
        Test counts nothing without a pattern.
        """
        self.assertEqual(run(steps.Test(), command("make test").exits(0, OUTPUT)).result, Result.SUCCESS)
        ran = run(steps.Test(warningPattern=".*odd"), command("make test").exits(0, OUTPUT))
        self.assertEqual((ran.result, ran.log("warnings")), (Result.WARNINGS, "../b.c:9: Warning: odd\n"))

    def test_mistakes(self) -> None:
        """
        Wrong expressions and lists are mistakes of the configuration.
        """
        for arguments in (
            {"warningPattern": "("},
            {"warningPattern": 3},
            {"suppressionList": "a"},
            {"suppressionList": [("a", "b")]},
            {"suppressionList": [("(", None, None, None)]},
            {"suppressionList": [(None, None, "a", None)]},
            {"maxWarnCount": -1},
            {"warningExtractor": 3},
            {"suppressionFile": "/etc/passwd"},
        ):
            with self.subTest(arguments), self.assertRaises(ConfigError):
                steps.Compile(**arguments)
