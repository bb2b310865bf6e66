"""
One shell on a slave, for somebody at the other end of the link.

::

    input ──► terminal or pipe ──► the shell's processes ──► terminal or pipes ──► ShellSender ──► output, errors
    ▲ acknowledged when taken                      ▲ not read while bytes wait for acknowledgements

    running ──the process ended──────────────────────────────► flushing ──► ended(exit code)
       └── hang_up, idle, too long, link lost: SIGHUP, SIGKILL ────────────► ended(exit code, reason)

The shell is a child of the slave's own process, not of the keeper: a build outlives its link and the slave's process,
but a shell that nobody can reach any more must not.  The kernel ends it when the slave's process is gone
(`keeper.parent_death`).
"""

import fcntl
import os
import signal
import struct
import termios
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall, IPullProducer, IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ..deferreds import background
from ..model.shell_request import WindowSize
from ..wire.shell_window import ShellSender
from ..wire.shells import ShellTerminal

IDLE = 3600.0
"""Seconds without input and output after which a shell is ended."""
LONGEST_SHELL = 12 * 3600.0
"""Seconds after which a shell is ended in any case."""
KILL_AFTER = 2.0
"""Seconds between SIGHUP and SIGKILL."""
LINGER = 2.0
"""Seconds after the end of the shell in which other processes may still write to its terminal."""


class ShellProcess(ProcessProtocol):
    """
    A running shell; implements `wire.shells.OpenShell`.  *size*: that of its terminal; None: it has pipes.  *ended*:
    called when its process is gone.
    """

    _log = Logger()

    def __init__(
        self, terminal: ShellTerminal, size: WindowSize | None, clock: IReactorTime, ended: Callable[[], object]
    ) -> None:
        self._terminal = terminal
        self._has_terminal = size is not None
        self._clock = clock
        self._ended = ended
        self._sender = ShellSender(full=self._pause, room=self._resume, failed=self._refused)
        self._input = _Input()
        self._reason = ""
        self._group = 0
        self._timers: dict[str, IDelayedCall] = {}

    # The role.

    def input(self, data: bytes) -> Deferred[None]:
        if self._input.is_open:
            self._active()
        return self._input.write(data)

    def end_input(self) -> Deferred[None]:
        if not self._has_terminal:
            self._input.close()
            self._process.closeStdin()
        return succeed(None)

    def resize(self, rows: int, columns: int) -> Deferred[None]:
        size = WindowSize(rows, columns)
        if self._has_terminal and self._process.connected:
            with suppress(OSError):  # the terminal is being closed
                set_size(self._process.fd, size)
        return succeed(None)

    def hang_up(self) -> Deferred[None]:
        self.end("It was hung up.")
        return succeed(None)

    # The slave.

    def end(self, reason: str) -> None:
        """
        End the shell with all its processes: SIGHUP, and SIGKILL after `KILL_AFTER` seconds.  *reason*: a sentence.
        """
        if self._reason:
            return
        self._reason = reason
        self._sender.close()
        if self._has_exited:
            self._process.loseConnection()
            return
        self._process.resumeProducing()
        self._kill(signal.SIGHUP)
        self._set_timer("kill", KILL_AFTER, self._kill, signal.SIGKILL)

    # The process.

    def connectionMade(self) -> None:
        self._group = self._process.pid
        self._input.open(self._process)
        self._set_timer("longest", LONGEST_SHELL, self.end, f"It was open for {LONGEST_SHELL / 3600:.0f} hours.")
        self._active()

    def outReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's
        self._received(self._terminal.output, data)

    def errReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's
        self._received(self._terminal.errors, data)

    def processExited(self, reason: Failure) -> None:  # noqa: N802 - Twisted's
        # Processes outside of a root, such as those of a wrapper.
        self._kill(signal.SIGKILL)
        self._linger()

    def processEnded(self, reason: Failure) -> None:  # noqa: N802 - Twisted's
        for timer in self._timers.values():
            if timer.active():
                timer.cancel()
        self._timers.clear()
        self._input.close()
        self._set_timer("flush", IDLE, self.end, "What it had printed was not taken.")
        self._ended()
        background(self._tell(exit_code(reason)), self._log, "telling the end of a shell")

    # Implementation.

    @property
    def _process(self) -> Any:
        # Twisted's annotation of `transport` lacks the methods of a process.
        return self.transport

    async def _tell(self, code: int) -> None:
        await self._sender.when_flushed()
        if self._timers["flush"].active():
            self._timers["flush"].cancel()
        with suppress(Exception):  # nobody is there any more
            await self._terminal.ended(code, self._reason)

    def _active(self) -> None:
        """
        Begin to count the seconds without input and output again.
        """
        self._set_timer("idle", IDLE, self.end, f"Nothing was typed or shown for {IDLE / 60:.0f} minutes.")

    def _set_timer(self, name: str, seconds: float, call: Any, *arguments: Any) -> None:
        timer = self._timers.get(name)
        if timer is not None and timer.active():
            timer.reset(seconds)
        else:
            self._timers[name] = self._clock.callLater(seconds, call, *arguments)

    def _received(self, send: Callable[[bytes], Deferred[None]], data: bytes) -> None:
        self._active()
        self._sender.send(send, data)
        if self._has_exited:
            self._linger()

    @property
    def _has_exited(self) -> bool:
        return self._process.pid is None

    def _linger(self) -> None:
        """
        The process is gone: read what is left for `LINGER` seconds more, unless the other end keeps bytes waiting.
        """
        if not self._sender.is_full:
            self._set_timer("linger", LINGER, self._process.loseConnection)

    def _pause(self) -> None:
        self._process.pauseProducing()
        linger = self._timers.get("linger")
        if linger is not None and linger.active():
            linger.cancel()

    def _resume(self) -> None:
        self._process.resumeProducing()
        if self._has_exited:
            self._linger()

    def _refused(self, failure: Failure) -> None:
        self.end("Its output could not be sent.")

    def _kill(self, number: int) -> None:
        # The process leads its own group; the first moment before it does, there is only itself.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._group, number)
        with suppress(ProcessExitedAlready):
            self._process.signalProcess(number)


