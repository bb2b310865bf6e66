"""
What tests see of other processes on this machine.

Any of them may end between one system call and the next: opening a file of ``/proc`` then fails with one error and
reading it with another (``ProcessLookupError``).  Here, and only here, that is allowed for.
"""

import contextlib
import os
import signal
from collections.abc import Iterator


def told(pid: int, name: str) -> bytes:
    """
    What ``/proc/PID/NAME`` says; nothing when the process has ended, or is somebody else's.
    """
    try:
        with open(f"/proc/{pid}/{name}", "rb") as source:
            return source.read()
    except OSError:
        return b""


def alive(pid: int) -> bool:
    """
    Whether there is such a process, zombies apart.
    """
    return told(pid, "stat").rpartition(b")")[2].split()[:1] not in ([], [b"Z"], [b"X"])


def arguments(pid: int) -> list[str]:
    """
    The words of its command line; none in the middle of exec(2).
    """
    return told(pid, "cmdline").decode(errors="replace").split("\0")


def others() -> Iterator[int]:
    """
    Every process but this one.
    """
    return (int(entry) for entry in os.listdir("/proc") if entry.isdigit() and int(entry) != os.getpid())


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """
    Send it a signal, if it is still there.
    """
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
