"""
Entering the roots of failed builds.
"""

import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import termios

from twisted.trial.unittest import SynchronousTestCase

PROGRAM = """
import sys
from buildbot_lite.cli.packages.shell import run_apart

raise SystemExit(run_apart(["sh", "-c", sys.argv[1]]))
"""


class TerminalTests(SynchronousTestCase):
    """
    The terminal of a shell in a root.
    """

    def test_terminal_of_its_own(self) -> None:
        """
        Promise 9.4: the root gets another terminal than that of the shell from which it is entered, and its exit code
        comes back.
        """
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        process = run_on(theirs, "tty; exit 3")
        name = os.ttyname(theirs)
        os.close(theirs)
        said = b""
        with contextlib.suppress(OSError):  # EIO: nobody has the terminal open any more
            while piece := os.read(ours, 1000):
                said += piece
        self.assertEqual(process.wait(60), 3)
        self.assertIn(b"/dev/pts/", said)
        self.assertNotIn(name.encode(), said.split())

    def test_signals(self) -> None:
        """
        Promise 9.4: when a signal ends the command, the terminal is as it was.
        """
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        self.addCleanup(os.close, theirs)
        before = termios.tcgetattr(theirs)
        for number in (signal.SIGTERM, signal.SIGHUP):
            process = run_on(theirs, "echo in; read line")
            self.addCleanup(process.wait, 60)
            self.addCleanup(process.kill)
            said = b""
            while b"in" not in said:
                self.assertTrue(select.select([ours], [], [], 60)[0], said)
                said += os.read(ours, 1000)
            self.assertNotEqual(termios.tcgetattr(theirs), before)
            process.send_signal(number)
            self.assertEqual(process.wait(60), -number)
            self.assertEqual(termios.tcgetattr(theirs), before)


def run_on(terminal: int, script: str) -> subprocess.Popen[bytes]:
    """
    Start the program on *terminal*.
    """
    words = [sys.executable, "-c", PROGRAM, script]
    return subprocess.Popen(words, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True)
