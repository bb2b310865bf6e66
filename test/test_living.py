"""
What tests see of other processes, also of those that end meanwhile.
"""

import os
import subprocess
import sys
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from .living import (
    alive,
    arguments,
    kill,
    others,
    told,
)


class LivingTests(SynchronousTestCase):
    """
    A process that lives, is a zombie, and is gone.
    """

    def test_life(self) -> None:
        """
        It is seen while it lives, and not as a zombie.
        """
        words = [sys.executable, "-uc", "print(); input()", "x"]
        child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()  # in the middle of exec(2) it would have no words
        self.assertTrue(alive(child.pid))
        self.assertIn(child.pid, others())
        self.assertNotIn(os.getpid(), others())
        self.assertEqual(arguments(child.pid), [*words, ""])
        kill(child.pid)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        self.assertFalse(alive(child.pid))
        child.communicate()
        self.assertFalse(alive(child.pid))
        kill(child.pid)

    def test_ends_meanwhile(self) -> None:
        """
        One that ends between the opening and the reading of its file is gone.
        """
        with mock.patch("builtins.open") as opened:
            opened.return_value.__enter__.return_value.read.side_effect = ProcessLookupError
            self.assertEqual(told(1, "stat"), b"")
            self.assertFalse(alive(1))
