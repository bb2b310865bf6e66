"""
A command's input and output: stdin, pipes or pty, and the log files that it writes.

::

    stdin <--------------- fed ----------------- StartRequest
    stdout, stderr, pty -- read, when ready ---.
                                               +---> Output ---> spools, sealed in the end
    log files ------------ polled, by tail ----'

While the disk is full, nothing is read: the command blocks, so no output is lost, and `timeout` does not count.  If the
disk stays full for `WaitLimits.disk` seconds, the command is killed, and further output is dropped.
"""

import errno
import os
from collections.abc import Callable
from enum import Enum
from functools import partial

from .command_store import spool_path
from .context import KeeperContext
from .loop import (
    WRITE,
    Loop,
    Timers,
)
from .outcome import OutcomeRecorder
from .output import (
    Output,
    OutputCallbacks,
    file_spools,
)
from .spawn import Spawned
from .start_request import StartRequest
from .tail import LogTail

# Bytes to read at a time.
_CHUNK = 256 << 10
# Chunks that are read from a pipe after the end of a command.  A pipe holds 256 KiB, or 1 MiB if the command set that.
_MOST_CHUNKS = 64
# After a read of fewer bytes than this, reading pauses, so that a command that writes line by line does not wake the
# keeper for every line.
_SMALL_READ = 16 << 10
# Seconds of that pause.
_READ_PAUSE = 0.001


class ReadUntil(Enum):
    """
    How long a command's output is read.
    """

    OVER = "until it is over"
    CLOSED = "until its pipes are closed"
    EMPTY = "until its pipes are empty, because processes that were left running may keep them open for ever"
    READ = "no longer: everything was read"


