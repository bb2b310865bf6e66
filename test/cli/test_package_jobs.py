"""
``buildbot-lite package list``, and its table.
"""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any
from unittest import mock

from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.cli.output import job_tables, printing
from buildbot_lite.cli.packages.jobs import STATES
from buildbot_lite.cli.packages.rebuild import MOST_TOLD
from buildbot_lite.cli.program import FAILED, USAGE
from buildbot_lite.errors import NoAnswerError, NotFoundError, RefusedError
from buildbot_lite.packages.records.job_states import JobState

from .command_line_case import FURL, CommandLineCase


def job(number: int, **fields: Any) -> dict[str, Any]:
    """
    The document of a job that waits.
    """
    arch = {"architecture": "amd64", "state": "waiting", "reason": "bot1 is busy"}
    return {
        "job": number,
        "target": "bookworm",
        "name": "hello",
        "version": "2.10-3",
        "submitter": "alice",
        "scratch": False,
        "state": "waiting",
        "reason": "",
        "created": 0.0,
        "finished": 60.0,
        "arches": [arch],
        **fields,
    }


class PackageListTests(CommandLineCase):
    def test_states(self) -> None:
        """
        A state that is none is refused before the master is asked; all others are known.
        """
        self.make_farm()
        self.assertEqual(list(STATES), [state.value for state in JobState])
        self.assertIn("'needsing'", self.refused("package", "list", "farm", "--state", "needsing", code=USAGE))
        self.assertEqual(self.master.questions, [])

    def test_no_such_target(self) -> None:
        """
        A target that is none is told, also beside JSON; one without jobs is not.
        """
        self.make_farm()
        self.master.answers = {
            "package-list": {"jobs": [], "before": None},
            "package-targets": {"targets": [{"target": "bookworm", "aliases": ["stable"]}, {"target": "f4"}]},
        }
        for target, hint in (
            ("bokworm", "# There is no target 'bokworm'.  Did you mean 'bookworm'?\n"),
            ("stable", "bookworm"),
            ("f4", ""),
        ):
            said = self.command("package", "list", "farm", "--target", target, "--json")
            self.assertEqual((json.loads(said.out), said.code), ([], 0), said)
            self.assertIn(hint, said.err)
        self.assertEqual(said.err, "")

    def test_remedies_as_typed(self) -> None:
        """
        Promise 6.13: the command that a refusal names is for the same master, however the caller named it; and what a
        string does not permit is called as it was typed.
        """
        self.make_farm()
        self.write("jobs.furl", f"{FURL}\n")
        string = ("--furlfile", "jobs.furl")
        for said, words, told in (
            ("There is no job 9.  See: buildbot-lite package list", string, "package list --furlfile jobs.furl"),
            ("There is no job 9.  See: buildbot-lite package list", ("farm",), "package list farm"),
            ("Not kept (buildbot-lite kept): requeue it.", string, "(buildbot-lite kept --furlfile jobs.furl)"),
            ("First: buildbot-lite package requeue 7", ("farm",), "buildbot-lite package requeue farm 7"),
            ("See: buildbot-lite package list farm", ("farm",), "See: buildbot-lite package list farm"),
            (
                "There: buildbot-lite package shell b/1 --slave DIRECTORY",
                ("farm",),
                "package shell b/1 --slave DIRECTORY",
            ),
            ("This string is for: buildbot-lite follow", string, "buildbot-lite follow jobs.furl\n"),
            ("This string is for: buildbot-lite follow", ("farm",), "buildbot-lite follow\n"),
            (
                "This string does not permit 'package-root'.  Ask for one: buildbot-lite grant shell TARGET",
                string,
                "This string does not permit 'package show'.  Ask for one: buildbot-lite grant shell TARGET",
            ),
        ):
            for error in (NotFoundError, RefusedError):
                self.master.answers = {"package-show": error(said)}
                answer = self.command("package", "show", *words, "9")
                self.assertEqual(answer.code, FAILED)
                self.assertIn(told, answer.err)
                self.assertEqual(answer.err.count("farm"), told.count("farm"))

    def test_start_as_typed(self) -> None:
        """
        Promise 6.13: when no master answers, the command that starts it has the directory that was given; of a
        string, nobody knows it.
        """
        self.make_farm()
        self.write("jobs.furl", f"{FURL}\n")
        for words, told in (
            (("package", "list", "farm"), "buildbot-lite start farm\n"),
            (("-C", "farm", "package", "list"), "buildbot-lite start farm\n"),
            (("package", "list", "--furlfile", "jobs.furl"), "buildbot-lite start DIR\n"),
        ):
            self.master.answers = {"package-list": NoAnswerError("None.  Start it with: buildbot-lite start DIR")}
            self.assertIn(told, self.command(*words).err)

    def test_reasons_as_typed(self) -> None:
        """
        Promise 6.13: command lines in reasons that tables show, and in refusals of words, are for the caller; those in
        JSON are the master's.
        """
        self.make_farm()
        self.write("jobs.furl", f"{FURL}\n")
        reason = "signed; to publish it: buildbot-lite package push 7"
        arch = {"architecture": "amd64", "state": "waiting", "reason": "", "build": 0, "slave": None, "started": None}
        signed = job(7, reason=reason, arches=[arch], priority=0, history=[["waiting", 0.0]])
        self.master.answers = {"package-list": {"jobs": [signed], "before": None}, "package-show": {"job": signed}}
        for where, push, to_list in (
            (("farm",), "package push farm 7", "package list farm."),
            (("--furlfile", "jobs.furl"), "package push --furlfile jobs.furl 7", "package list --furlfile jobs.furl."),
        ):
            for words in (("package", "list", *where), ("package", "show", *where, "7")):
                self.assertIn(push, " ".join(self.command(*words).out.split()))
                self.assertIn("publish it: buildbot-lite package push 7", self.command(*words, "--json").out)
            self.assertIn(f"To see them: buildbot-lite {to_list}", self.command("package", "show", *where, "x").err)

    def test_no_number(self) -> None:
        """
        A word that is no number of a job is refused with a sentence that says where the numbers are.
        """
        self.make_farm()
        for words in (("show",), ("kill",), ("rebuild",), ("push",)):
            for word in ("x", "0"):
                said = self.refused("package", *words, "farm", word, code=USAGE)
                self.assertIn(f"'{word}' is no number of a job.  To see them: buildbot-lite package list", said)
                self.assertNotIn("range", said)


