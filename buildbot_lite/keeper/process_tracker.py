"""
Finds the processes of each command, and sends them signals.

The processes of a command are its main process, all descendants, all members of a session that one of these leads, and
*strays*: orphans that, on Linux, the kernel gives to the keeper as subreaper (prctl(2)).  A stray is assigned to a
command by its environment (BUILDBOT_LITE_COMMAND with BUILDBOT_LITE_KEEPER), by its session, or because it was a
descendant before.  A stray for which all this fails (double fork, own session, emptied environment) belongs to the only
command that was running when it started, or, if there were several, to the last of them to end.

Not found are processes of other users (``sudo``), and those that a service starts on request (cron, systemd, Docker);
without a subreaper (not Linux), also a double-forked process in its own session whose environment cannot be read.

When a keeper is killed, its strays go to init.  The next keeper finds them by their environment, by the recorded main
process and its session, or as descendants of those.  It does not find a double-forked process in its own session whose
environment cannot be read.

Where processes cannot be listed (neither /proc nor ``ps``), `NoProcessTableError` is raised, because an empty table
would look as if a command had left no process behind.

A signal is sent through a pidfd that is opened before the identity of the process is checked again, so that it never
goes to another process that reuses the pid.  Without pidfds, the pid might be reused in the microseconds between check
and signal.
"""

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ..model.display import printable
from .process_table import (
    NoProcessTableError,
    ProcessEntry,
    proc_table,
    ps_table,
    read_stat,
)

_COMMAND = b"BUILDBOT_LITE_COMMAND"
_KEEPER = b"BUILDBOT_LITE_KEEPER"
_PR_SET_CHILD_SUBREAPER = 36


class Facilities(NamedTuple):
    """
    The facilities of this system; tests can switch each off.
    """

    pidfd: bool
    subreaper: bool
    proc: bool

    @classmethod
    def here(cls, without: Iterable[str] = ()) -> "Facilities":
        """
        The available facilities, except those named in *without*.
        """
        off = set(without)
        return cls(
            pidfd=hasattr(os, "pidfd_open") and hasattr(signal, "pidfd_send_signal") and "pidfd" not in off,
            subreaper="subreaper" not in off and "proc" not in off and _become_subreaper(),
            proc=os.path.exists("/proc/self/stat") and "proc" not in off,
        )


class ProcessSet(NamedTuple):
    """
    The processes of the command *id*: *pid* and start time (*started*, clock ticks) of the main process, and all
    *members* found so far, start time by pid.
    """

    id: str
    pid: int
    started: int
    members: dict[int, int]


def _become_subreaper() -> bool:
    try:
        return bool(ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)
    except (OSError, AttributeError):
        return False


