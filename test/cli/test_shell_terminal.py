"""
The terminal of ``package shell``, as its own process, with a shell that is played.
"""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.cli.program import USAGE
from buildbot_lite.errors import RefusedError

from .command_line_case import FURL, CommandLineCase

# Plays the other end: shows what it is told; a "q" or the end of the input ends it, an "L" loses the link.
PROGRAM = """
import sys
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import react
from buildbot_lite.cli.output.writer import OutputWriter
from buildbot_lite.cli.asking.raw_mode import RawMode, is_interactive
from buildbot_lite.cli.asking.shell_terminal import LocalTerminal

class Link:
    def when_lost(self, callback):
        self.lose = callback
    def open_shell(self, question, terminal):
        self.terminal = terminal
        self.show("open")
        return succeed(self)
    def show(self, text):
        return self.terminal.output(f"<{text}>".encode())
    def input(self, data):
        self.show(data.hex() if len(data) < 20 else len(data))
        if b"q" in data:
            self.terminal.ended(5, "a reason")
        if b"L" in data:
            self.lose()
        return succeed(None)
    def end_input(self):
        return self.show("end").addCallback(lambda _: self.terminal.ended(6, ""))
    def resize(self, rows, columns):
        return self.show(f"{rows}x{columns}")
    def hang_up(self):
        return self.show("hung up")

codes = []
with RawMode() as raw:
    def run(reactor):
        terminal = LocalTerminal(reactor, OutputWriter().by(reactor), raw if is_interactive() else None)
        return Deferred.fromCoroutine(terminal.run(Link(), {})).addBoth(codes.append)
    try:
        react(run)
    except SystemExit:
        pass
print(getattr(codes[0], "value", codes[0]), flush=True)
"""


class LocalTerminalTests(SynchronousTestCase):
    """
    A terminal, and pipes.
    """

    def on_a_terminal(self) -> subprocess.Popen[bytes]:
        """
        Start the program on a terminal of 30 rows and 90 columns; *ours* is the other end.
        """
        self.ours, theirs = pty.openpty()
        self.addCleanup(os.close, self.ours)
        self.addCleanup(os.close, theirs)
        self.theirs = theirs
        self.resize(30, 90)
        self.said = b""
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        self.addCleanup(process.wait, 60)
        self.addCleanup(process.kill)
        return process

    def resize(self, rows: int, columns: int) -> None:
        """
        Change the size of the terminal.
        """
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def until_said(self, part: bytes) -> None:
        """
        Read what the program writes, until it has written *part*.
        """
        deadline = time.monotonic() + 60
        while part not in self.said:
            ready, _, _ = select.select([self.ours], [], [], deadline - time.monotonic())
            self.assertTrue(ready, self.said)
            self.said += os.read(self.ours, 1000)

    def test_terminal(self) -> None:
        """
        Promise 9.4: on a terminal, each key reaches the shell as it is, also Ctrl-C, and so does each change of the
        size; afterwards the terminal is as it was.
        """
        process = self.on_a_terminal()
        before = termios.tcgetattr(self.theirs)
        self.until_said(b"<open>")
        for typed in (b"\x03", b"\x1a", b"\x04", b"a\r"):
            os.write(self.ours, typed)
            self.until_said(b"<" + typed.hex().encode() + b">")
        self.resize(50, 132)
        process.send_signal(signal.SIGWINCH)
        self.until_said(b"<50x132>")
        os.write(self.ours, b"q")
        self.until_said(b"(5, 'a reason')\r\n")
        self.assertEqual(process.wait(60), 0)
        self.assertEqual(termios.tcgetattr(self.theirs), before)

    def test_lost(self) -> None:
        """
        When the connection is lost, the command ends, and the terminal is as it was.
        """
        process = self.on_a_terminal()
        before = termios.tcgetattr(self.theirs)
        self.until_said(b"<open>")
        os.write(self.ours, b"L")
        self.until_said(b"connection")
        self.assertEqual(process.wait(60), 0)
        self.assertEqual(termios.tcgetattr(self.theirs), before)

    def test_signals(self) -> None:
        """
        Promise 9.4: when a signal ends the command, the terminal is as it was.
        """
        for number in (signal.SIGTERM, signal.SIGHUP):
            process = self.on_a_terminal()
            before = termios.tcgetattr(self.theirs)
            self.until_said(b"<open>")
            self.assertNotEqual(termios.tcgetattr(self.theirs), before)
            process.send_signal(number)
            self.assertNotEqual(process.wait(60), 0)
            self.assertEqual(termios.tcgetattr(self.theirs), before, number)

    def test_pipes(self) -> None:
        """
        Without a terminal, standard input is passed on to its end; it may be a file.
        """
        file = Path(self.mktemp())
        file.write_bytes(b"x" * 40_000)
        with file.open("rb") as source:
            for given in ({"stdin": source}, {"input": b"\x03"}, {"stdin": subprocess.DEVNULL}):
                options: Any = given
                ran = subprocess.run(
                    [sys.executable, "-c", PROGRAM], capture_output=True, check=True, timeout=60, **options
                )
                self.assertTrue(ran.stdout.startswith(b"<open>"), ran)
                self.assertTrue(ran.stdout.endswith(b"<end>(6, '')\n"), ran)
                shown = ran.stdout[len("<open>") :].partition(b"<end>")[0].strip(b"<>").split(b"><")
                if "input" in given:
                    self.assertEqual(shown, [b"03"])
                elif given["stdin"] is source:
                    self.assertEqual(sum(map(int, shown)), 40_000)


class ShellCommandTests(CommandLineCase):
    """
    The words of ``package shell``.
    """

    def test_words(self) -> None:
        """
        A word that is no number of a job is refused with the way to enter a root on the slave's own machine.
        """
        for words in (("bookworm-amd64", "7"), ("0", "amd64"), ("bookworm-amd64", "x", "--slave", ".")):
            self.assertIn("--slave SLAVEDIR", self.refused("package", "shell", *words, code=USAGE))

    def test_asked(self) -> None:
        """
        The words after the architecture are a command, with its own options, and no directory; a refusal is shown.
        """
        self.write("string", FURL)
        self.master.answers = {"package-root": RefusedError("The root is gone.")}
        words = ("package", "shell", "7", "amd64", "--", "make", "--furlfile", "-C")
        self.assertEqual(self.refused(*words[:2], "--furlfile", "string", *words[2:]), "The root is gone.")
        self.make_farm()
        os.chdir("farm")
        self.assertEqual(self.refused(*words), "The root is gone.")
        question = {"ask": "package-root", "job": 7, "architecture": "amd64"}
        self.assertEqual(self.master.questions, [question] * 2)
