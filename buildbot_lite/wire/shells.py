"""
An open shell between the slave that runs it and the command of the person who uses it.

::

    cli                           master                          slave
    OpenShell ── input, resize ─► relay ── input, resize ───────► the shell's process
    ShellTerminal ◄─ output ───── relay ◄──────────── output ──── ShellSender
                  ── answer ────► relay ── answer ──────────────► (room for more)

The answer to `input` or `output` acknowledges the bytes.  It comes from the other end, through the relay, so that no
bytes wait in between: in each direction, at most `SHELL_WINDOW` bytes are unacknowledged.  The sending end keeps to it
(`ShellSender`), and each receiving side checks it (`ShellWindow`).

Nothing of a shell outlives a link: both ends hold their references only as long as the link lives.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from foolscap.api import Referenceable
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from ..deferreds import OneShot
from ..errors import MessageError
from ..model.display import printable
from ..model.shell_request import ShellRequest
from .contract import LARGEST_SHELL_PIECE, SHELL_WINDOW, RITerminal


@runtime_checkable
class ShellTerminal(Protocol):
    """
    The end of a shell at which somebody sits.
    """

    def output(self, data: bytes) -> Deferred[None]:
        """
        Show *data*, at most `LARGEST_SHELL_PIECE` bytes of standard output (of a terminal: of both outputs); fires when
        that is done.
        """

    def errors(self, data: bytes) -> Deferred[None]:
        """
        The same for standard error.
        """

    def ended(self, exit_code: int, reason: str) -> Deferred[None]:
        """
        The shell has ended; the last call.  *exit_code*: that of the shell, 128 more than the number of the signal that
        ended it.  *reason*: a sentence, if it did not end by itself; otherwise "".
        """

    def when_lost(self, callback: Callable[[], None]) -> None:
        """
        Call *callback* once, when the link is lost.
        """


@runtime_checkable
class OpenShell(Protocol):
    """
    The end of a shell at which it runs.
    """

    def input(self, data: bytes) -> Deferred[None]:
        """
        Type *data*, at most `LARGEST_SHELL_PIECE` bytes; fires when the shell's terminal or pipe has taken them.
        """

    def end_input(self) -> Deferred[None]:
        """
        End standard input, if that is a pipe.
        """

    def resize(self, rows: int, columns: int) -> Deferred[None]:
        """
        Change the size of the terminal; `MessageError` as for `WindowSize`.
        """

    def hang_up(self) -> Deferred[None]:
        """
        End the shell and all that runs in it.
        """


@runtime_checkable
class ShellHost(Protocol):
    """
    A slave that can open shells.
    """

    def open_shell(self, request: ShellRequest, terminal: ShellTerminal) -> Deferred[OpenShell]:
        """
        Open a shell, whose output goes to *terminal*; a `RefusedError` says why the slave does not.
        """


class ShellWindow:
    """
    The unacknowledged bytes of one direction, at the side that receives them.
    """

    def __init__(self) -> None:
        self._unacknowledged = 0

    def through(self, data: bytes, take: Callable[[bytes], Deferred[None]]) -> Deferred[None]:
        """
        ``take(data)``, whose result acknowledges *data*; `MessageError` if more than `SHELL_WINDOW` would wait.
        """
        if self._unacknowledged + len(data) > SHELL_WINDOW:
            raise MessageError(f"More than {SHELL_WINDOW} bytes of a shell were sent before they were acknowledged.")
        self._unacknowledged += len(data)
        return take(data).addBoth(self._taken, len(data))

    def _taken(self, result: Any, size: int) -> Any:
        self._unacknowledged -= size
        return result


Send = Callable[[bytes], Deferred[None]]


class ShellSender:
    """
    Sends the bytes of one direction in pieces, at most `SHELL_WINDOW` unacknowledged.

    *full*: called when bytes have to wait here, so that no more are read; *room*: called when none waits any more.
    *failed*: called once, with the first error of a piece; after it, bytes are thrown away.
    """

    def __init__(
        self, *, full: Callable[[], None], room: Callable[[], None], failed: Callable[[Failure], None]
    ) -> None:
        self._full = full
        self._room = room
        self._failed = failed
        self._waiting: deque[tuple[Send, bytes]] = deque()
        self._unacknowledged = 0
        self._flushed: list[OneShot[None]] = []
        self._closed = False

    @property
    def is_full(self) -> bool:
        """
        Whether bytes wait here for the acknowledgement of others.
        """
        return bool(self._waiting)

    def send(self, send: Send, data: bytes) -> None:
        """
        Send *data* with *send*, after all that was sent before.
        """
        if self._closed:
            return
        for start in range(0, len(data), LARGEST_SHELL_PIECE):
            self._waiting.append((send, data[start : start + LARGEST_SHELL_PIECE]))
        self._send_some()
        if self._waiting:
            self._full()

    def when_flushed(self) -> Deferred[None]:
        """
        Fires when everything is acknowledged, or the sender is closed.
        """
        flushed: OneShot[None] = OneShot()
        self._flushed.append(flushed)
        self._tell_flushed()
        return flushed.wait()

    def close(self) -> None:
        """
        Throw everything away that waits, and what comes later.
        """
        self._closed = True
        self._waiting.clear()
        self._tell_flushed()

    def _send_some(self) -> None:
        while self._waiting and self._unacknowledged + len(self._waiting[0][1]) <= SHELL_WINDOW:
            send, piece = self._waiting.popleft()
            self._unacknowledged += len(piece)
            # The errback of the last one takes every failure.
            send(piece).addCallbacks(self._acknowledged, self._refused, callbackArgs=(len(piece),))  # type: ignore[unused-awaitable]

    def _acknowledged(self, _: None, size: int) -> None:
        waited = bool(self._waiting)
        self._unacknowledged -= size
        self._send_some()
        if waited and not self._waiting:
            self._room()
        self._tell_flushed()

    def _refused(self, failure: Failure) -> None:
        if not self._closed:
            self.close()
            self._failed(failure)

    def _tell_flushed(self) -> None:
        if self._closed or not (self._waiting or self._unacknowledged):
            flushed, self._flushed = self._flushed, []
            for each in flushed:
                each.fire(None)


@implementer(RITerminal)
class ExposedTerminal(Referenceable):
    """
    *terminal*, for the other end of a link.
    """

    def __init__(self, terminal: ShellTerminal) -> None:
        self._terminal = terminal
        self._window = ShellWindow()

    def remote_output(self, data: bytes) -> Deferred[None]:
        return self._window.through(data, self._terminal.output)

    def remote_errors(self, data: bytes) -> Deferred[None]:
        return self._window.through(data, self._terminal.errors)

    def remote_ended(self, exit_code: int, reason: bytes) -> Deferred[None]:
        # A shell that asks for the code of another kind would take its last eight bits, and 256 for success.
        code = exit_code if 0 <= exit_code <= 255 else 255
        return self._terminal.ended(code, printable(reason.decode("utf-8", "replace")))
