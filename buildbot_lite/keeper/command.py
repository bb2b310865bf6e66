"""
One command's life in the keeper, from its spawn to its outcome.

::

    begin --spawned--> RUNNING --kill--> DYING --main process ended--> CLEANING --nobody left--> DRAINING --> SEALED
       |                  `------------------main process ended------------^                        ^
       `--could not be spawned------------------------------------------------------------------->--'

RUNNING: its pipes are read; timers watch for silence (`timeout`) and length (`max_time`).
DYING: everybody got the polite signal; SIGKILL follows after `sigterm_time`.
CLEANING: whoever is left of its processes is killed, unless `leave_running`.
DRAINING: the pipes are read to their end, the logs to theirs, and the spools are sealed; then the outcome is written.

While the disk is full nothing is read, so that the command waits instead of losing output; that costs it neither its
`timeout` nor its log.  Whatever is asked twice counts once, and the first reason to kill is the one that is told.
"""

import errno
import os
import signal
from enum import Enum
from functools import partial
from typing import Any, NamedTuple, Protocol

from .fence import settings
from .follow import Follower, Notices
from .kinship import Family, Kinship, Process, boot
from .loop import WRITE, Loop, Timer
from .masking import Masker
from .order import Order, OrderError
from .output import FULL, Output, Reactions, file_spools
from .report import Report
from .shelf import Kept, Shelf, spool_path
from .spawn import SpawnError, spawn

_CHUNK = 256 << 10
_MOST_CHUNKS = 64  # of a pipe; it holds 64 KiB, or 1 MiB if the command asked for that
# Reasons to end that cannot wait for the command's own sigtermTime, which may be hours: the master tries elsewhere 30 s
# after its grace, and the machine shuts down.
_HASTY = ("lease", "")


class Phase(Enum):
    """
    Where a command is in its life.
    """

    RUNNING = "running"
    DYING = "dying"
    CLEANING = "cleaning"
    DRAINING = "draining"
    SEALED = "sealed"


class Patience(NamedTuple):
    """
    How many seconds to wait: for room on the *disk*, trying every *retry*; for pipes to *drain* when everybody is dead;
    for processes to die of SIGKILL; in *haste*, between the polite signal and that.
    """

    disk: float = 600.0
    retry: float = 1.0
    drain: float = 5.0
    kill: float = 60.0
    haste: float = 15.0


class Listener(Protocol):
    """
    Who wants to know.
    """

    def grew(self, id: str) -> None:
        """
        A spool of *id* grew.
        """

    def ended(self, kept: Kept) -> None:
        """
        It is over; its outcome is to be written.
        """


class Surroundings(NamedTuple):
    """
    What all commands of a keeper share; *families* are those that live, by their main process.
    """

    directory: str
    loop: Loop
    shelf: Shelf
    kinship: Kinship
    families: dict[int, Family]
    notices: Notices
    patience: Patience
    portable_spawn: bool


