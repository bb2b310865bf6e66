"""
Other processes on this machine, as tests see them.

A process may end between one system call and the next: opening a file of ``/proc`` then fails with one error and
reading it with another (``ProcessLookupError``).  These functions handle both.
"""

import contextlib
import os
import signal
from collections.abc import Iterator


def read_proc(pid: int, name: str) -> bytes:
    """
    Return the contents of ``/proc/PID/NAME``; empty when the process has ended or belongs to another user.
    """
    try:
        with open(f"/proc/{pid}/{name}", "rb") as source:
            return source.read()
    except OSError:
        return b""


def alive(pid: int) -> bool:
    """
    Return whether the process exists and is no zombie.
    """
    return read_proc(pid, "stat").rpartition(b")")[2].split()[:1] not in ([], [b"Z"], [b"X"])


def arguments(pid: int) -> list[str]:
    """
    Return the words of the command line; none in the middle of execve(2).
    """
    return read_proc(pid, "cmdline").decode(errors="replace").split("\0")


def other_pids() -> Iterator[int]:
    """
    Return the pids of all other processes.
    """
    return (int(entry) for entry in os.listdir("/proc") if entry.isdigit() and int(entry) != os.getpid())


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """
    Send a signal, if the process still exists.
    """
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
