"""
The exit codes of all commands: 0, 1, 2 and 4 are a build's, and all other failures have other codes.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from unittest import mock

import click

from buildbot_lite.cli import CUT_OFF
from buildbot_lite.cli.asking.farm_command import FarmCommand
from buildbot_lite.cli.program import (
    FAILED,
    NO_ANSWER,
    USAGE,
    program,
)
from buildbot_lite.errors import (
    FurlError,
    LinkLostError,
    NoAnswerError,
    NotFoundError,
    RefusedError,
    RevokedError,
)
from test.packages.archives import TINY_SRPM

from .command_line_case import FURL, CommandLineCase

CODES_OF_BUILDS = {0, 1, 2, 4}

# Valid arguments for each command, with nonsense as values.  A new command needs a line here.
WORDS: Mapping[str, tuple[str, ...]] = {
    "create-master": ("farm",),
    "create-slave": ("bot1", "-"),
    "create-web": ("web", "-"),
    "furl": ("farm", "nobody"),
    "backup": ("nowhere.tar", "nowhere"),
    "restore": ("nowhere.tar", "nowhere"),
    "checkconfig": ("nowhere",),
    "package build": ("hello", "tiny.src.rpm"),
    "package list": ("--state", "failed"),
    "package show": ("7",),
    "package kill": ("7",),
    "package requeue": ("7",),
    "package finish": ("7",),
    "package fetch": ("7",),
    "package log": ("7", "amd64"),
    "package targets": (),
    "package pause": ("none",),
    "package unpause": ("none",),
    "package sign": ("3", "--key", "1234"),
    "package rebuild": ("7", "--compare"),
    "package shell": ("7", "amd64", "--", "true"),
    "package push": ("3",),
    "reconfig": (),
    "start": ("nowhere",),
    "stop": ("nowhere",),
    "restart": ("nowhere",),
    "status": (),
    "watch": (),
    "queue": (),
    "slaves": (),
    "builders": (),
    "schedulers": (),
    "builds": (),
    "last-good": ("hello",),
    "force": ("hello",),
    "rebuild": ("hello", "3"),
    "cancel": ("7",),
    "log": ("hello", "3"),
    "follow": ("nowhere.furl",),
    "try": ("hello",),
    "artifacts list": ("hello", "3"),
    "artifacts fetch": ("hello", "3"),
    "keep": ("hello", "3"),
    "unkeep": ("hello", "3"),
    "kept": (),
    "sendchange": ("--author", "me", "a.c"),
    "changes": (),
    "grant change": ("https://example.org/a.git",),
    "pause": ("bot1",),
    "unpause": ("bot1",),
    "unpin": ("bot1",),
    "drain": ("bot1",),
    "lost": ("bot1",),
    "grant submit": ("hello",),
    "grant webhooks": (),
    "grant watch": (),
    "grant jobs": ("none",),
    "grant shell": ("none", "--jobs-of", "7"),
    "grant sign": ("bookworm",),
    "grant push": ("bookworm",),
    "grant control": (),
    "grant admin": (),
    "grants": (),
    "revoke": ("bot1",),
    "rotate": ("bot1",),
}


def commands(group: click.Group, *above: str) -> Iterator[tuple[str, click.Command]]:
    """
    All commands with their full names.
    """
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, *above, name)
        else:
            yield " ".join([*above, name]), command


class ExitCodesTests(CommandLineCase):
    def setUp(self) -> None:
        """
        A farm, and all commands.
        """
        super().setUp()
        self.make_farm()
        # A signer's key.
        check = mock.patch("buildbot_lite.cli.packages.signing.Gnupg.check")
        check.start()
        self.addCleanup(check.stop)
        # A working tree and a string for "try".
        for words in (
            ("init", "-q"),
            ("-c", "user.name=A", "-c", "user.email=a@b", "commit", "-qm", "x", "--allow-empty"),
        ):
            subprocess.run(["git", *words], check=True)
        self.write("farm/furls/hello.furl", f"{FURL}\n")
        with open("tiny.src.rpm", "wb") as file:
            file.write(TINY_SRPM)
        self.command()
        self.commands = dict(commands(program))

    def farm_commands(self) -> Iterator[tuple[str, ...]]:
        """
        Command lines that ask a master.
        """
        for name, command in self.commands.items():
            if isinstance(command, FarmCommand):
                yield (*name.split(), "farm", *WORDS[name])

    def answer_all(self, answer: Any) -> None:
        """
        Have the master give *answer* to all questions.
        """

        class Everything(dict[str, Any]):
            def __missing__(self, key: str) -> Any:
                return answer

        self.master.answers = Everything()

    def test_every_command_is_here(self) -> None:
        """
        Promise 6.13: WORDS has all commands.
        """
        self.assertEqual(set(self.commands), set(WORDS))

    def test_usage(self) -> None:
        """
        Promise 6.13: the exit code of a wrong command line is 64 for all commands.
        """
        for name in WORDS:
            for wrong in (("--no-such-option",), ("a", "b", "c", "d", "e", "f", "--no-such-option")):
                self.assertIn("--help", self.refused(*name.split(), *wrong, code=USAGE))
        for words in (("no-such-command",), ("force", "farm"), ("grant",), ("artifacts", "nothing")):
            self.assertIn("buildbot-lite", self.refused(*words, code=USAGE))

    def test_which_command(self) -> None:
        """
        An option without its value, and an empty word for a directory, are refused with the help of that command.
        """
        for words, told in (
            (
                ("builds", "farm", "--before"),
                "Option '--before' requires an argument.  See: buildbot-lite builds --help",
            ),
            (
                ("stop", "farm", "--patience"),
                "Option '--patience' requires an argument.  See: buildbot-lite stop --help",
            ),
            (("start", ""), "Invalid value for 'DIR': this is an empty word.  See: buildbot-lite start --help"),
            (
                ("backup", "", "farm"),
                "Invalid value for 'FILE': this is an empty word.  See: buildbot-lite backup --help",
            ),
            (
                ("start", "farm", "--patience", "nan"),
                "Invalid value for '--patience': nan is not a number.  See: buildbot-lite start --help",
            ),
            (("furl", "", "bot1"), "Invalid value for 'DIR': this is an empty word.  See: buildbot-lite furl --help"),
            (
                ("queue", "farm", "--most", "x"),
                "Invalid value for '-n' / '--most': 'x' is not a whole number.  See: buildbot-lite queue --help",
            ),
        ):
            self.assertEqual(self.refused(*words, code=USAGE), told)

    def test_hostile_words(self) -> None:
        """
        Promise 6.13: whatever word is given for an argument or an option, each command ends with one of its own codes
        and a sentence, without a traceback and without control characters.
        """
        self.answer_all(NotFoundError("There is nothing of that name."))
        for words in self.lines_with(
            ("", "9" * 30, "-1", "a\x1b[31m\x07\u202eb", "nan", "\udcff", "x" * 3000, self.directory)
        ):
            said = self.command(*words, stdin=b"nonsense")
            # 2: what `package build` was given cannot be built.
            unusable = {2} if words[:2] == ("package", "build") else set()
            self.assertIn(said.code, {USAGE, NO_ANSWER, FAILED} | unusable, (words, said))
            self.assertTrue(said.err.strip(), words)
            self.assertTrue((said.out + said.err).replace("\n", "").isprintable(), (words, said))
            self.assertNotIn("An error of buildbot-lite itself", said.err, words)

    def lines_with(self, values: Sequence[str]) -> Iterator[tuple[str, ...]]:
        """
        Command lines with each of *values* in place of each argument, and of each option's value.
        """
        for name, command in self.commands.items():
            if name.startswith("create-"):
                continue  # they make what they are told
            words = (*name.split(), *(["farm"] if isinstance(command, FarmCommand) else []))
            for value in values:
                for at in range(len(WORDS[name])):
                    yield (*words, *WORDS[name][:at], value, *WORDS[name][at + 1 :])
                for option in command.params:
                    if isinstance(option, click.Option) and not option.is_flag:
                        yield (*words, *WORDS[name], option.opts[-1], value)

    def test_no_answer(self) -> None:
        """
        Promise 6.13: the exit code is 69 for all commands that ask a master when no master answers or the link is lost.
        """
        for error in (NoAnswerError("No master answers."), LinkLostError("It is gone.")):
            self.answer_all(error)
            for words in self.farm_commands():
                said = self.command(*words)
                self.assertEqual((said.code, said.out), (NO_ANSWER, ""), words)

    def test_everything_else(self) -> None:
        """
        Promise 6.13: the exit code is 70 for all commands after a refusal, an invalid FURL or an internal error.
        """
        for error in (RefusedError(), RevokedError(), NotFoundError(), FurlError(), ZeroDivisionError("x")):
            self.answer_all(error)
            for words in self.farm_commands():
                said = self.command(*words)
                self.assertEqual((said.code, said.out), (FAILED, ""), words)

    def test_missing_file(self) -> None:
        """
        Promise 6.13: the exit code is 70 for all commands that are given a file or directory which is not there, or a
        directory in the place of a file; the sentence names it, and no master is asked.
        """
        for path in ("missing", "farm"):
            for words in (
                ("status", "--furlfile", path),
                ("follow", path),
                ("package", "build", "farm", "bookworm", f"{path}/missing.dsc"),
                ("restore", path, "new"),
                ("restore", "missing", "new", "--revocations", path),
                ("backup", f"{path}/missing/file", "farm"),
                ("force", "farm", "b", "--file", f"p={path}"),
                ("sendchange", "farm", "--who", "a", "--repository", "r", "--logfile", path),
                ("sendchange", "farm", "--who", "a", "--repository", "r", "--revision_file", path),
                ("package", "shell", "b/1", "--slave", f"{path}/missing"),
                ("checkconfig", f"{path}/missing"),
            ):
                self.assertIn("missing" if "missing" in words else path, self.refused(*words, code=FAILED), words)
        self.assertEqual(self.master.questions, [])

    def test_without_a_master(self) -> None:
        """
        Promise 6.13: commands that ask no master fail with 70.
        """
        for name, command in self.commands.items():
            if not isinstance(command, FarmCommand):
                said = self.command(*name.split(), *WORDS[name], stdin=b"nonsense")
                self.assertEqual(said.code, FAILED, (name, said))

    def test_output_closed(self) -> None:
        """
        Promise 6.13: the exit code is 70 if standard output is closed or its disk is full.
        """
        self.answer_all({"builders": []})
        reader, writer = os.pipe()
        os.close(reader)
        full = os.open("/dev/full", os.O_WRONLY)
        for descriptor, sentence in ((writer, ""), (full, "Standard output: No space left on device.\n")):
            # Closing the file may fail again.
            with contextlib.suppress(OSError), open(descriptor, "w") as out:
                said = self.command("builders", "farm", out=out)

            self.assertEqual((said.code, said.err), (FAILED, sentence))

    def test_nobody_reads_the_sentence(self) -> None:
        """
        Promise 6.13: a refusal has its exit code, which is never that of a failed build, also if standard error is
        closed (``2>&1 | head``).
        """
        reader, writer = os.pipe()
        os.close(reader)
        self.addCleanup(os.close, writer)
        for words, code in (
            (("builds", "farm", "--nonsense"), USAGE),
            (("checkconfig", "nowhere"), FAILED),
        ):
            done = subprocess.run(
                [sys.executable, "-c", "from buildbot_lite.cli.program import main; main()", *words],
                stdin=subprocess.DEVNULL,
                stdout=writer,
                stderr=writer,
                check=False,
                timeout=60,
            )
            self.assertEqual(done.returncode, code)

    def test_own_codes(self) -> None:
        """
        Promise 6.13: the command's own exit codes differ from those of builds.
        """
        self.assertFalse({USAGE, NO_ANSWER, FAILED, CUT_OFF} & CODES_OF_BUILDS)
        self.assertEqual((USAGE, NO_ANSWER, FAILED), (64, 69, 70))