class CommandIO:
    """
    Input and output of the command *id*.

    *recorder* gets remarks.  *grew* is called when a spool grew; *kill*, with a reason and a sentence, when the command
    wrote too much or the disk failed; *ended* once, when everything was read after `finish`.
    """

    def __init__(
        self,
        id: str,
        request: StartRequest,
        *,
        context: KeeperContext,
        recorder: OutcomeRecorder,
        grew: Callable[[], None],
        kill: Callable[[str, str], None],
        ended: Callable[[], None],
    ) -> None:
        self._request = request
        self._loop = context.loop
        self._notifier = context.notifier
        self._wait_limits = context.wait_limits
        self._recorder = recorder
        self._kill = kill
        self._ended = ended
        self._timers = Timers(context.loop)
        self._channels: dict[int, str] = {}
        self._until = ReadUntil.OVER
        self._last_output = self._loop.now()
        self._output = Output(
            request.streams(),
            secrets=request.secrets,
            cap=request.cap,
            open_spool=file_spools(lambda stream: spool_path(context.directory, id, stream)),
            callbacks=OutputCallbacks(
                grew=grew,
                capped=lambda: kill("cap", f"It wrote more than {request.cap} bytes."),
                stalled=self._stall,
                failed=partial(kill, "disk-full"),
            ),
        )
        # Opened before the command begins, so that their present contents do not count as its output.
        self._log_tails = [
            LogTail(
                stream,
                os.path.join(request.workdir, path),
                accept=self._accept,
                remark=recorder.remark,
                root=request.wrapper.root if request.wrapper.prefix else None,
            )
            for stream, path in request.logfiles.items()
        ]

    # -- the command's life

    def begin(self, spawned: Spawned) -> None:
        """
        Read the output of *spawned*, and write its stdin.
        """
        self._channels = {fd: stream for stream, fd in spawned.outputs.items()}
        self._watch()
        if spawned.feed >= 0:
            feed(self._loop, spawned.feed, self._request.stdin or b"")
        for log_tail in self._log_tails:
            self._notifier.add(log_tail, self._poll)

    def never_spawned(self) -> None:
        """
        Close the log files of a command that was not spawned, without a remark that they were never written.
        """
        for log_tail in self._log_tails:
            log_tail.close()
        self._log_tails.clear()

    def silence(self) -> float:
        """
        Seconds since its last output; 0 while the disk is full, when it cannot write.
        """
        return 0.0 if self._output.stalled() else self._loop.now() - self._last_output

    def lengths(self) -> dict[str, int]:
        """
        The length in bytes of every stream that is not empty.
        """
        return self._output.lengths()

    def remark(self, text: str) -> None:
        """
        Add a remark at the present end of stdio.
        """
        self._recorder.remark("stdio", self._output.length("stdio"), text)

    def finish(self, until: ReadUntil) -> None:
        """
        Read the rest of the output of a command that is over: *until* its pipes are CLOSED (for at most
        `WaitLimits.drain` seconds), or EMPTY.
        """
        self._until = until
        for fd in list(self._channels):
            # Bounded, because another process may write for ever; what the command itself wrote is less than this.
            for _chunk in range(_MOST_CHUNKS):
                if self._output.stalled() or not self._read(fd):
                    break
        if not self._channels or until is ReadUntil.EMPTY:
            self._complete()
        else:
            self._timers.set("drain", self._wait_limits.drain, self._drain_timed_out)

    def seal(self) -> dict[str, dict[str, object]]:
        """
        Close every stream; return length and checksum of those that are not empty.
        """
        return self._output.seal()

    # -- reading

    def _watch(self) -> None:
        for fd in self._channels:
            self._loop.watch(fd, partial(self._ready, fd))

    def _ready(self, fd: int) -> None:
        if self._read(fd) < _SMALL_READ and fd in self._channels:
            self._loop.unwatch(fd)
            self._timers.set(f"read {fd}", _READ_PAUSE, partial(self._resume_reading, fd))

    def _resume_reading(self, fd: int) -> None:
        if fd in self._channels and not self._output.stalled():
            self._loop.watch(fd, partial(self._ready, fd))

    def _read(self, fd: int) -> int:
        """
        Read once; return the number of bytes.
        """
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return 0
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            # On Linux, reading a terminal that no process has open any more fails with EIO.
            data = b""
        if data:
            self._accept(self._channels[fd], data)
            return len(data)
        self._loop.unwatch(fd)
        del self._channels[fd]
        os.close(fd)
        if not self._channels:
            self._complete()
        return 0

    def _poll(self, log_tail: LogTail) -> None:
        if not self._output.stalled() and log_tail.poll():
            self._loop.soon(lambda: self._poll(log_tail))

    def _accept(self, stream: str, data: bytes) -> bool:
        """
        Write *data*, and what finds no room later; return whether there is room for more.
        """
        self._last_output = self._loop.now()
        self._output.accept(stream, data)
        return not self._output.stalled()

    # -- when the disk is full

    def _stall(self) -> None:
        for fd in self._channels:
            self._loop.unwatch(fd)
        if "disk" not in self._timers:
            self.remark("The slave's disk is full; the command waits.")
            self._timers.set("disk", self._wait_limits.disk, self._disk_stays_full)
        if "retry" not in self._timers:
            self._timers.set("retry", self._wait_limits.retry, self._retry)

    def _retry(self) -> None:
        if self._output.retry():
            self._timers.cancel("disk")
            self._last_output = self._loop.now()
            self._resume()

    def _disk_stays_full(self) -> None:
        self._timers.cancel("retry")
        self._output.abandon()
        self._kill("disk-full", "disk full")
        # From now on output is read and dropped, so that no process blocks in a write.
        self._resume()

    def _resume(self) -> None:
        """
        Read again after a stall.
        """
        self._watch()
        if self._until is not ReadUntil.OVER:
            self.finish(self._until)

    # -- ending

    def _drain_timed_out(self) -> None:
        if self._output.stalled():
            self._timers.set("drain", self._wait_limits.drain, self._drain_timed_out)
            return
        self.remark(
            "A process that outlived this command still holds its output open.  The log does not contain what that "
            "process writes from now on."
        )
        self._complete()

    def _complete(self) -> None:
        """
        If the command is over: close the pipes, read the log files to their ends, and write what the maskers held back.

        Called again after a stall.
        """
        if self._until in (ReadUntil.OVER, ReadUntil.READ) or self._output.stalled():
            return
        for fd in self._channels:
            self._loop.unwatch(fd)
            os.close(fd)
        self._channels.clear()
        for log_tail in self._log_tails:
            self._notifier.remove(log_tail)
            while not self._output.stalled() and log_tail.finish():
                pass
        if not self._output.stalled():
            self._output.flush()
        if self._output.stalled():
            return
        self._timers.clear()
        self._until = ReadUntil.READ
        self._ended()


def feed(loop: Loop, fd: int, data: bytes) -> None:
    """
    Write *data* to *fd* as fast as the reader takes it, then close *fd*; also if the reader closes its end before.
    """
    rest = memoryview(data)

    def write() -> None:
        nonlocal rest
        try:
            rest = rest[os.write(fd, rest[:_CHUNK]) :] if rest else rest
        except BlockingIOError:
            return
        except OSError:
            # The reader has closed its end.
            rest = memoryview(b"")
        if not rest:
            loop.unwatch(fd)
            os.close(fd)

    loop.watch(fd, write, WRITE)
