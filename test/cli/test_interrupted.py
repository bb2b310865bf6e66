"""
Ctrl-C, in real processes at real terminals.
"""

import os
import pty
import re
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.cli import CUT_OFF

from ..processes.farm import BIN, PATIENCE, dying_with_the_test
from .test_package_signing import KEY, waiting

INTERRUPTS_IMPORT = """
import os, signal, sys

class Interrupting:
    def find_spec(self, name, path, target=None):
        if name == os.environ["INTERRUPTED_AT"]:
            sys.meta_path.remove(self)
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
"""

WITH_ANSWERS = """
import sys
from buildbot_lite.cli import program
from buildbot_lite.cli.asking import connection
from buildbot_lite.cli.packages import signing

async def ask(link, question):
    return {answers!r}[question["ask"]]

connection.NetworkLink.ask = ask
signing.Gnupg.check = lambda gnupg: None
sys.exit(program.run(sys.argv[1:]))
"""


class Terminal:
    """
    A terminal in which a command runs.
    """

    def __init__(self, *argv: str, env: Mapping[str, str] | None = None) -> None:
        self.own, other = pty.openpty()
        self.out = b""
        self.process = subprocess.Popen(
            ["setsid", "--ctty", "--wait", *argv],
            env=env,
            stdin=other,
            stdout=other,
            stderr=other,
            preexec_fn=dying_with_the_test(),  # noqa: PLW1509 - two system calls, loaded before
        )
        os.close(other)

    def until(self, pattern: bytes) -> None:
        """
        Wait until the command has printed *pattern*.
        """
        deadline = time.monotonic() + PATIENCE
        while not re.search(pattern, self.out):
            assert self._read(deadline), f"{pattern!r} was not printed: {self.out!r}"

    def interrupted(self) -> int:
        """
        Press Ctrl-C, and return the exit code.
        """
        os.write(self.own, b"\x03")
        deadline = time.monotonic() + PATIENCE
        while self._read(deadline):
            pass
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        """
        Close it, and end the command if it runs.
        """
        self.process.kill()
        self.process.wait(PATIENCE)
        os.close(self.own)

    def _read(self, deadline: float) -> bool:
        """
        Whether there was more to read; at *deadline* there is not.
        """
        if not select.select([self.own], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return False
        try:
            self.out += os.read(self.own, 1 << 16)
        except OSError:
            # The last process that has it open has ended: pty(7).
            return False
        return True


class InterruptedTests(SynchronousTestCase):
    """
    A command that Ctrl-C ends says a sentence or nothing, and its exit code is 130.
    """

    def setUp(self) -> None:
        """
        A master that takes connections, and never answers.
        """
        self.directory = Path(tempfile.mkdtemp(prefix="interrupted-"))
        self.addCleanup(shutil.rmtree, self.directory)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(PATIENCE)
        self.addCleanup(self.listener.close)
        self.string = str(self.directory / "farm.furl")
        furl = f"pb://{'a' * 32}@tcp:127.0.0.1:{self.listener.getsockname()[1]}/{'s' * 32}\n"
        with open(os.open(self.string, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write(furl)

    def terminal(self, *argv: str) -> Terminal:
        terminal = Terminal(*argv, env={**os.environ, "TERM": "xterm-256color"})
        self.addCleanup(terminal.close)
        return terminal

    def test_importing(self) -> None:
        """
        While modules are imported, for commands in general and for the connection.
        """
        (self.directory / "sitecustomize.py").write_text(INTERRUPTS_IMPORT)
        for name in (
            "click",
            "twisted.internet.task",
            "buildbot_lite.cli.watch.command",
            "twisted.internet.reactor",
            "foolscap",
        ):
            for words in (("status", "--furlfile", self.string), ("watch", "--furlfile", self.string)):
                done = subprocess.run(
                    [BIN / "buildbot-lite", *words],
                    env={**os.environ, "PYTHONPATH": str(self.directory), "INTERRUPTED_AT": name},
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=PATIENCE,
                    check=False,
                )
                self.assertEqual((done.returncode, done.stdout, done.stderr.strip()), (CUT_OFF, b"", b""), name)

    def test_connecting(self) -> None:
        """
        While it connects: of commands that wait for one answer, of those that follow, and of those that submit.
        """
        for words, said in (
            (("status", "--furlfile", self.string), b""),
            (("watch", "--furlfile", self.string), b""),
            (("log", "--furlfile", self.string, "quick", "--follow"), b""),
            (("package", "list", "--furlfile", self.string), b""),
            (
                ("package", "build", "--furlfile", self.string, "--revision", "v1"),
                b"Builds whose watch string",
            ),
            (("follow", self.string), b"The build continues"),
        ):
            terminal = self.terminal(str(BIN / "buildbot-lite"), *words)
            link, _ = self.listener.accept()
            self.addCleanup(link.close)
            code = terminal.interrupted()
            self.assertEqual(code, CUT_OFF, terminal.out)
            self.assertNotRegex(terminal.out, rb"Traceback|[Ee]rror|lost|Lost")
            self.assertIn(said, terminal.out)

    def test_question(self) -> None:
        """
        At a question, whose answer nothing waits for then.
        """
        answers = {"sign-offer": {"target": "f4", "auto": False, "jobs": [waiting(3)]}}
        program = WITH_ANSWERS.format(answers=answers)
        words = ("package", "sign", "3", *KEY, "--furlfile", self.string)
        terminal = self.terminal(sys.executable, "-c", program, *words)
        terminal.until(rb"\[y/N\]")
        self.assertEqual(terminal.interrupted(), CUT_OFF, terminal.out)
        self.assertNotIn(b"Nothing was signed", terminal.out)
        self.assertNotIn(b"Traceback", terminal.out)
