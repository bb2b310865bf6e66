"""
Finds the processes of each command, and sends them signals.

A command's processes are its main process, all descendants, all members of a session that one of those leads, and
*strays*: orphans that, on Linux, the kernel gives to the keeper as subreaper (prctl(2)).  A stray is assigned by its
environment (BUILDBOT_LITE_COMMAND with BUILDBOT_LITE_KEEPER), by its session, or because it was a descendant before.
When all that fails (double fork, own session, emptied environment), it is assigned by elimination: to the only command
that was running when it began, or, of several, to the last one to end.

Not found: processes of other users (``sudo``), and those started by a service on request (cron, systemd, Docker).
Without a subreaper (not Linux) also a double-forked process in its own session whose environment cannot be read.

When a keeper is killed, its strays go to init.  The next keeper finds them by their environment, as the recorded main
process or in its session, or as their descendants.  Not found is a double-forked process in a session of its own whose
environment cannot be read.

Where processes cannot be listed (neither /proc nor ``ps``), nothing can be ended, and `NoProcessTableError` says so: an
empty table would look like a command that left nothing behind.

Signals go through a pidfd that is opened before the identity of the process is checked again, so that they never hit a
process that reuses the pid; without pidfds the same check leaves a gap of microseconds.
"""

import contextlib
import ctypes
import functools
import os
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

_COMMAND = b"BUILDBOT_LITE_COMMAND"
_KEEPER = b"BUILDBOT_LITE_KEEPER"
_PR_SET_CHILD_SUBREAPER = 36
# Seconds; ``ps`` takes a fraction of one on a busy machine.
_PS_TIMEOUT = 20.0


class NoProcessTableError(Exception):
    """
    The processes of this machine cannot be listed.  (Not one of `buildbot_lite.errors`: it leaves the keeper as a
    sentence only.)
    """

    def __init__(self, why: str) -> None:
        super().__init__(
            f"The slave's keeper cannot list processes ({why}), so it could not kill commands: mount /proc, or "
            "install ps (Debian: apt install procps)."
        )


class ProcessEntry(NamedTuple):
    """
    A process that is alive.  *pid* and *started* (clock ticks since boot, 0 where unknown; proc(5)) identify it.
    """

    pid: int
    parent: int
    session: int
    started: int


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
    The processes of the command *id*: the *pid* of the main process, when it *started* (clock ticks), and all *members*
    found so far, start by pid.
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
    Assigns processes to commands.  *directory*: the keeper's own, which identifies it.
    """

    def __init__(self, facilities: Facilities, directory: str) -> None:
        self._facilities = facilities
        # Tells this keeper's processes from those of other keepers on the machine; the same for the next keeper here.
        state = os.stat(directory)
        self._keeper = f"{state.st_dev:x}.{state.st_ino:x}"
        self._self = os.getpid()
        # A stray without marks that began later may be one that a command was allowed to leave running.
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
        process = _read_stat(pid) if self._facilities.proc else None
        started = process.started if process is not None else 0
        return ProcessSet(id, pid, started, {pid: started})

    def leave_running(self, process_set: ProcessSet) -> None:
        """
        Do not end the processes of *process_set* that outlive the main process.
        """
        self._left_running.add(process_set.id)
        if self._left_running_since is None:
            self._left_running_since = process_set.started

    def childless(self, mains: Iterable[int]) -> bool | None:
        """
        Whether the keeper has no child but *mains*; None where that is not cheap to find out.

        Processes that a main process left behind are children of the keeper, or descendants of such.  So True means
        that there are no strays, for the price of reading one small file.
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
        Every process that is alive, by pid.  `NoProcessTableError` when they cannot be listed.
        """
        table = _proc_table() if self._facilities.proc else _ps_table()
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
        The living processes of *process_set*, parents before children: a shell that is signalled first does not see its
        command die, and so does not go on with its next line.  `NoProcessTableError` when processes cannot be listed.

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
        SIGKILL to processes that commands of an earlier keeper left, for two seconds at most; return the pids that are
        still alive.  `NoProcessTableError` when processes cannot be listed.

        *mains*: by command id, pid and start of the main process, where they are known.  Killed are processes with such
        an id in their environment, the main processes with their sessions, and the descendants of all of these.
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
            # As long as a session has members, the kernel does not reuse the pid of its dead leader.
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
        return "".join(each if each.isprintable() else "?" for each in name) if self._is_still(process) else ""

    def _is_still(self, process: ProcessEntry) -> bool:
        if not self._facilities.proc:
            return True
        found = _read_stat(process.pid)
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
        # Orphans went to another reaper; only their environment can assign them.
        return process.parent not in others

    def _owner(
        self, stray: ProcessEntry, process_set: ProcessSet, others: Mapping[int, ProcessSet]
    ) -> ProcessSet | None:
        if stray.session == process_set.pid:
            return process_set
        tag = self._tag(stray.pid)
        if tag == process_set.id:
            return process_set
        # A mark can be forged.  One that names no command of this keeper counts as none.
        if tag is not None and (tag in self._left_running or any(other.id == tag for other in others.values())):
            return None
        if not self._facilities.subreaper or stray.started < process_set.started:
            return None
        if self._left_running_since is not None and self._left_running_since <= stray.started:
            return None
        possible = any(other is not process_set and other.started <= stray.started for other in others.values())
        return None if possible else process_set

    def _tag(self, pid: int) -> str | None:
        try:
            with open(f"/proc/{pid}/environ", "rb") as environ:
                found = dict(variable.partition(b"=")[::2] for variable in environ.read().split(b"\0"))
        except OSError:
            return None
        if found.get(_KEEPER) != self._keeper.encode():
            return None
        return found.get(_COMMAND, b"").decode("utf-8", "replace")


@functools.cache
def boot() -> str:
    """
    The name of one run of this machine: the kernel's boot id with the pid namespace (a container has its own).
    """
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as source:
            boot_id = source.read().strip()
        return f"{boot_id}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return f"{os.uname().nodename}/{os.uname().release}"


def _proc_table() -> dict[int, ProcessEntry]:
    try:
        names = os.listdir("/proc")
    except OSError:
        return {}
    found = (_read_stat(int(name)) for name in names if name.isdigit())
    return {process.pid: process for process in found if process is not None}


def _read_stat(pid: int) -> ProcessEntry | None:
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as stat:
            # proc_pid_stat(5).  After the program's name, which is in parentheses and may contain anything:
            # state, parent, process group, session, …; the 20th of these fields is the start time.
            fields = stat.read(4096).rpartition(b")")[2].split()
    except OSError:
        return None
    if not fields or fields[0] in b"ZX":
        return None
    return ProcessEntry(pid, int(fields[1]), int(fields[3]), int(fields[19]))


def _ps_table() -> dict[int, ProcessEntry]:
    import subprocess  # costs memory, and is needed only here

    words = ["ps", "-A", "-o", "pid=,ppid=,pgid=,stat="]
    try:
        listed = subprocess.run(words, capture_output=True, check=False, timeout=_PS_TIMEOUT).stdout
    except FileNotFoundError:
        raise NoProcessTableError("there is no /proc and no program ps") from None
    except OSError as error:
        raise NoProcessTableError(f"ps cannot be started: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise NoProcessTableError(f"ps does not answer within {_PS_TIMEOUT:.0f} s") from None
    found = (line.split() for line in listed.splitlines())
    # The process group in place of the session: not every ps shows sessions as numbers.
    return {
        int(row[0]): ProcessEntry(int(row[0]), int(row[1]), int(row[2]), 0)
        for row in found
        if len(row) == 4 and row[3][:1] not in b"ZX"
    }
