"""
The processes of this machine, from /proc or ``ps``.
"""

import functools
import os
from typing import NamedTuple

# Seconds; ``ps`` takes a fraction of one on a busy machine.
_PS_TIMEOUT = 20.0


class NoProcessTableError(Exception):
    """
    The processes of this machine cannot be listed.  (Not a class of `buildbot_lite.errors`, because only its sentence
    leaves the keeper.)
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


@functools.cache
def boot() -> str:
    """
    An identifier of this run of the machine: the kernel's boot id, and the pid namespace, as a container has its own.
    """
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as source:
            boot_id = source.read().strip()
        return f"{boot_id}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return f"{os.uname().nodename}/{os.uname().release}"


def proc_table() -> dict[int, ProcessEntry]:
    """
    The living processes by pid, from /proc; {} if there is no /proc.
    """
    try:
        names = os.listdir("/proc")
    except OSError:
        return {}
    found = (read_stat(int(name)) for name in names if name.isdigit())
    return {process.pid: process for process in found if process is not None}


def read_stat(pid: int) -> ProcessEntry | None:
    """
    The process *pid*, from /proc; None if it is not alive (a zombie is not).
    """
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as stat:
            # proc_pid_stat(5).  The program's name is in parentheses and may contain any character.  After it come
            # state, parent, process group, session, …; the 20th of these fields is the start time.
            fields = stat.read(4096).rpartition(b")")[2].split()
    except OSError:
        return None
    if not fields or fields[0] in b"ZX":
        return None
    return ProcessEntry(pid, int(fields[1]), int(fields[3]), int(fields[19]))


def ps_table() -> dict[int, ProcessEntry]:
    """
    The living processes by pid, from ``ps``, without their start times.  `NoProcessTableError` when it does not work.
    """
    import subprocess  # here, because it takes memory and is rarely needed

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
    # The process group stands for the session, which some versions of ps do not show as a number.
    return {
        int(row[0]): ProcessEntry(int(row[0]), int(row[1]), int(row[2]), 0)
        for row in found
        if len(row) == 4 and row[3][:1] not in b"ZX"
    }
