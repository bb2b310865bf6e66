"""
The terminal of ``watch``, as its own process.
"""

import os
import pty
import subprocess
import sys
import termios

from twisted.trial.unittest import SynchronousTestCase

PROGRAM = """
import os, signal, sys, termios
from unittest import mock
from rich.live import Live
from buildbot_lite.cli.watch.screen import LiveScreen, signals

def broken(*arguments, **more):
    raise OSError(5, "The terminal is broken.")

def draw(space):
    if sys.argv[1] == "draw":
        broken()
    return []

def show():
    with LiveScreen(draw) as screen, signals(screen, lambda call: call(), lambda: None):
        if sys.argv[1] == "hang up":
            os.kill(os.getpid(), signal.SIGHUP)
        return screen.left.fired

before = termios.tcgetattr(0)
try:
    if sys.argv[1] in ("start", "stop"):
        with mock.patch.object(Live, sys.argv[1], broken):
            show()
    else:
        print("left" if show() else "shown", file=sys.__stderr__)
except OSError as error:
    print(error.strerror, file=sys.__stderr__)
assert termios.tcgetattr(0) == before, "the terminal is not as it was"
opened = [int(each) for each in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + each)]
assert not [each for each in opened if each > 2 and os.isatty(each)], "the terminal is still open"
"""


class LiveScreenTests(SynchronousTestCase):
    """
    The screen and its terminal.
    """

    def test_restored(self) -> None:
        """
        Whatever fails, or if the terminal hangs up, it is as it was afterwards.
        """
        for event, said in (
            ("nothing", "shown"),
            ("hang up", "left"),
            ("start", "The terminal is broken."),
            ("stop", "The terminal is broken."),
            ("draw", "The terminal is broken."),
        ):
            with self.subTest(event=event):
                ours, theirs = pty.openpty()
                self.addCleanup(os.close, ours)
                self.addCleanup(os.close, theirs)
                before = termios.tcgetattr(theirs)
                ran = subprocess.run(
                    [sys.executable, "-c", PROGRAM, event],
                    stdin=theirs,
                    stdout=theirs,
                    stderr=subprocess.PIPE,
                    check=False,
                    timeout=60,
                    text=True,
                    env={**os.environ, "TERM": "xterm"},
                    start_new_session=True,
                )
                self.assertEqual((ran.returncode, ran.stderr), (0, f"{said}\n"))
                self.assertEqual(termios.tcgetattr(theirs), before)
