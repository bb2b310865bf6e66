"""
Entering the roots of failed builds.
"""

import contextlib
import os
import pty
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

PROGRAM = """
from buildbot_lite.cli.package_shell import run_apart

raise SystemExit(run_apart(["sh", "-c", "tty; exit 3"]))
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
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        name = os.ttyname(theirs)
        os.close(theirs)
        said = b""
        with contextlib.suppress(OSError):  # EIO: nobody has the terminal open any more
            while piece := os.read(ours, 1000):
                said += piece
        self.assertEqual(process.wait(60), 3)
        self.assertIn(b"/dev/pts/", said)
        self.assertNotIn(name.encode(), said.split())
