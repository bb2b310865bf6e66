"""
Commands that ask a master.
"""

import hashlib
import json
import os
import re
from typing import Any
from unittest import mock

import click

from buildbot_lite.cli import processes
from buildbot_lite.cli.asking.download import DownloadedFile
from buildbot_lite.cli.output import printing
from buildbot_lite.cli.program import (
    FAILED,
    NO_ANSWER,
    USAGE,
    program,
)
from buildbot_lite.errors import (
    BuildbotLiteError,
    InputError,
    NoAnswerError,
    NotFoundError,
)

from .command_line_case import (
    FURL,
    CommandLineCase,
    FakeMaster,
)

BUILD: dict[str, Any] = {
    "builder": "hello",
    "number": 1,
    "request": 1,
    "result": "SUCCESS",
    "reason": "",
    "slave": "bot1",
    "branch": "main",
    "revision": None,
    "asked": {"by": None, "scheduler": "force", "reason": "forced", "at": 0.5},
    "started": 1.0,
    "finished": 2.0,
    "steps": [{"name": "greet", "result": "SUCCESS", "logs": ["stdio"], "summary": "greet"}],
}


class FarmCommandCase(CommandLineCase):
    def setUp(self) -> None:
        """
        A farm.
        """
        super().setUp()
        self.make_farm()