class PackageShowTests(CommandLineCase):
    def test_narrow(self) -> None:
        """
        On a terminal of 80 columns, the reason of an architecture has lines of its own, and all of its words.
        """
        self.make_farm()
        reason = (
            "the build failed: hello.c:7: error: expected ';' before '}' token, and 12 more errors in 3 other files"
        )
        arch = {"architecture": "amd64", "state": "failed", "reason": reason, "build": 3, "slave": "bot-amd64-1"}
        arch |= {"builder": "bookworm-amd64", "started": 1.0, "finished": 62.0}
        failed = job(7, arches=[arch], priority=0, history=[["failed", 0.0]])
        self.master.answers = {"package-show": {"job": failed}}
        with (
            mock.patch.dict(os.environ, COLUMNS="80"),
            mock.patch.object(printing, "on_a_terminal", return_value=True),
        ):
            said = self.command("package", "show", "farm", "7").out
        self.assertIn(f"    {reason[:60]}", said)
        self.assertIn(reason, " ".join(said.split()))
        self.assertLessEqual(max(map(len, said.splitlines())), 80)

    def test_next_commands(self) -> None:
        """
        The commands that are told name the same master as the command that tells them.
        """
        self.make_farm()
        arch = {"architecture": "amd64", "state": "done", "reason": "", "kept_until": 100.0}
        arch |= {"build": 3, "slave": "bot1", "builder": "a", "started": 1.0, "finished": 2.0}
        more = {"priority": 0, "history": [["waiting", 0.0]]}
        self.master.answers = {"package-show": {"job": job(7, arches=[arch], **more)}}
        for words, fetch, shell in (
            (("farm", "7"), "fetch farm 7", "shell farm 7 amd64"),
            (
                ("7", "--furlfile", "farm/private/admin.furl"),
                "fetch 7 --furlfile farm/private/admin.furl",
                "shell 7 amd64 --furlfile farm/private/admin.furl",
            ),
        ):
            said = self.command("package", "show", *words)
            self.assertEqual(said.code, 0, said)
            told = " ".join(said.out.split())
            self.assertIn(f"to fetch them: buildbot-lite package {fetch} ", told)
            self.assertIn(f": buildbot-lite package {shell} ", told)


