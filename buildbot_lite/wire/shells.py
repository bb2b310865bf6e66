"""
An open shell between the slave that runs it and the command of the person who uses it.

::

    cli                           master                          slave
    OpenShell ── input, resize ─► relay ── input, resize ───────► the shell's process
    ShellTerminal ◄─ output ───── relay ◄──────────── output ──── ShellSender
                  ── answer ────► relay ── answer ──────────────► (room for more)

The answer to `input` or `output` acknowledges the bytes.  It comes from the other end, through the relay, so that few
bytes wait in between: in each direction, at most `SHELL_WINDOW` bytes are unacknowledged (`shell_window`).

Nothing of a shell outlives a link: both ends hold their references only as long as the link lives.
"""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from foolscap.api import Referenceable
from twisted.internet.defer import Deferred
from zope.interface import implementer

from ..model.display import printable
from ..model.shell_request import ShellRequest
from .contract import RITerminal
from .shell_window import ShellWindow


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
        Show *data*, as many bytes of standard error at most; fires when that is done.
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