class ListCommandTests(FarmCommandCase):
    def test_json(self) -> None:
        """
        With --json, the output is the master's document.
        """
        self.master.answers = {"builds": {"builds": [BUILD]}}
        said = self.command("builds", "farm", "--json")

        self.assertEqual((said.code, json.loads(said.out)), (0, [BUILD]))

    def test_table(self) -> None:
        """
        Without --json, the output is a table, whose lines are not wrapped when it is no terminal.
        """
        self.master.answers = {"builds": {"builds": [{**BUILD, "reason": "x" * 300}]}}
        lines = self.command("builds", "farm").out.splitlines()

        self.assertEqual(len(lines), 2)
        self.assertTrue(lines[1].startswith("hello/1  SUCCESS  bot1 "), lines[1])
        self.assertTrue(lines[1].endswith("x" * 300), lines[1])

    def test_narrow_terminal(self) -> None:
        """
        On a narrow terminal, the lines of a table are longer than the terminal, and its columns are complete.
        """
        self.master.answers = {"builds": {"builds": [{**BUILD, "reason": "it is so"}]}}
        with mock.patch.dict(os.environ, COLUMNS="30"), mock.patch.object(printing, "on_a_terminal", return_value=True):
            lines = self.command("builds", "farm").out.splitlines()

        self.assertRegex(lines[1], r"^hello/1  SUCCESS  bot1   1970-01-0\d  1\.0 s  1        main$")
        self.assertTrue(lines[2].startswith("    it is so  force: "), lines)

    def test_words_of_narrow_tables(self) -> None:
        """
        No word of a table is lost or broken, however narrow the terminal is.
        """
        asked = {"by": "admin", "scheduler": "force", "reason": "because I sent stdin.patch", "at": 0.0}
        self.master.answers = {
            "builds": {"builds": [{**BUILD, "reason": reason, "asked": asked} for reason in ("", "step test: failure")]}
        }
        for width in range(30, 140, 5):
            with (
                mock.patch.dict(os.environ, COLUMNS=str(width)),
                mock.patch.object(printing, "on_a_terminal", return_value=True),
            ):
                said = self.command("builds", "farm").out.split()
            for word in ("request", "admin:", "because", "I", "sent", "stdin.patch", "step", "test:", "failure"):
                self.assertIn(word, said, width)

    def test_long_lists_of_narrow_tables(self) -> None:
        """
        A list of many names takes several lines.
        """
        names = [f"slave-{number}" for number in range(100)]
        each = {"builder": "b", "slaves": names, "running": [], "waiting": 0, "last": None, "description": ""}
        self.master.answers = {"builders": {"builders": [each]}}
        with mock.patch.dict(os.environ, COLUMNS="80"), mock.patch.object(printing, "on_a_terminal", return_value=True):
            lines = self.command("builders", "farm").out.splitlines()

        self.assertLessEqual(max(map(len, lines)), 80)
        self.assertEqual(" ".join(lines).count("slave-"), 100)

    def test_builder_in_the_masters_directory(self) -> None:
        """
        In the master's directory, an argument that names no directory is the builder.
        """
        self.master.answers = {"builds": {"builds": []}}
        os.chdir("farm")
        for words in ([], ["hello"], [".", "hello"], ["."]):
            self.assertEqual(self.command("builds", *words).code, 0)

        self.assertEqual([each.get("builder") for each in self.master.questions], [None, "hello", "hello", None])

    def test_questions(self) -> None:
        """
        Each list is one question to the master.
        """
        status = {"title": "", "version": "", "slaves": [], "running": [], "waiting": []}
        self.master.answers = {name: {name: []} for name in ("queue", "slaves", "builders", "builds")}
        self.master.answers = {**self.master.answers, "status": {"status": status}}
        for name in ("status", "queue", "slaves", "builders"):
            self.assertEqual(self.command(name, "farm").code, 0)
        self.command("builds", "farm", "hello", "-n", "3")

        self.assertEqual(
            [question["ask"] for question in self.master.questions[:4]], ["status", "queue", "slaves", "builders"]
        )
        self.assertEqual(self.master.questions[4], {"ask": "builds", "builder": "hello", "most": 3})

    def test_here(self) -> None:
        """
        Without DIR, the farm is the one in the current directory.
        """
        self.master.answers = {"queue": {"queue": []}}
        os.chdir("farm")

        self.assertEqual((self.command("queue").out, self.master.furls), ("none\n", [FURL]))

    def test_directory_option(self) -> None:
        """
        -C before the command gives DIR, as with git and make; then no argument is DIR.
        """
        self.master.answers = {"builds": {"builds": []}, "artifacts": {"artifacts": []}, "log": {}}
        self.write("hello/master.cfg", "")
        for words in (("builds", "hello"), ("artifacts", "list", "hello/1"), ("log", "--remarks", "hello", "1")):
            self.assertEqual(self.command("-C", "farm", *words).code, 0, words)

        self.assertEqual([each["builder"] for each in self.master.questions], ["hello"] * 3)
        self.assertEqual(self.master.furls, [FURL] * 3)
        self.write("bot1/slave.tac", "")
        self.assertIn("bot1 is the directory of a slave", self.refused("-C", "bot1", "queue"))
        self.assertIn("-C needs a directory", self.command("-C", "", "stop", "--kill").err)

    def test_directory_twice(self) -> None:
        """
        A command without DIR refuses -C, and no command accepts DIR twice.
        """
        self.write("my.furl", f"{FURL}\n")
        for words, sentence in (
            (("create-master", "new"), "create-master takes no -C DIR."),
            (("follow", "my.furl"), "follow takes no -C DIR."),
            (("queue", "--furlfile", "my.furl"), "Give -C DIR or --furlfile FILE, not both."),
            (("force", "farm", "hello"), "Got unexpected extra argument (hello)."),
            (("stop", "elsewhere"), "Give -C DIR, or DIR as an argument, not both."),
        ):
            self.assertIn(sentence, self.refused("-C", "farm", *words, code=USAGE))
        self.assertEqual(self.master.furls, [])

    def test_directory_of_a_process(self) -> None:
        """
        Commands that ask no master accept -C too.
        """
        self.assertIn("No master runs in farm", self.refused("-C", "farm", "stop"))
        self.assertIn("There is no directory nowhere.", self.refused("-C", "nowhere", "start"))

    def test_complete_without_directory(self) -> None:
        """
        In the master's directory, arguments that leave no place for DIR are complete without it.
        """
        self.master.answers = {"unpin": {}, "cancel": {}, "log": {}, "force": {"request": 1, "buildset": 1}}
        os.chdir("farm")
        for words in (("unpin", "bot1"), ("cancel", "7"), ("log", "hello", "1", "greet"), ("force", "hello")):
            self.assertEqual(self.command(*words).code, 0, words)

        self.assertEqual(self.master.questions[0]["slave"], "bot1")
        self.assertEqual((self.master.questions[2]["builder"], self.master.questions[2]["step"]), ("hello", "greet"))
        os.chdir("..")
        self.assertEqual(
            self.refused("unpin", "bot1"),
            "This is not the directory of a master: it has no master.cfg.  Name one as DIR.",
        )

    def test_furlfile(self) -> None:
        """
        With --furlfile, in any position, no argument is DIR.
        """
        self.master.answers = {"builds": {"builds": []}}
        self.write("my.furl", f"{FURL[:-1]}t\n")
        for words in (("--furlfile", "my.furl", "hello"), ("hello", "--furlfile=my.furl")):
            self.assertEqual(self.command("builds", *words).code, 0)

        self.assertEqual(set(self.master.furls), {FURL[:-1] + "t"})
        self.assertEqual({question["builder"] for question in self.master.questions}, {"hello"})


