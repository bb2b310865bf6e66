"""
The terminal of this command, for a shell on another machine; or its pipes.

::

    standard input ──► ShellSender ──► the shell          full: not read
    standard output, standard error ◄── OutputWriter ◄── the shell
    SIGWINCH ──► resize

A terminal is in `raw_mode` while the shell is open: each key, also Ctrl-C, goes to the shell as it is.
"""

import os
import signal
from typing import Any, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from ...deferreds import OneShot, RepeatedWork, background
from ...errors import BuildbotLiteError, LinkLostError
from ...wire.contract import LARGEST_SHELL_PIECE
from ...wire.shell_window import ShellSender
from ...wire.shells import OpenShell, ShellTerminal
from ..output.printing import Document, TakeChunk
from .raw_mode import IN, RawMode, terminal_size


class ShellLink(Protocol):
    """
    A connection to a master that opens shells.
    """

    def ask(self, question: Document) -> Deferred[Document]:
        """
        Send *question*; fires with the answer.
        """

    def open_shell(self, question: Document, terminal: ShellTerminal) -> Deferred[OpenShell]:
        """
        Open the shell that *question* asks for.
        """

    def when_lost(self, callback: Any) -> None:
        """
        Call *callback* once, when the connection is lost.
        """


class LocalTerminal:
    """
    This command's end of a shell: implements `wire.shells.ShellTerminal`.

    *write*: writes a chunk, whose first byte is "1" for standard output and "2" for standard error.  *raw*: the mode of
    the terminal; None: there are pipes.
    """

    _log = Logger()

    def __init__(self, reactor: Any, write: TakeChunk, raw: RawMode | None) -> None:
        self._reactor = reactor
        self._write = write
        self._raw = raw
        self._end: OneShot[tuple[int, str]] = OneShot()
        self._shell: OpenShell | None = None
        self._sender = ShellSender(full=self._stop_reading, room=self._read, failed=self._end.fire)
        self._resizing = RepeatedWork(self._send_size, self._log, "sending the size of the terminal")
        self._size = terminal_size()

    async def run(self, link: ShellLink, question: Document) -> tuple[int, str]:
        """
        Open the shell that *question* asks for over *link*, and use it until it ends.  Returns its exit code, and a
        sentence if it did not end by itself.
        """
        link.when_lost(lambda: self._end.fire(Failure(LinkLostError())))
        if self._raw is not None:
            # Before the shell can ask for a key.
            self._raw.enter()
            signal.signal(signal.SIGWINCH, lambda *_: self._reactor.callFromThread(self._resizing.ask))
        try:
            self._shell = await link.open_shell(question, self)
            self._resizing.ask()
            if not self._end.fired:
                self._read()
            return await self._end.wait()
        finally:
            self._stop_reading()
            if self._raw is not None:
                self._raw.leave()

    # The role.

    def output(self, data: bytes) -> Deferred[None]:
        return self._write(b"1" + data) or succeed(None)

    def errors(self, data: bytes) -> Deferred[None]:
        return self._write(b"2" + data) or succeed(None)

    def ended(self, exit_code: int, reason: str) -> Deferred[None]:
        self._sender.close()
        self._end.fire((exit_code, reason))
        return succeed(None)

    def when_lost(self, callback: Any) -> None:
        raise NotImplementedError  # only the other end asks

    # Standard input, as the reactor sees it.

    def fileno(self) -> int:
        """
        The descriptor to read.
        """
        return IN

    def logPrefix(self) -> str:  # noqa: N802 - Twisted's
        """
        The name in the reactor's log.
        """
        return "standard input"

    def doRead(self) -> None:  # noqa: N802 - Twisted's
        """
        Something can be read.
        """
        try:
            data = os.read(IN, LARGEST_SHELL_PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""  # EIO: the terminal is gone
        if data and self._shell is not None:
            self._sender.send(self._shell.input, data)
        else:
            self._at_end()

    def connectionLost(self, reason: Failure) -> None:
        """
        The writer of the pipe, or the terminal, is gone; all that it has written was read.
        """
        self._at_end()

    # Implementation.

    def _at_end(self) -> None:
        self._stop_reading()
        if self._shell is not None and not self._end.fired:
            background(self._input_ended(self._shell), self._log, "ending standard input")

    async def _input_ended(self, shell: OpenShell) -> None:
        await self._sender.when_flushed()
        # Without pipes, nobody sits at the terminal any more.
        await _unless_gone(shell.end_input() if self._raw is None else shell.hang_up())

    def _read(self) -> None:
        self._reactor.addReader(self)

    def _stop_reading(self) -> None:
        self._reactor.removeReader(self)

    async def _send_size(self) -> None:
        """
        Send the size, if it has changed since it was sent.
        """
        size = terminal_size()
        if self._shell is not None and size != self._size:
            self._size = size
            await _unless_gone(self._shell.resize(size.rows, size.columns))


async def _unless_gone(call: Deferred[None]) -> None:
    await call.addErrback(lambda failure: failure.trap(BuildbotLiteError) and None)
