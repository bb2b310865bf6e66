"""
``buildbot-lite watch`` in a real terminal, of a real farm.
"""

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

from .farm import BIN, PATIENCE, Farm, dying_with_the_test
from .farm_case import FarmCase

ALTERNATE, USUAL = b"\x1b[?1049h", b"\x1b[?1049l"


class WatchingTerminal:
    """
    A terminal in which a command runs.  *opened*: all terminals of the test, which are read together: a program that
    cannot print does nothing else, either.
    """

    def __init__(self, farm: Farm, opened: "dict[int, WatchingTerminal]", *words: str) -> None:
        self.own, self.other = pty.openpty()
        self.opened = opened
        opened[self.own] = self
        self.resize(100, 30)
        self.before = termios.tcgetattr(self.other)
        self.out = b""
        self.process = subprocess.Popen(
            ["setsid", "--ctty", "--wait", str(BIN / "buildbot-lite"), *words],
            # Variables with another size, as a shell may have exported them.
            env={**farm.env, "TERM": "xterm-256color", "COLUMNS": "70", "LINES": "20"},
            stdin=self.other,
            stdout=self.other,
            stderr=self.other,
            preexec_fn=dying_with_the_test(),  # noqa: PLW1509 - two system calls, loaded before
        )

    def resize(self, columns: int, rows: int) -> None:
        """
        Give it another size.
        """
        fcntl.ioctl(self.other, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: bytes) -> None:
        """
        Press keys.
        """
        os.write(self.own, keys)

    def until(self, pattern: bytes) -> None:
        """
        Wait until the command has printed *pattern* since the last such wait.
        """
        deadline = time.monotonic() + PATIENCE
        while (found := re.search(pattern, self.out)) is None:
            ready, _, _ = select.select(self.opened, [], [], max(0.0, deadline - time.monotonic()))
            for descriptor in ready:
                self.opened[descriptor].out += os.read(descriptor, 1 << 16)
            assert time.monotonic() < deadline, f"{pattern!r} was not printed: {self.out[-4000:]!r}"
        self.out = self.out[found.end() :]

    def end(self) -> int:
        """
        Wait for the end of the command; return its exit code.
        """
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        """
        Close it.
        """
        del self.opened[self.own]
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        os.close(self.own)
        os.close(self.other)


class WatchTests(FarmCase):
    @classmethod
    def make(cls) -> Farm:
        """
        A build that writes a line and waits for the test.
        """
        end = r"printf '\033]0;a title\007\033[2J\033[31mthe end\033[0m\n'"
        waiting = "until [ -e $WITNESS/go ]; do sleep 0.1; done"
        return Farm("bot1").builder("hello", f"echo first line; {waiting}; {end}")

    def setUp(self) -> None:
        """
        No terminal is open.
        """
        self.opened: dict[int, WatchingTerminal] = {}

    def terminal(self, *words: str) -> WatchingTerminal:
        """
        A terminal with ``buildbot-lite watch``.
        """
        terminal = WatchingTerminal(self.farm, self.opened, "watch", str(self.farm.master_directory), *words)
        self.addCleanup(terminal.close)
        return terminal

    def assert_left(self, terminal: WatchingTerminal, code: int) -> None:
        """
        The command has ended with *code*, and the terminal is as it was before.
        """
        terminal.until(re.escape(USUAL))
        self.assertEqual(terminal.end(), code)
        self.assertEqual(termios.tcgetattr(terminal.other), terminal.before)

    def test_watch(self) -> None:
        """
        Promise 10.8: the farm and a build are shown in the terminal as they change, in its size; over a restart of the
        master, with a sentence meanwhile; q and Ctrl-C leave the terminal as it was.
        """
        farm = self.farm
        on_farm, on_build = self.terminal(), self.terminal("hello/1")
        on_farm.until(re.escape(ALTERNATE))
        on_farm.until(rb"bot1 +\S*here")
        # There is no such build yet.
        on_build.until(rb"has not built anything")
        self.assertEqual(on_build.end(), 70)

        submitting = farm.submitting("hello")
        on_farm.until(rb"hello/1 +shell ")
        on_build = self.terminal("hello/1")
        on_build.until(rb"first line")
        on_farm.resize(40, 10)
        on_farm.until("Build fa… 1 running".encode())

        farm.master.stop()
        on_farm.until(rb"No link to the master since")
        farm.start_master()
        (farm.witness / "go").touch()
        on_build.until(rb"SUCCESS")
        on_farm.until(rb"hello +\S*S")
        on_farm.type(b"q")
        self.assert_left(on_farm, 0)
        on_build.type(b"\x03")
        self.assert_left(on_build, 130)
        submitting.wait()

    def test_ways(self) -> None:
        """
        Promise 10.8: the keys lead from the farm to a builder, a build and the log of a step, and back; a log changes
        nothing of the terminal but colours; SIGTERM leaves it as it was.
        """
        farm = self.farm
        (farm.witness / "go").touch()
        farm.submitting("hello").wait()
        terminal = self.terminal()
        terminal.until(rb"hello +\S*S")
        terminal.type(b"j\r")
        terminal.until(rb"SUCCESS")
        terminal.type(b"\x1b[B\r")
        terminal.until(rb"Steps ")
        terminal.type(b"\x1b[B\r")
        terminal.until(rb"first line")
        terminal.until(rb"\x1b\[31mthe end\x1b\[0m")
        terminal.type(b"\x7f\x7f\x7f")
        terminal.until(rb"bot1 +\S*here")
        terminal.process.send_signal(signal.SIGTERM)
        terminal.until(re.escape(USUAL))
        terminal.end()
        self.assertEqual(termios.tcgetattr(terminal.other), terminal.before)

    def test_gone(self) -> None:
        """
        Promise 10.8: when its terminal is closed, the command ends with 70, also if no signal tells it (the terminal
        does not control its process), and if it has no keyboard.
        """
        watching = []
        for stdin in (None, subprocess.DEVNULL):
            own, other = pty.openpty()
            process = subprocess.Popen(
                [str(BIN / "buildbot-lite"), "watch", str(self.farm.master_directory)],
                env={**self.farm.env, "TERM": "xterm-256color"},
                stdin=other if stdin is None else stdin,
                stdout=other,
                stderr=subprocess.PIPE,
                start_new_session=True,
                preexec_fn=dying_with_the_test(),  # noqa: PLW1509 - two system calls, loaded before
            )
            self.addCleanup(process.wait)
            self.addCleanup(process.kill)
            os.close(other)
            watching.append((own, process))
        for own, _ in watching:
            # With its first bytes the command has a screen, which it looks after.
            self.assertTrue(select.select([own], [], [], PATIENCE)[0], "nothing was printed")
            os.read(own, 1)
            os.close(own)
        for _, process in watching:
            _, err = process.communicate(timeout=PATIENCE)
            self.assertEqual((process.returncode, err), (70, b""))