class RefusalTests(FarmCommandCase):
    def test_no_master(self) -> None:
        """
        A directory without a master, or whose master has never run, is an error that says what to do.
        """
        self.write("fresh/master.cfg", "")

        self.assertIn("There is no directory nowhere.", self.refused("status", "nowhere"))
        self.assertIn(
            "has never run.  Start it with: buildbot-lite start fresh", self.refused("status", "fresh", code=NO_ANSWER)
        )
        self.assertEqual(self.refused("status", "--furlfile", "x"), "x cannot be read: No such file or directory.")
        self.write("x", "nothing\n")
        self.assertEqual(self.refused("status", "--furlfile", "x"), "No line of x begins with pb://.")

    def test_sentences(self) -> None:
        """
        A refusal of the master, and a missing answer, are one sentence.
        """
        for error, code in (
            (NotFoundError("There is no builder 'x'."), FAILED),
            (NoAnswerError("No master answers."), NO_ANSWER),
        ):
            self.master.answers = {"queue": error}
            self.assertEqual(self.refused("queue", "farm", code=code), str(error))

    def test_wrong_command_lines(self) -> None:
        """
        A wrong command line is refused with one sentence.
        """
        for words, sentence in (
            (("dance",), "No such command 'dance'.  See: buildbot-lite --help"),
            (("qeue",), "No such command 'qeue'.  Did you mean 'queue'?"),
            (("artifacts", "fetsch"), "No such command 'fetsch'.  Did you mean 'fetch'?"),
            (("--debgu", "queue"), "No such option '--debgu'.  Did you mean '--debug'?"),
            (("queue", "--frlfile", "x"), "No such option '--frlfile'.  Did you mean '--furlfile'?"),
            (("--furlfile", "x", "queue"), "No such option '--furlfile'.  It is one of the command, and stands after"),
            (
                ("queue", "-C", "farm"),
                "No such option '-C'.  It stands before the name of the command: ",
            ),
            (("queue", "--xyz"), "No such option '--xyz'.  See: buildbot-lite queue --help"),
            (("log", "farm", "hello", "zero"), "'zero' is not a number from 1 on."),
            (("log", "farm", "hello", "0"), "'0' is not a number"),
            (("log", "farm", "hello", str((1 << 62) + 1)), "is too large: no build or request has that number."),
            (("log", "farm", "hello", "0" * 29 + "1" + "9" * 99), "is too large"),
            (("cancel", "farm"), "Missing argument 'REQUEST'."),
            (("rebuild", "farm", "hello"), "Missing argument 'NUMBER'."),
            (("builds", "farm", "--since", "yesterday"), "'yesterday' is no time"),
            (("builds", "farm", "--result", "good"), "is not one of 'success'"),
            (("builds", "farm", "hello", "3", "--branch", "main"), "--branch chooses among builds"),
            (("builds", "farm", "hello/3", "-n", "7"), "--most chooses among builds"),
            (("builds", "farm", "hello/3", "--before", "7"), "--before chooses among builds"),
            (("builds", "farm", "hello", "x"), "Invalid value for 'NUMBER':"),
            (("force", "farm", "hello", "x"), "unexpected extra argument (x).  See:"),
            (("queue", "--jason"), "No such option"),
            (("force", "farm", "hello", "-p", "novalue"), "'novalue' is not NAME=VALUE."),
        ):
            self.assertIn(sentence, self.refused(*words, code=USAGE))

    def test_no_arguments(self) -> None:
        """
        Without arguments, the command prints its help, with complete sentences.
        """
        with mock.patch.dict(os.environ, COLUMNS="80"):
            said = self.refused(code=USAGE)

            self.assertEqual(said, self.command("--help").out.rstrip("\n"))
            for group in ((), ("grant",), ("artifacts",)):
                self.assertNotIn("...", self.command(*group, "--help").out.partition("  -h, --help")[2])

    def test_headings(self) -> None:
        """
        The help of the program shows every command once, below a heading, in the order of their definition.
        """
        text = self.command("--help").out
        for name in program.list_commands(click.Context(program)):
            self.assertEqual(len(re.findall(rf"^  {re.escape(name)} ", text, re.MULTILINE)), 1, name)
        self.assertRegex(
            text, r"(?s)New directories:\n  create-master .*\nPackages:\n  package .*\nBackups:\n  backup "
        )
        self.assertRegex(self.command("package", "--help").out, r"(?s)\n  build .*\n  list .*\n  sign .*\n  push ")

    def test_internal_error(self) -> None:
        """
        An internal error is one sentence; --debug shows the traceback.
        """
        self.master.answers = {"queue": ZeroDivisionError("x")}

        self.assertIn("An error of buildbot-lite itself: ZeroDivisionError: x.", self.refused("queue", "farm"))
        self.assertRaises(ZeroDivisionError, self.command, "--debug", "queue", "farm")

    def test_missing_package(self) -> None:
        """
        If a package of the master's extra is missing, the error says how to install it.
        """
        self.master.answers = {"queue": ModuleNotFoundError("No module named 'rich'", name="rich.table")}

        self.assertIn("pip install 'buildbot-lite[master]'", self.refused("queue", "farm"))


