"""
Other processes, as tests see them, while they live, end, and are gone.
"""

import os
import subprocess
import sys
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from .process_table import (
    alive,
    arguments,
    kill,
    other_pids,
    read_proc,
)


class LivingTests(SynchronousTestCase):
    """
    A child process that the test controls.
    """

    def test_life(self) -> None:
        """
        A living process is seen; a zombie is not.
        """
        words = [sys.executable, "-uc", "print(); input()", "x"]
        child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()  # in the middle of execve(2) it would have no words
        self.assertTrue(alive(child.pid))
        self.assertIn(child.pid, other_pids())
        self.assertNotIn(os.getpid(), other_pids())
        self.assertEqual(arguments(child.pid), [*words, ""])
        kill(child.pid)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        self.assertFalse(alive(child.pid))
        child.communicate()
        self.assertFalse(alive(child.pid))
        kill(child.pid)

    def test_ends_meanwhile(self) -> None:
        """
        A process that ends between the opening and the reading of its file counts as gone.
        """
        with mock.patch("builtins.open") as opened:
            opened.return_value.__enter__.return_value.read.side_effect = ProcessLookupError
            self.assertEqual(read_proc(1, "stat"), b"")
            self.assertFalse(alive(1))
