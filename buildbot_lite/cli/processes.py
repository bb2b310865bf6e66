"""
The process that runs in a directory: find it, stop it, start it.

``twistd.pid`` may be left over from a killed process, and the system may have given its number to another one.  So a
process counts as ours only while it has our lock file open, where the system shows that; and it is held by a pidfd
(pidfd_open(2)), so that signals reach the right process.
"""

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from enum import Enum

from attrs import frozen

from ..errors import (
    BuildbotLiteError,
    NotFoundError,
    NotRunningError,
)
from ..storage.files import check_directory, remove
from ..storage.lock import is_locked

PID_FILE = "twistd.pid"
WEB = "web"
"""The directory of a farm's web process, in its master's."""
LOCK = os.path.join("private", "lock")
_PROCESSES = "/proc"


class Kind(Enum):
    """
    The kind of a directory.
    """

    MASTER = "master"
    SLAVE = "slave"
    WEB = "web"

    @property
    def noun(self) -> str:
        """
        What a sentence calls the process.
        """
        return "web process" if self is Kind.WEB else self.value

    @property
    def tac(self) -> str:
        """
        The name of the file for ``twistd -y``.
        """
        return f"{self.value}.tac"


def is_there(*path: str) -> bool:
    """
    Whether *path* exists; `OSError` if permissions hide that.
    """
    try:
        os.stat(os.path.join(*path))
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def kind_of(directory: str) -> Kind:
    """
    The kind of *directory*; `NotFoundError` if it has none.
    """
    if any(is_there(directory, name) for name in ("master.cfg", Kind.MASTER.tac)):
        return Kind.MASTER
    if any(is_there(directory, name) for name in (Kind.SLAVE.tac, "keeper")):
        return Kind.SLAVE
    if is_there(directory, Kind.WEB.tac):
        return Kind.WEB
    need_a_directory(directory)
    where = "This" if directory == os.curdir else directory
    raise NotFoundError(
        f"{where} is the directory of neither a master nor a slave: it has no master.cfg, no slave.tac and no web.tac."
    )


def need_a_directory(directory: str) -> None:
    """
    Raise `NotFoundError` if *directory* is not there.
    """
    check_directory(directory)
    if not os.path.lexists(directory):
        raise NotFoundError(f"There is no directory {directory}.")


def directories_of(directory: str) -> list[str]:
    """
    *directory*, and for a master's the one of its web process, if it has one: they are started and stopped together.
    """
    web = os.path.join(directory, WEB)
    return [directory, web] if kind_of(directory) is Kind.MASTER and is_there(web, Kind.WEB.tac) else [directory]


def strings_in(directory: str) -> list[str]:
    """
    The names of the strings that the master in *directory* has written into files.
    """
    try:
        files = os.listdir(os.path.join(directory, "furls"))
    except FileNotFoundError:
        return []
    return sorted(file.removesuffix(".furl") for file in files if file.endswith(".furl"))


def need_a_master(directory: str) -> None:
    """
    Raise `NotFoundError` where *directory* has no ``master.cfg``.
    """
    if is_there(directory, "master.cfg"):
        return
    need_a_directory(directory)
    where = "This" if directory == os.curdir else directory
    if is_there(directory, Kind.SLAVE.tac):
        raise NotFoundError(f"{where} is the directory of a slave, not of a master.")
    what_to_do = "  Name one as DIR." if directory == os.curdir else ""
    raise NotFoundError(f"{where} is not the directory of a master: it has no master.cfg.{what_to_do}")


@frozen
class Process:
    """
    A running process, until `close`.  *handle*: its pidfd, or None where the system has none.
    """

    pid: int
    handle: int | None

    def send(self, number: signal.Signals) -> None:
        """
        Send the signal *number*; no effect if the process has ended.
        """
        try:
            if self.handle is not None:
                signal.pidfd_send_signal(self.handle, number)
            else:
                os.kill(self.pid, number)
        except ProcessLookupError:
            pass
        except PermissionError:
            raise BuildbotLiteError(f"Process {self.pid} belongs to another user.  Stop it as that user.") from None

    def ended(self, within: float) -> bool:
        """
        Whether the process ends within *within* seconds.
        """
        if self.handle is not None:
            polling = select.poll()
            polling.register(self.handle, select.POLLIN)
            return bool(polling.poll(within * 1000))
        end = time.monotonic() + within
        while _exists(self.pid):
            if time.monotonic() >= end:
                return False
            time.sleep(0.05)
        return True

    def close(self) -> None:
        """
        Close the pidfd.
        """
        if self.handle is not None:
            os.close(self.handle)