class ForceTests(FarmCommandCase):
    def test_force(self) -> None:
        """
        `force` submits a build with properties, which are text.
        """
        self.master.answers = {"force": {"request": 7, "buildset": 5}}
        said = self.command("force", "farm", "hello", "-p", "a=1.10", "--property", "b=c=d", "--reason", "why not")

        self.assertEqual((said.code, said.out, said.err), (0, "request 7\n", ""))
        self.assertEqual(
            self.master.questions,
            [
                {
                    "ask": "force",
                    "builder": "hello",
                    "reason": "why not",
                    "properties": {"a": "1.10", "b": "c=d"},
                    "problems": True,
                    "remarks": True,
                }
            ],
        )

    def test_force_remarks(self) -> None:
        """
        What the master remarks on the given values goes to standard error.
        """
        remark = "force has no parameter 'nope': it became a property of the build."
        self.master.answers = {"force": {"request": 7, "buildset": 5, "remarks": [remark]}}
        said = self.command("force", "farm", "hello", "-p", "nope=1")
        self.assertEqual((said.code, said.out, said.err), (0, "request 7\n", f"# {remark}\n"))

    def test_wrong(self) -> None:
        """
        Promise 10.9: all values that are wrong are named, each on a line, and how those are given that are missing; a
        master of an earlier version names the first.
        """
        problems = [("n", "n must be a whole number, not 'x'."), ("group.x", "group.x must be given.")]
        told = [{"name": name, "sentence": sentence} for name, sentence in problems]
        self.master.answers = {"force": {"problems": told}}
        lines = self.refused("force", "farm", "hello", "-p", "n=x").splitlines()
        self.assertEqual(lines, [*(sentence for _, sentence in problems), "A value is given with -p NAME=VALUE."])
        self.master.answers = {"force": {"problems": [{"name": "reason", "sentence": "reason must be given."}]}}
        lines = self.refused("force", "farm", "hello", "--wait").splitlines()
        self.assertEqual(lines, ["reason must be given.", "The reason is given with --reason TEXT."])
        self.master.answers = {"force": {"problems": told[:1]}}
        self.assertEqual(self.refused("force", "farm", "hello", "-p", "n=x"), problems[0][1])
        self.master.answers = {"force": InputError("n must be a whole number, not 'x'.")}
        self.assertEqual(self.refused("force", "farm", "hello", "-p", "n=x"), problems[0][1])

    def test_wait(self) -> None:
        """
        Promise 4: with --wait, the log is printed, and the exit code is that of a submission.
        """
        for code in (0, 1, 2, 4):
            self.master.answers = {"force": {"request": 7, "buildset": 5}, "request": {"exit_code": code}}
            said = self.command("force", "farm", "hello", "--wait")

            self.assertEqual((said.code, said.out, said.err), (code, "", "# request 7\n"))
        self.assertEqual(self.master.questions[-1], {"follow": "request", "buildset": 5})

    def test_wait_interrupted(self) -> None:
        """
        After Ctrl-C, the command says that the build continues and how to cancel it.
        """
        self.master.answers = {"force": {"request": 7, "buildset": 5}, "request": {}}
        with mock.patch.object(FakeMaster, "follow_to_output", side_effect=KeyboardInterrupt):
            said = self.command("force", "farm", "hello", "--wait")

        self.assertEqual(said.code, 130)
        self.assertIn("The build continues.  To end it: buildbot-lite cancel farm 7\n", said.err)

    def test_cancel(self) -> None:
        """
        `cancel` names a request by its number.
        """
        self.master.answers = {"cancel": {}}

        self.assertEqual(self.command("cancel", "farm", "7").out, "Request 7 is cancelled.\n")
        self.assertEqual(self.master.questions[0]["request"], 7)

    def test_cancel_a_build(self) -> None:
        """
        `cancel` takes BUILDER/NUMBER, as lists and pages name a build, for its request.
        """
        self.master.answers = {"build": {"build": BUILD | {"request": 41}}, "cancel": {}}

        self.assertEqual(self.command("cancel", "farm", "a/b/3").out, "Request 41 is cancelled.\n")
        self.assertEqual(self.master.questions[0], {"ask": "build", "builder": "a/b", "number": 3})
        self.assertEqual(self.master.questions[1]["request"], 41)

    def test_no_request(self) -> None:
        """
        What names neither a request nor a build is one sentence, which says how both are named.
        """
        for word in ("hello", "hello/x", "/3", "-1", "1.5", "hello/0", "0"):
            for command in (("cancel", "farm"), ("grant", "watch", "farm")):
                self.assertRegex(
                    self.refused(*command, "--", word, code=USAGE),
                    "nor a build, BUILDER/NUMBER|is not a number from 1 on",
                )

    def test_log(self) -> None:
        """
        The question of `log`, with and without its options.
        """
        self.master.answers = {"log": {}}
        self.command("log", "farm", "hello", "3")
        self.command("log", "farm", "hello", "3", "test", "warnings", "--follow", "--remarks")
        all_of_it = {"follow": "log", "builder": "hello", "number": 3, "step": None, "log": None}
        one = {**all_of_it, "step": "test", "log": "warnings"}

        self.assertEqual(
            self.master.questions,
            [{**all_of_it, "remarks": False, "to_the_end": False}, {**one, "remarks": True, "to_the_end": True}],
        )

    def test_builder_and_number(self) -> None:
        """
        BUILDER/NUMBER, as in lists, is accepted wherever a build is named.
        """
        self.master.answers = {"log": {}, "artifacts": {"artifacts": []}}
        self.assertEqual(self.command("log", "farm", "a/b/3", "test").code, 0)
        self.assertEqual(self.command("artifacts", "list", "farm", "hello/3").code, 0)
        elsewhere = "farm/private/admin.furl"
        self.assertEqual(self.command("log", "hello/3", "--furlfile", elsewhere).code, 0)
        named = [(each["builder"], each["number"]) for each in self.master.questions]
        self.assertEqual(named, [("a/b", 3), ("hello", 3), ("hello", 3)])

    def test_names_like_builds(self) -> None:
        """
        After a build, a step or a path that looks like another build is what it is there; a directory before a build is
        DIR, also when it looks like a build.
        """
        self.master.answers = {"log": {}}
        self.write("farms/2/master.cfg", "")
        self.write("farms/2/private/admin.furl", f"{FURL}\n")
        self.assertEqual(self.command("log", "farms/2", "hello/12", "compile/2").code, 0)
        os.makedirs("other/3")
        self.assertIn("other/3 is not the directory of a master", self.refused("log", "other/3", "hello/12"))
        os.chdir("farm")
        self.assertEqual(self.command("log", "hello/12", "compile/2").code, 0)
        named = [(each["builder"], each["number"], each["step"]) for each in self.master.questions]
        self.assertEqual(named, [("hello", 12, "compile/2")] * 2)
        self.assertNotIn("directory of a master", self.refused("artifacts", "fetch", "hello/12", "sub/3"))

    def test_no_directory_of_that_name(self) -> None:
        """
        Elsewhere than in a master's directory, the name of a build or a number is not taken for DIR; another word
        before a build is.
        """
        for words in (
            ("log", "hello/3", "test"), ("grant", "watch", "hello/3"), ("grant", "watch", "3"),
            ("artifacts", "fetch", "hello/3", "a"), ("package", "shell", "3", "amd64", "--", "true"),
        ):  # fmt: skip
            self.assertIn("This is not the directory of a master", self.refused(*words))
        self.assertEqual(self.refused("rebuild", "nowhere", "hello/3"), "There is no directory nowhere.")

    def test_options_first(self) -> None:
        """
        Promise 6.13: options may stand anywhere, and their values may look like options.
        """
        self.master.answers = {"log": {}}
        elsewhere = "farm/private/admin.furl"
        for words in (
            ("log", "--furlfile", elsewhere, "hello/3", "test"),
            ("log", f"--furlfile={elsewhere}", "-f", "hello/3", "test"),
            ("log", "hello/3", "--furlfile", elsewhere, "test"),
            ("log", "--remarks", "farm", "hello/3", "test"),
            ("log", "farm", "--", "hello/3", "test"),
        ):
            said = self.command(*words)
            asked = self.master.questions[-1]
            self.assertEqual((said.code, asked["builder"], asked["number"], asked["step"]), (0, "hello", 3, "test"))

        self.master.answers = {"force": {"request": 7, "buildset": 5}}
        self.assertEqual(self.command("force", "farm", "hello", "--reason", "--furlfile", "-pa=1").code, 0)
        self.assertEqual(self.master.questions[-1]["reason"], "--furlfile")

    def test_slaves(self) -> None:
        """
        `pause`, `unpause` and `unpin` name a slave.
        """
        here = {"connected": True, "obstacle": None}
        self.master.answers = {"pause": here, "unpin": {}}
        for verb in ("pause", "unpause", "unpin"):
            self.assertEqual(self.command(verb, "farm", "bot1").code, 0)

        self.assertEqual([question.get("paused") for question in self.master.questions], [True, False, None])

    def test_absent_slave(self) -> None:
        """
        `pause` and `unpause` do not speak of a slave that is away as if it were there.
        """
        away = "bot1 is not connected (never seen)"
        self.master.answers = {"pause": {"connected": False, "obstacle": f"{away} and paused"}}
        self.assertEqual(
            self.command("pause", "farm", "bot1").out,
            f"bot1 will take no builds when it connects: {away} and paused.\n",
        )
        self.master.answers = {"pause": {"connected": False, "obstacle": away}}
        self.assertEqual(
            self.command("unpause", "farm", "bot1").out,
            f"bot1 is not paused any more, but takes no builds yet: {away}.\n",
        )


