"""
Programs that the master runs on its own machine.
"""

import os
from errno import EPERM
from select import select
from signal import SIGKILL, SIGTERM
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite import child_programs
from buildbot_lite.child_programs import (
    LARGEST_ERRORS,
    LARGEST_OUTPUT,
    LONGEST_COMPLAINT,
    ChildProgram,
    ProgramError,
    Ran,
    last_complaint,
    run_here,
)
from buildbot_lite.errors import ConfigError


class ProgramTests(SynchronousTestCase):
    """
    The bounds on a program: time, output, errors, memory.
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

    def test_complaint(self) -> None:
        """
        The complaint of a program is its last line, printable and bounded; without one there is none.
        """
        for errors, complaint in {
            b"gpg: one\n gpg: two.\n\n": "gpg: two",
            b"\x1b[31mred\xff": "?[31mred\ufffd",
            b"x" * 1000: "x" * (LONGEST_COMPLAINT - 1) + "…",
            b" \n\n": "",
        }.items():
            self.assertEqual(last_complaint(errors), complaint)

    def test_output(self) -> None:
        """
        A program that exceeds its limit of output is ended; the output up to the limit is returned.
        """
        ran = self.run_shell("yes", largest=100_000)
        self.assertEqual((len(ran.output), ran.cut_off), (100_000, True))

    def test_errors(self) -> None:
        """
        Endless standard error takes no memory.
        """
        ran = self.run_shell("head -c 3000000 /dev/zero >&2; echo done")
        self.assertEqual((ran.output, len(ran.errors)), (b"done\n", LARGEST_ERRORS))

    def test_memory(self) -> None:
        """
        The limits of memory and of processor time apply to the program; an error still names the program that is
        missing.
        """
        ran = self.run_shell("ulimit -v; ulimit -t", memory=1 << 30)
        self.assertEqual(ran.output, b"1048576\n61\n")
        missing = ChildProgram(argv=["no-such-program"], cwd="/", env={}, seconds=60.0, memory=1 << 30)
        self.assertRaisesRegex(ConfigError, "no-such-program", run_here, missing, Event())

    def test_time(self) -> None:
        """
        A program that exceeds its time is ended, with all its descendants.
        """
        self.assertRaisesRegex(
            ProgramError, "did not end within", self.run_shell, "sleep 1000 & sleep 1000", seconds=0.3
        )

    def test_left(self) -> None:
        """
        What a program leaves behind is ended with it, even if it ignores SIGTERM, and holds nobody up although it has
        the program's output.
        """
        for end, largest, expected in [
            ("exit 3", LARGEST_OUTPUT, Ran(3, b"done\n", b"")),
            ("exec sleep 1000", 3, Ran(-SIGTERM, b"don", b"", cut_off=True)),
        ]:
            with TemporaryDirectory() as directory:
                pipe = os.path.join(directory, "pipe")
                os.mkfifo(pipe)
                reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
                self.addCleanup(os.close, reader)
                ran = self.run_shell(
                    f"trap '' TERM; exec 7>{pipe}; while :; do sleep 1; done & trap - TERM; echo done; {end}",
                    largest=largest,
                    seconds=1000.0,
                )
            self.assertEqual(ran, expected)
            # The end of the pipe comes with the end of all that had it open.
            self.assertEqual(select([reader], [], [], 60.0)[0], [reader])
            self.assertEqual(os.read(reader, 1), b"")

    def test_of_another_user(self) -> None:
        """
        A program that has become another user's, so that no signal is permitted, has its exit code when it ends; when
        it is to be ended, nobody waits for it without end.
        """

        def refused(group: int, number: int) -> None:
            raise PermissionError(EPERM, os.strerror(EPERM))

        self.patch(os, "killpg", refused)
        for seconds in ("TO_END", "TO_BE_KILLED"):
            self.patch(child_programs, seconds, 0.1)
        self.assertEqual(self.run_shell("echo done; exit 3"), Ran(3, b"done\n", b""))
        unwanted = Event()
        unwanted.set()
        cases: list[tuple[dict[str, Any], str]] = [
            ({"seconds": 0.3}, "/bin/sh did not end within 0 s."),
            ({"unwanted": unwanted}, "/bin/sh cannot be ended, and may still run."),
        ]
        for bounds, sentence in cases:
            with TemporaryDirectory() as directory:
                pipe = os.path.join(directory, "pipe")
                os.mkfifo(pipe)
                # Who has it open for both need not wait for the other end.
                reader = os.open(pipe, os.O_RDWR)
                self.addCleanup(os.close, reader)
                with self.assertRaises(ProgramError) as caught:
                    self.run_shell(f"echo $$ >{pipe}; exec sleep 1000", **bounds)
                os.kill(int(os.read(reader, 100)), SIGKILL)
            self.assertEqual(str(caught.exception), sentence)

    def test_unwanted(self) -> None:
        """
        A program is ended as soon as its caller gives it up.
        """
        unwanted = Event()
        unwanted.set()
        self.assertNotEqual(self.run_shell("sleep 1000", unwanted=unwanted).code, 0)
