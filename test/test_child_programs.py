"""
Programs that the master runs on its own machine.
"""

import os
from threading import Event
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.child_programs import LARGEST_ERRORS, ChildProgram, ProgramError, Ran, run_here
from buildbot_lite.errors import ConfigError


class ProgramTests(SynchronousTestCase):
    """
    The bounds on
    """

    def run_shell(self, script: str, **more: Any) -> Ran:
        """
        Run a shell script.
        """
        values = {"cwd": "/", "env": dict(os.environ), "seconds": 60.0, **more}
        unwanted = values.pop("unwanted", None) or Event()
        return run_here(ChildProgram(argv=["/bin/sh", "-c", script], **values), unwanted)

    def test_runs(self) -> None:
        """
        Input, output, errors and the exit code arrive.
        """
        ran = self.run_shell("cat; echo oops >&2; exit 3", stdin=b"hello")
        self.assertEqual((ran.code, ran.output, ran.errors, ran.cut_off), (3, b"hello", b"oops\n", False))

    def test_output(self) -> None:
        """
        A program that prints more than it may is ended, and what it may have printed is there.
        """
        ran = self.run_shell("yes", largest=100_000)
        self.assertEqual((len(ran.output), ran.cut_off), (100_000, True))

    def test_errors(self) -> None:
        """
        Standard error without end takes no memory.
        """
        ran = self.run_shell("head -c 3000000 /dev/zero >&2; echo done")
        self.assertEqual((ran.output, len(ran.errors)), (b"done\n", LARGEST_ERRORS))

    def test_memory(self) -> None:
        """
        A program with a limit of memory has it, and one of processor time; a missing one is still called by its name.
        """
        ran = self.run_shell("ulimit -v; ulimit -t", memory=1 << 30)
        self.assertEqual(ran.output, b"1048576\n61\n")
        missing = ChildProgram(argv=["no-such-program"], cwd="/", env={}, seconds=60.0, memory=1 << 30)
        self.assertRaisesRegex(ConfigError, "no-such-program", run_here, missing, Event())

    def test_time(self) -> None:
        """
        A program that takes too long is ended, with what it started.
        """
        self.assertRaisesRegex(
            ProgramError, "did not end within", self.run_shell, "sleep 1000 & sleep 1000", seconds=0.3
        )

    def test_unwanted(self) -> None:
        """
        A program that nobody waits for any more is ended.
        """
        unwanted = Event()
        unwanted.set()
        self.assertNotEqual(self.run_shell("sleep 1000", unwanted=unwanted).code, 0)