class Command:
    """
    A command that was claimed.  It was *asked* for when `Loop.awake` said so; its lease runs from then.
    """

    def __init__(
        self, id: str, fingerprint: str, order: Order, *, asked: float, surroundings: Surroundings, listener: Listener
    ) -> None:
        self.id = id
        self.fingerprint = fingerprint
        self._order = order
        self._around = surroundings
        self._loop = surroundings.loop
        self._listener = listener
        self._phase = Phase.RUNNING
        self._family: Family | None = None
        self._channels: dict[int, str] = {}
        self._timers: dict[str, Timer] = {}
        self._stdin = memoryview(b"")
        self._report = Report(surroundings.loop)
        self._told: set[tuple[int, int]] = set()
        self._waits = True
        self._heard = self._loop.now()
        self._asked = asked
        streams = streams_of(order)
        self._output = Output(
            streams,
            secrets=order.secrets,
            cap=order.cap,
            open_spool=file_spools(lambda stream: spool_path(surroundings.directory, id, stream)),
            reactions=Reactions(
                grew=lambda: listener.grew(id),
                capped=lambda: self.kill("cap", f"It wrote more than {order.cap} bytes."),
                stalled=self._stall,
                failed=lambda sentence: self.kill("disk-full", sentence),
            ),
        )
        self._followers = [
            Follower(
                stream,
                os.path.join(order.workdir, path),
                accept=self._followed,
                remark=self._report.remark,
                root=order.fence.root if order.fence.wrapper else None,
            )
            for stream, path in order.logfiles.items()
        ]

    # -- what is asked of it

    def begin(self) -> None:
        """
        Spawn it.  If that cannot be done, it ends at once, FAILED; only for room on the disk it waits.
        """
        for secret in self._order.seen_in_ps:
            self._report.remark(
                "stdio",
                0,
                f"The secret {secret} is in this command's arguments, which all users of this "
                "machine can see in ps.  Give it in env, stdin or a file.",
            )
        self._spawn()

    def _spawn(self) -> None:
        order, around = self._order, self._around
        fence = order.fence
        marks = around.kinship.marks(self.id)
        env = {**order.env, **marks}
        argv, third = order.argv, None
        try:
            private = around.shelf.make_private(self.id, fence.owner) if order.files or fence.wrapper else ""
            for name, contents in order.files.items():
                path = around.shelf.write_private(self.id, name, contents, fence.owner)
                env[name.encode()] = os.fsencode(path)
            if fence.wrapper:
                words = fence.words(
                    workdir=order.workdir, work=fence.root or order.workdir, private=private, id=self.id
                )
                outer = {**fence.outer, **marks}
                argv, env, third = [*words, *argv], outer, settings(env, outer)
            spawned = spawn(
                argv,
                env,
                workdir=order.workdir,
                stdin_path=order.stdin_path,
                feed=order.stdin is not None,
                pty=order.pty,
                separate_stderr=order.separate_stderr,
                portable=around.portable_spawn,
                root=fence.root,
                third=third,
            )
        except (SpawnError, OrderError) as error:
            self._fail(str(error))
            return
        except OSError as error:
            around.shelf.remove_private(self.id)
            if error.errno not in FULL:
                self._fail(f"The command's private files cannot be written: {error.strerror}.")
            elif self._report.elapsed < around.patience.disk:
                self._later("begin", around.patience.retry, self._spawn)
            else:
                self._fail("disk full")
            return
        self._family = around.families[spawned.pid] = around.kinship.family(self.id, spawned.pid)
        around.shelf.spawned(self.id, spawned.pid, self._family.started, boot())
        for stream, fd in spawned.outputs.items():
            self._channels[fd] = stream
        self._watch()
        if spawned.feed >= 0:
            self._feed(spawned.feed, order.stdin or b"")
        for follower in self._followers:
            around.notices.add(follower, self._poll_follower)
        if order.timeout is not None:
            self._later("timeout", order.timeout, self._check_silence)
        if order.max_time is not None:
            sentence = f"It was still running after {order.max_time:g} s."
            self._later("max-time", order.max_time, lambda: self.kill("max-time", sentence))

    def kill(self, why: str, sentence: str) -> None:
        """
        End it with everything that it started: politely at first, then by force.
        """
        if self._phase in (Phase.CLEANING, Phase.DRAINING) and why in ("cap", "disk-full"):
            # It ended by itself, but its log is not complete.
            self._report.killed(why, sentence)
        if self._phase is not Phase.RUNNING:
            if why in _HASTY and "force" in self._timers:
                # It is being polite to somebody.
                left = self._timers["force"].due - self._loop.now()
                self._later("force", min(left, self._around.patience.haste), self._force)
            return
        self._phase = Phase.DYING
        self._report.killed(why, sentence)
        if self._family is None:
            # It has not begun: it waits for room for its files.
            self._phase = Phase.DRAINING
            self._settle()
            return
        self._signal_all(self._order.interrupt_signal, self._members())
        patience = 0.0 if self._order.interrupt_signal == signal.SIGKILL else self._order.sigterm_time
        if why in _HASTY:
            patience = min(patience, self._around.patience.haste)
        self._later("force", patience, self._force)

    def give_up(self, sentence: str) -> None:
        """
        End it because the keeper itself must end; nobody will know how far it might have come.
        """
        self.kill("", sentence)

    def silent(self, seconds: float) -> None:
        """
        There was no word from the master for so long; *seconds* since this command was asked for count at most.
        """
        sentence = expired(self._order, min(seconds, self._loop.awake() - self._asked))
        if sentence is not None:
            self.kill("lease", sentence)

    def main_ended(self, status: int, usage: Any) -> None:
        """
        The main process was reaped.
        """
        if self._report.is_reaped:
            return
        self._report.reaped(status, usage)
        if self._family is not None:
            # Reaped, its number may become another's.
            self._family.members.pop(self._family.pid, None)
        for name in ("timeout", "max-time"):
            self._cancel(name)
        if self._phase is Phase.RUNNING:
            self._phase = Phase.CLEANING
            if self._order.leave_running and self._family is not None:
                self._around.kinship.spare(self._family)
                self._drain(wait=False)
                return
            self._cancel("force")
        elif self._phase is Phase.DYING:
            self._phase = Phase.CLEANING
        if self._around.kinship.childless(self._around.families):
            self._drain(wait=True)
        else:
            self._clean()

    def lengths(self) -> dict[str, int]:
        """
        The bytes of every stream that has some.
        """
        return self._output.lengths()

    # -- reading

    def _watch(self) -> None:
        for fd in self._channels:
            self._loop.watch(fd, partial(self._read, fd))

    def _read(self, fd: int) -> bool:
        """
        Read once; answers whether there may be more right now.
        """
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            # A terminal whose last user is gone.
            data = b""
        if not data:
            self._loop.unwatch(fd)
            stream = self._channels.pop(fd)
            os.close(fd)
            assert stream
            if self._phase is Phase.DRAINING and not self._channels:
                self._settle()
            return False
        self._heard = self._loop.now()
        self._output.accept(self._channels[fd], data)
        return not self._output.stalled()

    def _followed(self, stream: str, data: bytes) -> bool:
        self._heard = self._loop.now()
        self._output.accept(stream, data)
        return not self._output.stalled()

    def _poll_follower(self, follower: Follower) -> None:
        if not self._output.stalled() and self._phase is not Phase.SEALED and follower.poll():
            self._loop.soon(lambda: self._poll_follower(follower))

    def _stall(self) -> None:
        for fd in self._channels:
            self._loop.unwatch(fd)
        if "disk" not in self._timers:
            self._report.remark("stdio", self._output.length("stdio"), "The slave's disk is full; the command waits.")
            self._later("disk", self._around.patience.disk, self._disk_stays_full)
        if "retry" not in self._timers:
            self._later("retry", self._around.patience.retry, self._retry)

    def _retry(self) -> None:
        self._timers.pop("retry", None)
        if not self._output.retry():
            return
        self._cancel("disk")
        self._heard = self._loop.now()
        self._go_on()

    def _disk_stays_full(self) -> None:
        self._cancel("retry")
        self._output.abandon()
        self.kill("disk-full", "disk full")
        # What comes now is dropped, so that nobody hangs in a write.
        self._go_on()

    def _go_on(self) -> None:
        """
        There is room again, or there never will be.
        """
        self._watch()
        if self._phase is Phase.DRAINING:
            self._drain(wait=self._waits)

    def _feed(self, fd: int, data: bytes) -> None:
        self._stdin = memoryview(data)

        def write() -> None:
            try:
                self._stdin = self._stdin[os.write(fd, self._stdin[:_CHUNK]) :] if self._stdin else self._stdin
            except BlockingIOError:
                return
            except OSError:
                # It does not want to read any more.
                self._stdin = memoryview(b"")
            if not self._stdin:
                self._loop.unwatch(fd)
                os.close(fd)

        self._loop.watch(fd, write, WRITE)

    # -- ending

    def _check_silence(self) -> None:
        limit = self._order.timeout or 0.0
        silent = 0.0 if self._output.stalled() else self._loop.now() - self._heard
        if silent >= limit:
            self.kill("timeout", f"There was no output for {limit:g} s.")
        else:
            self._later("timeout", max(limit - silent, 0.001), self._check_silence)

    def _force(self) -> None:
        """
        SIGKILL to everybody, again and again until nobody is left; a new process may be born between look and blow.
        """
        if self._phase is Phase.DYING:
            self._signal_all(signal.SIGKILL, self._members())
            self._later("force", 0.05, self._force)
            self._bound_killing()

    def _clean(self) -> None:
        if self._phase is not Phase.CLEANING:
            return
        left = self._members()
        if not left:
            self._drain(wait=True)
            return
        # Those who got the polite signal have until SIGKILL is due.
        polite = self._report.is_killed and "force" in self._timers and self._timers["force"].due > self._loop.now()
        if not polite:
            self._signal_all(signal.SIGKILL, left)
            self._bound_killing()
        elif self._order.interrupt_signal != signal.SIGKILL:
            # Those who were being born when everybody else was told.
            self._signal_all(
                self._order.interrupt_signal, [process for process in left if _identity(process) not in self._told]
            )
        self._later("clean", 0.05 if polite else 0.01, self._clean)

    def _bound_killing(self) -> None:
        if "unkillable" not in self._timers:
            self._later("unkillable", self._around.patience.kill, self._unkillable)

    def _unkillable(self) -> None:
        pids = ", ".join(str(process.pid) for process in self._members())
        self._report.remark("stdio", self._output.length("stdio"), f"Not even SIGKILL ended these processes: {pids}.")
        self._drain(wait=False)

    def _members(self) -> list[Process]:
        if self._family is None:
            return []
        return self._around.kinship.members(self._family, self._around.families)

    def _signal_all(self, signum: int, processes: list[Process]) -> None:
        for process in processes:
            self._told.add(_identity(process))
            self._around.kinship.signal(process, signum)
            if signum != signal.SIGKILL:
                # One that was stopped would not notice.
                self._around.kinship.signal(process, signal.SIGCONT)

    def _drain(self, *, wait: bool) -> None:
        """
        Read what there is.  *wait*: until the pipes are closed; otherwise somebody may have them for ever.
        """
        self._phase = Phase.DRAINING
        self._waits = wait
        for name in ("force", "clean", "unkillable"):
            self._cancel(name)
        if self._family is not None and self._around.families.get(self._family.pid) is self._family:
            del self._around.families[self._family.pid]
        for fd in list(self._channels):
            # Whoever still writes may do so for ever; what was there when the main process ended is less than this.
            for _chunk in range(_MOST_CHUNKS):
                if self._output.stalled() or not self._read(fd):
                    break
        if self._phase is not Phase.DRAINING:
            return
        if not self._channels or (not wait and not self._output.stalled()):
            self._settle()
        elif wait:
            self._later("drain", self._around.patience.drain, self._never_drained)

    def _never_drained(self) -> None:
        if self._output.stalled():
            self._later("drain", self._around.patience.drain, self._never_drained)
            return
        text = "A process that is not this command's any more still holds its output open; nothing more is read."
        self._report.remark("stdio", self._output.length("stdio"), text)
        self._settle()

    def _settle(self) -> None:
        """
        Everything was read: take the logs to their ends, seal, and write the outcome.
        """
        if self._phase is not Phase.DRAINING or self._output.stalled():
            return
        for fd in self._channels:
            self._loop.unwatch(fd)
            os.close(fd)
        self._channels.clear()
        for follower in self._followers:
            self._around.notices.remove(follower)
            while not self._output.stalled() and follower.finish():
                pass
        if not self._output.stalled():
            self._output.flush()
        if self._output.stalled():
            return
        for name in list(self._timers):
            self._cancel(name)
        self._phase = Phase.SEALED
        self._around.shelf.remove_private(self.id)
        streams, failed = self._output.seal()
        for stream, problem in failed.items():
            self._report.remark(stream, self._output.length(stream), f"The disk failed: {problem}.")
        self._listener.ended(Kept(self.id, self.fingerprint, self._report.life, self._report.outcome(streams)))

    def _fail(self, sentence: str) -> None:
        self._report.failed(Masker(self._order.secrets).text(sentence))
        self._phase = Phase.DRAINING
        for follower in self._followers:
            follower.close()
        self._followers.clear()
        self._settle()

    # -- small things

    def _later(self, name: str, seconds: float, call: Any) -> None:
        self._cancel(name)
        self._timers[name] = self._loop.later(seconds, call)

    def _cancel(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()


def streams_of(order: Order) -> list[str]:
    """
    The names of the streams that a command may have.
    """
    own = ["stdio", "stderr"] if order.separate_stderr and not order.pty else ["stdio"]
    return [*own, *(name for name in order.logfiles if name not in own)]


def expired(order: Order, silent: float) -> str | None:
    """
    The sentence that says why *order* may not run when the master was *silent* for so many seconds; None if it may.

    The master tries elsewhere 30 s after its grace.  We are to be done 30 s before it, or a quarter of a short grace: a
    master that has nothing to say is heard every 20 s only.
    """
    if order.grace is None:
        return None
    lease = order.grace - min(30.0, order.grace / 4)
    return f"lease expired: no word from the master for {lease:.0f} s." if silent >= lease else None


def _identity(process: Process) -> tuple[int, int]:
    return process.pid, process.started