def running_in(directory: str) -> Process:
    """
    The process that runs in *directory*; `NotRunningError` if there is none.
    """
    kind = kind_of(directory)
    lock = os.path.join(directory, LOCK)
    path = os.path.join(directory, PID_FILE)
    why = f"{PID_FILE} is left over from a process that was killed"
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            process = _take(int(file.read(40)), lock)
    except FileNotFoundError:
        process, why = None, f"there is no {PID_FILE}"
    except ValueError:
        process, why = None, f"{PID_FILE} has no process number in it"
    process = process or _holder(lock)
    if process is None:
        raise NotRunningError(f"No {kind.noun} runs in {directory}: {why}.")
    return process


def kill_left_behind(directory: str, within: float) -> bool:
    """
    Have the keeper in the slave's *directory* kill all of its commands and end; False if no keeper runs.

    For a slave whose twistd has ended.  *within*: seconds until the keeper must have ended.
    """
    keeper = os.path.join(directory, "keeper")
    try:
        above = os.open(keeper, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return False
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(within)
        try:
            # unix(7) limits the path to 107 bytes; this one is short wherever the directory is.
            known = os.path.isdir("/proc/self/fd")
            line.connect(f"/proc/self/fd/{above}/socket" if known else os.path.join(keeper, "socket"))
            line.sendall(b'{"op":"hello"}\n{"op":"stop"}\n')
            while line.recv(1 << 16):
                pass
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except ConnectionError:
            pass  # it ended while we spoke
        except TimeoutError:
            raise BuildbotLiteError(
                f"The keeper in {keeper} has not ended after {within:.0f} s.  Its keeper.log may say why."
            ) from None
        finally:
            os.close(above)
    return True


def start(directory: str) -> None:
    """
    Start the process of *directory* as a daemon (``twistd -y``).  Nothing may run there (`running_in`).
    """
    kind = kind_of(directory)
    if not os.path.exists(os.path.join(directory, kind.tac)):
        raise NotFoundError(f"There is no {kind.tac} in {directory}, so this command cannot start it.")
    beside = os.path.join(os.path.dirname(sys.executable), "twistd")
    twistd = beside if os.path.exists(beside) else shutil.which("twistd")
    if twistd is None:
        raise NotFoundError("There is no program twistd, which comes with Twisted.  Install Twisted properly.")
    # twistd refuses to start if a pid file is left over, or is empty after a power failure.  Nothing runs here: the
    # caller has checked, and the lock keeps a second process out.
    remove(os.path.join(directory, PID_FILE))
    words = [twistd, "-y", kind.tac]
    done = subprocess.run(words, cwd=directory, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise BuildbotLiteError(f"The {kind.noun} did not start.")


def _take(pid: int, lock: str) -> Process | None:
    """
    The process *pid*, if it has the file *lock* open.
    """
    process = _held(pid)
    if process is not None and not _ours(pid, lock):
        process.close()
        return None
    return process


def _held(pid: int) -> Process | None:
    if not hasattr(os, "pidfd_open"):
        return Process(pid, None) if _exists(pid) else None
    try:
        return Process(pid, os.pidfd_open(pid))
    except OSError:
        return None


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _ours(pid: int, lock: str) -> bool:
    """
    Whether *pid* has the file *lock* open; where the system does not show that, whether any process has locked it.
    """
    try:
        return any(_descriptors_of(pid, lock))
    except OSError:
        return is_locked(lock)


def _holder(lock: str) -> Process | None:
    """
    The process that has locked the file *lock*, as far as /proc shows: for a process whose pid file was removed.
    """
    if not os.path.isdir(_PROCESSES) or not is_locked(lock):
        return None
    for name in os.listdir(_PROCESSES):
        process = _held(int(name)) if name.isdecimal() else None
        if process is not None:
            with suppress(OSError):
                if any(_is_locked_by(process.pid, descriptor) for descriptor in _descriptors_of(process.pid, lock)):
                    return process
            process.close()
    return None


def _descriptors_of(pid: int, path: str) -> Iterator[str]:
    """
    The descriptors of *pid* for the file *path*; `OSError` if permissions hide them.
    """
    status = os.stat(path)
    directory = f"{_PROCESSES}/{pid}/fd"
    for name in os.listdir(directory):
        with suppress(OSError):
            if os.path.samestat(os.stat(os.path.join(directory, name)), status):
                yield name


def _is_locked_by(pid: int, descriptor: str) -> bool:
    # A process that only reads the file, like a backup, has no lock: proc_pid_fdinfo(5), "lock".
    with open(f"{_PROCESSES}/{pid}/fdinfo/{descriptor}", encoding="ascii", errors="replace") as lines:
        return any(line.startswith("lock:") and "FLOCK" in line for line in lines)