class PackageRebuildTests(CommandLineCase):
    def test_json(self) -> None:
        """
        `rebuild` tells the number of the new job as JSON, too, when it does not wait for it.
        """
        self.make_farm()
        self.master.answers = {"package-rebuild": {"job": 7, "rebuild": 9}}
        said = self.command("package", "rebuild", "farm", "7", "--json")
        self.assertEqual((json.loads(said.out), said.code), ({"job": 7, "rebuild": 9}, 0))
        self.assertEqual(self.command("package", "rebuild", "farm", "7").out, "Job 9 builds it again.\n")


class ComparedTests(CommandLineCase):
    files: Mapping[str, Sequence[str]] = {"files": ["x.deb"], "alone": []}

    def compared(self, *verdicts: str) -> Any:
        """
        The result of the comparison of job 7 with job 9, whose architectures a0, a1, … have *verdicts*.
        """
        arches = [
            {"architecture": f"a{place}", "verdict": each, "installed": [], "reason": "why", **self.files}
            for place, each in enumerate(verdicts)
        ]
        self.master.answers = {
            "package-rebuild": {"job": 7, "rebuild": 9},
            "package-show": {"job": job(9, state="finished")},
            "package-compare": {"job": 7, "arches": arches},
        }
        return self.command("package", "rebuild", "farm", "7", "--compare")

    def test_which_packages(self) -> None:
        """
        Promise 9.5: the packages that both builds made are named in commands, a bounded number of them.
        """
        self.make_farm()
        names = [f"p{number:02}.deb" for number in range(MOST_TOLD + 4)]
        self.files = {"files": names, "alone": names[:2]}
        lines = self.compared("different").err.splitlines()
        told = [f"#   diffoscope job-7/a0/{name} job-9/a0/{name}" for name in names[2 : MOST_TOLD + 2]]
        self.assertEqual(lines[4:], [*told, "#   and so on for 2 more"])

    def test_how_to_look(self) -> None:
        """
        Promise 9.5: of packages that differ, the commands that show where are told, and only of these.
        """
        self.make_farm()
        said = self.compared("different", "same", "different")
        self.assertEqual(said.code, 1)
        self.assertEqual(
            said.err.splitlines()[1:],
            [
                "# to see where they differ:",
                "#   buildbot-lite package fetch farm 7 a0 a2 --to job-7",
                "#   buildbot-lite package fetch farm 9 a0 a2 --to job-9",
                "#   diffoscope job-7/a0/x.deb job-9/a0/x.deb",
                "#   diffoscope job-7/a2/x.deb job-9/a2/x.deb",
            ],
        )
        self.assertNotIn("diffoscope", self.compared("same", "failed", "incomparable").err)
        self.compared("different")
        said = self.command("package", "rebuild", "7", "--compare", "--furlfile", "farm/private/admin.furl")
        self.assertIn("#   buildbot-lite package fetch 9 a0 --to job-9 --furlfile farm/private/admin.furl\n", said.err)


class JobTableTests(SynchronousTestCase):
    def lines(self, width: int, *jobs: dict[str, Any]) -> list[str]:
        """
        The lines of the table on a terminal of so many columns.
        """
        console = Console(width=width, color_system=None, highlight=False)
        with console.capture() as capture:
            console.print(job_tables.jobs(jobs), crop=False)
        return capture.get().splitlines()

    def test_long_names(self) -> None:
        """
        Where the terminal is narrow, one long name does not move the columns of all jobs out of sight; where there is
        room, it is shown whole.
        """
        long = job(2, name="lib" + "long" * 45, submitter="Alice Somebody <alice.somebody@example.org>")
        lines = self.lines(130, job(1), long)
        self.assertLessEqual(max(map(len, lines)), 130)
        self.assertIn("liblonglonglonglonglonglonglonglonglonglong…  bookworm  waiting", lines[3])
        self.assertIn(f"{long['name']} 2.10-3", self.lines(1000, job(1), long)[2])

    def test_skipped(self) -> None:
        """
        Architectures for which none of the jobs is built have no columns: a package may name any number of them.
        """
        arches = [{"architecture": each, "reason": ""} for each in ("x86_64", "i686", "i386 i486 i586")]
        first = [arch | {"state": state} for arch, state in zip(arches, ("done", "skipped", "skipped"), strict=True)]
        second = [arch | {"state": state} for arch, state in zip(arches[:2], ("skipped", "failed"), strict=True)]
        lines = self.lines(1000, job(2, arches=second), job(1, arches=first))
        self.assertEqual(lines[0].split()[-2:], ["i686", "x86_64"])
        self.assertEqual([line.split()[-2:] for line in lines[1:]], [["failed", "-"], ["-", "ok"]])
