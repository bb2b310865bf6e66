"""
A terminal that shows a screen until the user leaves it: alternate screen, keys without Return, another size at any
time, Ctrl-Z; whatever happens, the terminal is as before afterwards.
"""

import contextlib
import os
import signal
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

from attrs import define
from rich.console import Console, ConsoleDimensions, Group, RenderableType
from rich.live import Live
from rich.text import Text
from twisted.python.failure import Failure

from ...deferreds import OneShot
from ..output.printing import hung_up
from .keys import LEAVE, KeyDecoder
from .screen_layout import Space

_STDIN, _STDOUT = 0, 1
Draw = Callable[[Space], Sequence[Text]]


def can_show() -> bool:
    """
    Whether standard output is a terminal that can show a screen.
    """
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in {"dumb", "unknown", ""}


class LiveScreen:
    """
    Shows what *draw* returns.  A context manager.  *left*: fires when the user presses q, and fails with
    BrokenPipeError when the terminal is gone; *pressed* gets the names of other keys.
    """

    def __init__(self, draw: Draw, console: Console | None = None, wall: Callable[[], float] = time.time) -> None:
        self._draw = draw
        self._wall = wall
        self._console = console or Console(highlight=False)
        self._live: Live | None = None
        self._keyboard = _Keyboard()
        self._decoder = KeyDecoder()
        self.left: OneShot[None] = OneShot()
        self.pressed: Callable[[Sequence[str]], None] = lambda keys: None

    def __enter__(self) -> Self:
        try:
            self._show()
        except BaseException:
            self._keyboard.close()
            raise
        return self

    def __exit__(self, *problem: object) -> None:
        try:
            self._restore()
        finally:
            self._keyboard.close()

    @property
    def keys(self) -> int | None:
        """
        The descriptor of the keyboard; None if there is none.
        """
        return self._keyboard.descriptor

    def draw(self, remark: str = "") -> None:
        """
        Show the present state; leave if the terminal is gone.
        """
        if self._live is None:
            return
        # rich is silent where it finds no terminal.
        if hung_up(_STDOUT):
            self.gone()
            return
        try:
            self._live.update(self._lines(remark), refresh=True)
        except OSError:
            self.gone()

    def gone(self) -> None:
        """
        Leave, because nobody is at the terminal any more.
        """
        self.left.fire(Failure(BrokenPipeError()))

    def typed(self, data: bytes) -> None:
        """
        The user has pressed keys.
        """
        keys = self._decoder.keys(data)
        if LEAVE in keys:
            self.left.fire(None)
        elif keys:
            self.pressed(keys)

    def suspend(self) -> None:
        """
        Restore the terminal, stop this process as Ctrl-Z does, and show the screen again when it continues.
        """
        self._restore()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._show()

    def _lines(self, remark: str) -> RenderableType:
        # COLUMNS and LINES, which rich prefers, are those of the moment when they were exported.
        with contextlib.suppress(OSError):
            size = os.get_terminal_size(_STDOUT)
            self._console.size = ConsoleDimensions(max(1, size.columns), max(1, size.lines))
        lines = self._draw(Space(*self._console.size, self._wall(), remark))
        for line in lines:
            line.no_wrap = True
        return Group(*lines)

    def _show(self) -> None:
        try:
            self._keyboard.take()
            self._live = Live(
                self._lines(""), console=self._console, screen=True, auto_refresh=False, vertical_overflow="crop"
            )
            self._live.start(refresh=True)
        except BaseException as error:
            self._restore()
            if isinstance(error, OSError | termios.error) and hung_up(_STDOUT):
                raise BrokenPipeError from None
            raise

    def _restore(self) -> None:
        live, self._live = self._live, None
        try:
            if live is not None:
                live.stop()
        except OSError:
            if not hung_up(_STDOUT):
                raise
        finally:
            self._keyboard.give_back()


@define(eq=False)
class KeyReader:
    """
    Tells *screen* what is typed: an `IReadDescriptor` of a reactor.
    """

    screen: LiveScreen

    def fileno(self) -> int:
        """
        The descriptor of the keyboard; -1 if there is none.
        """
        return -1 if self.screen.keys is None else self.screen.keys

    def doRead(self) -> Any:  # noqa: N802 - Twisted's
        """
        Read what was typed.
        """
        try:
            data = os.read(self.fileno(), 1024)
        except OSError:
            data = b""
        if data:
            self.screen.typed(data)
        else:
            self.screen.gone()

    def connectionLost(self, reason: Any = None) -> None:
        """
        The reactor ends; or it has found that the terminal is gone.
        """
        if self.screen.keys is not None and hung_up(self.screen.keys):
            self.screen.gone()

    def logPrefix(self) -> str:  # noqa: N802 - Twisted's
        """
        The name in the reactor's log.
        """
        return "keys"


@contextlib.contextmanager
def signals(
    screen: LiveScreen, later: Callable[[Callable[[], None]], None], resized: Callable[[], None]
) -> Iterator[None]:
    """
    During the block, Ctrl-Z suspends *screen*, SIGHUP leaves it, and a new size of the terminal calls *resized*, all
    through *later*.
    """
    wanted: dict[signal.Signals, Callable[[], None]] = {
        signal.SIGWINCH: resized,
        signal.SIGTSTP: screen.suspend,
        signal.SIGHUP: screen.gone,
    }
    before = {}
    for number, call in wanted.items():
        before[number] = signal.signal(number, lambda *_, call=call: later(call))
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


class _Keyboard:
    """
    The terminal that types, which may be another file than standard input.  *descriptor*: None if there is none.
    """

    def __init__(self) -> None:
        self.descriptor: int | None = None
        self._before: list[Any] | None = None
        # Standard input may be a string, and some roots have no /dev/tty.
        with contextlib.suppress(OSError):
            self.descriptor = (
                os.dup(_STDIN) if os.isatty(_STDIN) else os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
            )

    def take(self) -> None:
        """
        Turn off echo and line editing: each key arrives at once.
        """
        if self.descriptor is not None:
            self._before = termios.tcgetattr(self.descriptor)
            tty.setcbreak(self.descriptor, termios.TCSADRAIN)

    def give_back(self) -> None:
        """
        Restore the settings from before `take`.
        """
        before, self._before = self._before, None
        if self.descriptor is not None and before is not None:
            # Its other end may be gone.
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self.descriptor, termios.TCSADRAIN, before)

    def close(self) -> None:
        """
        Close the descriptor; nothing is read any more.
        """
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None