class ProcessTracker:
    """
    Assigns processes to commands.  *directory*: the keeper's own, which also identifies it.
    """

    def __init__(self, facilities: Facilities, directory: str) -> None:
        self._facilities = facilities
        # Distinguishes the processes of this keeper, and of the next one here, from those of other keepers.
        state = os.stat(directory)
        self._keeper = f"{state.st_dev:x}.{state.st_ino:x}"
        self._self = os.getpid()
        # A stray without marks that started later may be one that a command with leaveRunning left running.
        self._left_running_since: int | None = None
        self._left_running: set[str] = set()

    def marks(self, id: str) -> dict[bytes, bytes]:
        """
        Environment variables that mark the processes of the command *id*.
        """
        return {_COMMAND: id.encode("utf-8", "replace"), _KEEPER: self._keeper.encode()}

    def track(self, id: str, pid: int) -> ProcessSet:
        """
        Begin to track the main process *pid*, just spawned.
        """
        process = read_stat(pid) if self._facilities.proc else None
        started = process.started if process is not None else 0
        return ProcessSet(id, pid, started, {pid: started})

    def leave_running(self, process_set: ProcessSet) -> None:
        """
        Never end the processes of *process_set* that outlive the main process.
        """
        self._left_running.add(process_set.id)
        if self._left_running_since is None:
            self._left_running_since = process_set.started

    def childless(self, mains: Iterable[int]) -> bool | None:
        """
        Whether the keeper has no children but *mains*; None where finding out would take long.

        Processes that a main process left behind are children of the keeper, or descendants of such.  So True, which
        takes one read of a small file, means that there are no strays.
        """
        if not self._facilities.subreaper:
            return None
        try:
            with open(f"/proc/self/task/{self._self}/children", "rb", buffering=0) as children:
                return set(map(int, children.read().split())) <= set(mains)
        except OSError:
            return None

    def table(self) -> dict[int, ProcessEntry]:
        """
        All living processes, by pid.  `NoProcessTableError` when they cannot be listed.
        """
        table = proc_table() if self._facilities.proc else ps_table()
        if self._self not in table:
            raise NoProcessTableError(
                "/proc is not mounted" if self._facilities.proc else "ps does not list this process"
            )
        return table

    def check(self) -> None:
        """
        `NoProcessTableError` unless processes can be listed now.
        """
        # Not read: that takes twenty times as long, and this is called for each command.
        if not self._facilities.proc or not os.path.exists(f"/proc/{self._self}/stat"):
            self.table()

    def members(self, process_set: ProcessSet, others: Mapping[int, ProcessSet]) -> list[ProcessEntry]:
        """
        The living processes of *process_set*, parents before children.  (A shell must be signalled before its command:
        otherwise it might see the command die, and continue with its next line.)  `NoProcessTableError` when processes
        cannot be listed.

        *others*: the process sets of all running commands, by main process.
        """
        table = self.table()
        mine = {process.pid for process in table.values() if process_set.members.get(process.pid) == process.started}
        self._add_descendants(table, mine, others)
        for process in table.values():
            if process.pid not in mine and self._is_stray(process, table, others):
                owner = self._owner(process, process_set, others)
                if owner is process_set:
                    mine.add(process.pid)
        self._add_descendants(table, mine, others)
        process_set.members.clear()
        process_set.members.update((pid, table[pid].started) for pid in mine)
        return sorted((table[pid] for pid in mine), key=lambda process: (process.started, process.pid))

    def kill_leftovers(self, mains: Mapping[str, Sequence[int]]) -> list[int]:
        """
        Send SIGKILL to the processes that commands of an earlier keeper left, again and again for at most two seconds;
        return the pids that are still alive.  `NoProcessTableError` when processes cannot be listed.

        *mains*: pid and start time of the main process, or (), by command id.  Processes with such an id in their
        environment are killed, the main processes with their sessions, and the descendants of all of these.
        """
        left: set[int] = set()
        for _round in range(100):
            table = self.table()
            left = {process.pid for process in table.values() if self._is_leftover(process, mains, table)}
            self._add_descendants(table, left, {})
            left.discard(self._self)
            if not left:
                break
            for pid in left:
                self.signal(table[pid], signal.SIGKILL)
            time.sleep(0.02)
        return sorted(left)

    def _is_leftover(
        self, process: ProcessEntry, mains: Mapping[str, Sequence[int]], table: Mapping[int, ProcessEntry]
    ) -> bool:
        for pid, started in filter(None, mains.values()):
            # While a session has members, the kernel does not reuse the pid of its dead leader.
            leader = table.get(pid)
            ours = leader.started == started if leader is not None else process.started >= started
            if process.session == pid and ours:
                return True
        return self._tag(process.pid) in mains

    def signal(self, process: ProcessEntry, signum: int) -> None:
        """
        Send *signum* to *process*, unless it has ended.
        """
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if not self._facilities.pidfd:
                if self._is_still(process):
                    os.kill(process.pid, signum)
                return
            fd = os.pidfd_open(process.pid)
            try:
                if self._is_still(process):
                    signal.pidfd_send_signal(fd, signum)
            finally:
                os.close(fd)

    def name_of(self, process: ProcessEntry) -> str:
        """
        The command name of *process* for messages; "" when it has ended or the name cannot be read.
        """
        try:
            with open(f"/proc/{process.pid}/comm", "rb") as comm:
                name = comm.read().strip().decode("utf-8", "replace")
        except OSError:
            return ""
        return printable(name) if self._is_still(process) else ""

    def _is_still(self, process: ProcessEntry) -> bool:
        if not self._facilities.proc:
            return True
        found = read_stat(process.pid)
        return found is not None and found.started == process.started

    def _add_descendants(
        self, table: Mapping[int, ProcessEntry], mine: set[int], others: Mapping[int, ProcessSet]
    ) -> None:
        """
        Add to *mine* all descendants, and all members of the sessions that any of them leads.
        """
        while True:
            more = {
                process.pid
                for process in table.values()
                if process.pid not in mine
                and process.pid not in others
                and (process.parent in mine or (process.session in mine and process.session > 0))
            }
            if not more:
                return
            mine |= more

    def _is_stray(
        self, process: ProcessEntry, table: Mapping[int, ProcessEntry], others: Mapping[int, ProcessSet]
    ) -> bool:
        if process.pid in others or process.pid == self._self:
            return False
        if self._facilities.subreaper:
            return process.parent == self._self
        # Orphans have another process as parent; only their environment tells which command they belong to.
        return process.parent not in others

    def _owner(
        self, stray: ProcessEntry, process_set: ProcessSet, others: Mapping[int, ProcessSet]
    ) -> ProcessSet | None:
        if stray.session == process_set.pid:
            return process_set
        tag = self._tag(stray.pid)
        if tag == process_set.id:
            return process_set
        # A mark may be forged: one that names no command of this keeper is ignored.
        if tag is not None and (tag in self._left_running or any(other.id == tag for other in others.values())):
            return None
        if not self._facilities.subreaper or stray.started < process_set.started:
            return None
        if self._left_running_since is not None and self._left_running_since <= stray.started:
            return None
        ambiguous = any(other is not process_set and other.started <= stray.started for other in others.values())
        return None if ambiguous else process_set

    def _tag(self, pid: int) -> str | None:
        try:
            with open(f"/proc/{pid}/environ", "rb") as environ:
                found = dict(variable.partition(b"=")[::2] for variable in environ.read().split(b"\0"))
        except OSError:
            return None
        if found.get(_KEEPER) != self._keeper.encode():
            return None
        return found.get(_COMMAND, b"").decode("utf-8", "replace")