@implementer(IPullProducer)
class _Input:
    """
    The bytes that standard input has not taken yet.
    """

    def __init__(self) -> None:
        self._taken: list[Deferred[None]] | None = []
        self._process: Any = None

    @property
    def is_open(self) -> bool:
        """
        Whether something can be typed.
        """
        return self._taken is not None

    def open(self, process: Any) -> None:
        """
        Write to *process*.
        """
        self._process = process
        process.registerProducer(self, False)

    def write(self, data: bytes) -> Deferred[None]:
        """
        Write *data*; fires when they are taken, or nobody reads them any more.
        """
        if self._taken is None:
            return succeed(None)
        taken: Deferred[None] = Deferred()
        self._taken.append(taken)
        self._process.write(data)
        return taken

    def close(self) -> None:
        """
        Acknowledge what is left.
        """
        if self._taken is not None:
            self._process.unregisterProducer()
            self.stopProducing()

    def resumeProducing(self) -> None:  # noqa: N802 - Twisted's
        """
        Everything was taken.
        """
        taken, self._taken = self._taken or [], []
        for each in taken:
            each.callback(None)

    def stopProducing(self) -> None:  # noqa: N802 - Twisted's
        """
        Standard input is closed.
        """
        taken, self._taken = self._taken or [], None
        for each in taken:
            each.callback(None)


def set_size(descriptor: int, size: WindowSize) -> None:
    """
    Set the size of the terminal *descriptor* (TIOCSWINSZ, ioctl_tty(2)).
    """
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", size.rows, size.columns, 0, 0))


def exit_code(reason: Failure) -> int:
    """
    The exit code as a shell would show it: 128 more than the number of a signal.
    """
    number = getattr(reason.value, "signal", None)
    code: int = 128 + number if number else getattr(reason.value, "exitCode", 0) or 0
    return code