class BuildsTests(FarmCommandCase):
    def test_filters(self) -> None:
        """
        Promise 6.14: `builds` sends its filters, and asks for one page.
        """
        self.master.answers = {"builds": {"builds": [BUILD], "before": None}}
        options = ("--branch", "main", "--slave", "bot1", "--result", "failure", "--result", "running", "-p", "a=b=c")
        said = self.command(
            "builds", "farm", "hello", *options, "--since", "2026-11-22T10:00:00+00:00", "--before", "9"
        )

        self.assertEqual(said.code, 0, said.err)
        self.assertEqual(
            self.master.questions,
            [
                {
                    "ask": "builds",
                    "builder": "hello",
                    "branch": "main",
                    "results": ["FAILURE", "running"],
                    "slave": "bot1",
                    "since": 1795341600.0,
                    "properties": {"a": "b=c"},
                    "most": 20,
                    "before": 9,
                }
            ],
        )

    def test_pages(self) -> None:
        """
        Promise 6.14: `builds` asks for further pages until it has the wanted number, and then prints how to see older
        builds.
        """
        pages = [{"builds": [], "before": 500}, {"builds": [BUILD], "before": 300}, {"builds": [BUILD], "before": 200}]

        async def answer(question: Any) -> Any:
            self.master.questions.append(question)
            return pages[len(self.master.questions) - 1]

        with mock.patch.object(FakeMaster, "ask", side_effect=answer):
            said = self.command("builds", "farm", "--slave", "a b", "-n", "2")

        self.assertEqual(
            [(each["most"], each.get("before")) for each in self.master.questions], [(2, None), (2, 500), (1, 300)]
        )
        self.assertEqual(len(said.out.splitlines()), 3)
        self.assertEqual(said.err, "# older ones: buildbot-lite builds farm --slave 'a b' --most 2 --before 200\n")

    def test_one(self) -> None:
        """
        Promise 6.14: with a number, `builds` shows one build in detail, with the durations of its steps.
        """
        step = {**BUILD["steps"][0], "number": 0, "started": 1.0, "finished": 1.5}
        whole = {**BUILD, "steps": [step], "properties": {"deep": ["x\x1b[31m", "Test"]}}
        self.master.answers = {"build": {"build": whole}}
        for words in (("hello/1",), ("hello", "1")):
            said = self.command("builds", "farm", *words)
            self.assertRegex(said.out, r"(?m)^0  greet  SUCCESS  0\.5 s  greet    stdio$")
            self.assertNotIn("\x1b", said.out)
        self.assertEqual(self.master.questions[-1], {"ask": "build", "builder": "hello", "number": 1})
        self.assertEqual(json.loads(self.command("builds", "farm", "hello/1", "--json").out), whole)

    def test_last_good(self) -> None:
        """
        Promise 6.14: `last-good` prints the newest successful build, its revision and its time.
        """
        good = {**BUILD, "revision": "1f" * 20}
        self.master.answers = {"builds": {"builds": [good], "before": 1}, "first-bad": {"build": None}}
        said = self.command("last-good", "farm", "hello", "--branch", "main")

        self.assertRegex(said.out, r"^hello/1  (1f){20}  1970-01-01 ")
        self.assertEqual(
            self.master.questions,
            [
                {"ask": "builds", "builder": "hello", "branch": "main", "results": ["SUCCESS", "WARNINGS"], "most": 1},
                {
                    "ask": "first-bad",
                    "builder": "hello",
                    "branch": "main",
                    "results": ["FAILURE", "EXCEPTION"],
                    "after": 1,
                },
            ],
        )
        self.assertEqual(said.err, "")
        self.master.answers = {**self.master.answers, "first-bad": {"build": {**BUILD, "number": 7, "revision": "2e"}}}
        said = self.command("last-good", "farm", "hello")
        self.assertEqual(said.err, "# the first bad build after it: hello/7, of 2e\n")
        self.master.answers = {"builds": {"builds": [], "before": None}}
        self.assertIn("'hello' has no build that ended with success", self.refused("last-good", "farm", "hello"))

    def test_newest_log(self) -> None:
        """
        Promise 6.14: `log` without a number shows the newest build, also if a later one starts meanwhile.
        """
        for newest, number in (([{"number": 5}], 5), ([], None)):
            self.master.answers = {"builds": {"builds": newest}, "log": {}}
            self.command("log", "farm", "hello")
            question = self.master.questions[-1]
            self.assertEqual((question["builder"], question["number"]), ("hello", number))

    def test_rebuild(self) -> None:
        """
        Promise 6.14: `rebuild` names a build, and waits for the new one with --wait.
        """
        self.master.answers = {"rebuild": {"request": 7, "buildset": 5}, "request": {"exit_code": 1}}

        self.assertEqual(self.command("rebuild", "farm", "hello/3").out, "request 7\n")
        self.assertEqual(self.command("rebuild", "farm", "hello", "3", "--wait").code, 1)
        self.assertEqual(self.master.questions[0], {"ask": "rebuild", "builder": "hello", "number": 3})


