"""
The terminal of this command: its size, and its raw mode (cfmakeraw(3)).
"""

import contextlib
import os
import signal
import sys
import termios
import tty
from typing import Any, Self

from ...model.shell_request import LARGEST_SIDE, WindowSize

IN = 0
ENDING = (signal.SIGHUP, signal.SIGTERM)
"""The signals that end a process which does nothing about them, and that somebody may send to this command."""
DEFAULT_SIZE = WindowSize(24, 80)


class RawMode:
    """
    The raw mode of the terminal *descriptor*, entered with `enter`.  A context manager, which leaves it at its end.  A
    signal that ends this process ends it after that.
    """

    def __init__(self, descriptor: int = IN) -> None:
        self._descriptor = descriptor
        self._before: list[Any] | None = None
        self._default: list[signal.Signals] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self.leave()

    def enter(self) -> None:
        """
        Enter it, unless standard input is no terminal.
        """
        if os.isatty(self._descriptor):
            self._before = termios.tcgetattr(self._descriptor)
            self._default = [number for number in ENDING if signal.getsignal(number) is signal.SIG_DFL]
            for number in self._default:
                signal.signal(number, self._end)
            tty.setraw(self._descriptor, termios.TCSADRAIN)

    def leave(self) -> None:
        """
        Set the terminal as it was before.
        """
        self._restore(termios.TCSADRAIN)
        while self._default:
            signal.signal(self._default.pop(), signal.SIG_DFL)

    def _restore(self, when: int) -> None:
        before, self._before = self._before, None
        if before is not None:
            # The other end of the terminal may be gone.
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._descriptor, when, before)

    def _end(self, number: int, frame: object) -> None:
        # At once: what is still to be shown may never be taken.
        self._restore(termios.TCSANOW)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def is_interactive() -> bool:
    """
    Whether somebody sits at this command: standard input and standard output are terminals.
    """
    return sys.stdin.isatty() and sys.stdout.isatty()


def terminal_size() -> WindowSize:
    """
    The size of the terminal; `DEFAULT_SIZE` where it says none.
    """
    try:
        columns, rows = os.get_terminal_size(IN)
    except OSError:
        return DEFAULT_SIZE
    if not (rows and columns):
        return DEFAULT_SIZE
    return WindowSize(min(rows, LARGEST_SIDE), min(columns, LARGEST_SIDE))