class ReconfigTests(FarmCommandCase):
    def test_applied(self) -> None:
        """
        Promise 11: `reconfig` prints the changes.
        """
        none: dict[str, list[str]] = {"added": [], "removed": []}
        self.master.answers = {
            "reconfig": {
                "applied": True,
                "slaves": {"added": ["a", "b"], "removed": ["c"]},
                "builders": none,
                "schedulers": none,
            }
        }

        self.assertEqual(
            self.command("reconfig", "farm").out,
            "The configuration was applied (slaves added: a, b; slaves removed: c).\n",
        )

    def test_mistakes(self) -> None:
        """
        Promise 11: `reconfig` prints all mistakes with their lines, and fails.
        """
        mistakes = [f"master.cfg:{n}: A mistake." for n in range(12)]
        self.master.answers = {"reconfig": {"applied": False, "mistakes": mistakes}}
        lines = self.refused("reconfig", "farm").splitlines()

        self.assertEqual(lines, [*mistakes, "Nothing was applied; the master goes on as before."])

    def test_checkconfig(self) -> None:
        """
        Promise 11: `checkconfig` prints all mistakes with their lines, or the one exception.
        """
        self.write(
            "farm/master.cfg", "from buildbot_lite.plugins import *\nc = {}\nc['x'] = 1\nslave.BuildSlave('a b')\n"
        )
        lines = self.refused("checkconfig", "farm").splitlines()
        self.assertIn("master.cfg:3: There is no c['x'].", lines)
        self.assertTrue(any(line.startswith("master.cfg:4: 'a b'") for line in lines), lines)

        self.write("farm/master.cfg", "\n1 / 0\n")
        self.assertEqual(self.refused("checkconfig", "farm"), "master.cfg:2: ZeroDivisionError: division by zero")
        self.assertEqual(self.refused("checkconfig", "nowhere"), "There is no directory nowhere.")
        for command in ("checkconfig", "start"):
            self.assertEqual(self.refused(command, "farm/master.cfg"), "farm/master.cfg is not a directory.")

    def test_restart(self) -> None:
        """
        `restart` does not stop a master whose new master.cfg has a mistake.
        """
        self.write("farm/master.cfg", "\n1 / 0\n")
        with mock.patch.object(processes, "running_in") as running:
            said = self.refused("restart", "farm")

        running.return_value.send.assert_not_called()
        self.assertIn("master.cfg:2: ZeroDivisionError: division by zero\nNothing was stopped or started.", said)


class ArtifactsTests(FarmCommandCase):
    data = b"\0\1\2" * 1000

    def setUp(self) -> None:
        """
        A build with one artifact.
        """
        super().setUp()
        self.sum = hashlib.sha256(self.data).hexdigest()
        self.offer("sub/x.tar")

    def offer(self, name: str) -> None:
        """
        Give the artifact this name.
        """
        length = len(self.data)
        self.master.answers = {
            "artifacts": {"artifacts": [{"name": name, "length": length, "sha256": self.sum, "step": 0}]},
            "artifact": {"length": length, "sha256": self.sum},
        }
        self.master.chunks = [b"1" + self.data[:1000], b"1" + self.data[1000:]]

    def test_list(self) -> None:
        """
        `artifacts list` prints names, sizes and checksums.
        """
        out = self.command("artifacts", "list", "farm", "hello", "1").out

        self.assertIn(f"sub/x.tar   3000  {self.sum}", out)
        self.assertEqual(
            json.loads(self.command("artifacts", "list", "farm", "hello", "1", "--json").out)[0]["length"], 3000
        )

    def test_fetch(self) -> None:
        """
        `artifacts fetch` writes all artifacts, or the named ones, byte for byte.
        """
        self.assertEqual(
            self.command("artifacts", "fetch", "farm", "hello", "1", "--to", "here").out, "here/sub/x.tar\n"
        )
        with open("here/sub/x.tar", "rb") as file:
            self.assertEqual(file.read(), self.data)
        self.assertEqual(os.listdir("here/sub"), ["x.tar"])

    def test_none(self) -> None:
        """
        Without artifacts, the command says so.
        """
        self.master.answers = {"artifacts": {"artifacts": []}}
        said = self.command("artifacts", "fetch", "farm", "hello", "1")

        self.assertEqual((said.code, said.out, said.err), (0, "", "hello/1 has no artifacts.\n"))

    def test_existing_file(self) -> None:
        """
        An existing file is not replaced without --overwrite.
        """
        self.write("sub/x.tar", "mine")
        fetch = ("artifacts", "fetch", "farm", "hello", "1", "sub/x.tar")

        self.assertEqual(self.refused(*fetch), "./sub/x.tar exists already.  To replace it: --overwrite")
        self.assertEqual(os.path.getsize("sub/x.tar"), 4)
        self.assertEqual(self.command(*fetch, "--overwrite").code, 0)
        self.assertEqual(os.path.getsize("sub/x.tar"), 3000)

    def test_control_characters_in_names(self) -> None:
        """
        Promise 6.17: control characters in an artifact's name are not sent to the terminal.
        """
        self.offer("a\x1b[2J\u202eb")
        fetch = ("artifacts", "fetch", "farm", "hello", "1")

        self.assertEqual(self.command(*fetch).out, "./a?[2J?b\n")
        self.assertEqual(self.refused(*fetch), "./a?[2J?b exists already.  To replace it: --overwrite")

    def test_other_files(self) -> None:
        """
        Promise 6.17: files with other names are not changed.
        """
        self.write("sub/x.tar.partial", "mine")
        self.write("sub/.x.tar.new", "mine")
        self.assertEqual(self.command("artifacts", "fetch", "farm", "hello", "1").code, 0)

        self.assertEqual(sorted(os.listdir("sub")), [".x.tar.new", "x.tar", "x.tar.partial"])
        self.assertEqual(os.path.getsize("sub/x.tar.partial"), 4)

    def test_links(self) -> None:
        """
        Promise 6.17: no link is followed: a link in the file's place is replaced with --overwrite, and a linked
        directory is refused.
        """
        self.write("mine", "mine")
        os.mkdir("sub")
        for name in ("x.tar", "x.tar.partial"):
            os.symlink("../mine", os.path.join("sub", name))
        fetch = ("artifacts", "fetch", "farm", "hello", "1", "--overwrite")
        self.assertEqual(self.command(*fetch).code, 0)
        self.assertEqual(os.path.getsize("mine"), 4)
        self.assertFalse(os.path.islink("sub/x.tar"))

        os.mkdir("elsewhere")
        os.rename("sub", "before")
        os.symlink("elsewhere", "sub")
        self.assertEqual(self.refused(*fetch), "./sub/x.tar is not written: ./sub is a symbolic link.  Remove it.")
        self.assertEqual(os.listdir("elsewhere"), [])

    def test_file_that_appears(self) -> None:
        """
        Promise 6.17: a file that appears during the transfer is not replaced.
        """
        with DownloadedFile(".", "x", overwrite=False, length=None) as download:
            download.take(b"1abc")
            self.write("x", "mine")
            with self.assertRaisesRegex(BuildbotLiteError, "x exists already"):
                download.keep(3, hashlib.sha256(b"abc").hexdigest())

        self.assertEqual(os.path.getsize("x"), 4)
        self.assertEqual(sorted(os.listdir(".")), ["farm", "x"])

    def test_mode(self) -> None:
        """
        A fetched file has the permissions of a new file.
        """
        self.addCleanup(os.umask, os.umask(0o027))
        self.assertEqual(self.command("artifacts", "fetch", "farm", "hello", "1").code, 0)

        self.assertEqual(os.stat("sub/x.tar").st_mode & 0o777, 0o640)

    def test_damaged(self) -> None:
        """
        A file with the wrong checksum is not kept.
        """
        self.master.chunks = [b"1" + self.data[:-1]]

        self.assertIn("has the wrong checksum", self.refused("artifacts", "fetch", "farm", "hello", "1"))
        self.assertEqual(os.listdir("sub"), [])

    def test_too_much(self) -> None:
        """
        A master that sends more than an artifact has cannot fill the disk.
        """
        with DownloadedFile(".", "x", overwrite=False, length=3) as download:
            download.take(b"1abc")
            with self.assertRaisesRegex(BuildbotLiteError, "more of ./x than the 3 bytes"):
                download.take(b"1d")
            (incoming,) = (name for name in os.listdir(".") if name.startswith(".buildbot-lite-"))
            download._file.flush()
            self.assertEqual(os.path.getsize(incoming), 3)

    def test_names_out_of_the_directory(self) -> None:
        """
        A name that leads out of the directory is refused.
        """
        for name in ("../x", "/tmp/x", "a/../../x"):
            self.offer(name)
            self.assertIn("leads out of its directory", self.refused("artifacts", "fetch", "farm", "hello", "1"))
        self.assertEqual(os.listdir(self.directory), ["farm"])
