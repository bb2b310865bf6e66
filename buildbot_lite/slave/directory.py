"""
A slave's directory, and facts about its machine.

::

    slave.tac        0600, contains the FURL   (twistd reads it)
    private/         tub.pem, home, hints, epochs, served, lock
    keeper/          the keeper's: socket, lock, log, commands
    transfers/       claims and temporary files of transfers
    work/            one directory for each builder

*home* contains a random name, made once, by which the master recognises whether a slave that attaches still has the
directory in which earlier commands were claimed.
"""

import os
import platform
import secrets
import shutil
import sys
from collections.abc import Iterable, Mapping

from ..errors import StorageError
from ..model.hello import MOST_HINTS
from ..storage.files import (
    make_directory,
    read_or_make,
    write_whole,
)
from ..storage.lock import DirectoryLock
from .epochs import SeenEpochs
from .served import ServedDirectories

# Characters of one fact about the machine.
_LONGEST_FACT = 200
# Variables that a service manager sets for the service itself (systemd.exec(5)), not for its commands.
_NOT_INHERITED = {
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "MAINPID",
    "MANAGERPID",
    "NOTIFY_SOCKET",
    "SYSTEMD_EXEC_PID",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
}

# The default prefix of secrets.SecretInEnvironment.  A slave may be started in the environment of its master.
_OF_SECRETS = "BUILDBOT_SECRET_"


class SlaveDirectory:
    """
    The slave's directory.  `make` makes its subdirectories.
    """

    def __init__(self, directory: str) -> None:
        self.directory = os.path.abspath(directory)
        self.private = os.path.join(self.directory, "private")
        self.keeper = os.path.join(self.directory, "keeper")
        self.transfers = os.path.join(self.directory, "transfers")
        self.work = os.path.join(self.directory, "work")
        self.certificate = os.path.join(self.private, "tub.pem")
        self.epochs = SeenEpochs(os.path.join(self.private, "epochs"))
        self.served = ServedDirectories(os.path.join(self.private, "served"))
        self._lock: DirectoryLock | None = None

    def make(self) -> None:
        """
        Make missing subdirectories.  `StorageError` when *directory* does not exist or is not writable.
        """
        if not os.path.isdir(self.directory):
            raise StorageError(f"There is no directory {self.directory}.  Make one with: buildbot-lite create-slave")
        make_directory(self.private)
        make_directory(self.keeper)
        make_directory(self.transfers)
        make_directory(self.work, mode=0o755)

    def share(self, owner: tuple[int, int]) -> None:
        """
        Give the work directory to *owner* (uid and gid of commands), and search permission on the directory with their
        private files.
        """
        try:
            os.chown(self.work, *owner)
            os.chmod(self.keeper, 0o711)  # noqa: S103 - its files have mode 0600
        except OSError as error:
            raise StorageError(f"{self.directory} cannot be shared with user {owner[0]}: {error.strerror}.") from None

    def lock(self) -> None:
        """
        Lock the directory until `unlock` or the end of this process; a fork keeps the lock.

        `DirectoryBusyError` names the process that holds it.
        """
        self._lock = DirectoryLock(self.private, "slave")

    def unlock(self) -> None:
        """
        Release the lock.
        """
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    @property
    def name(self) -> str:
        """
        32 hexadecimal digits, made when the directory was first used.
        """
        path = os.path.join(self.private, "home")
        return read_or_make(path, lambda: secrets.token_hex(16).encode()).decode("ascii", "replace").strip()[:64]

    def hints(self) -> tuple[str, ...]:
        """
        The location hints of the master's last welcome.
        """
        try:
            with open(os.path.join(self.private, "hints"), encoding="utf-8", errors="replace") as lines:
                return tuple(line.strip() for line in lines if line.strip())[:MOST_HINTS]
        except FileNotFoundError:
            return ()

    def keep_hints(self, hints: Iterable[str]) -> None:
        """
        Store the location hints of the master's welcome.  `StorageError` when that fails.
        """
        hints = tuple(hints)
        if hints and hints != self.hints():
            write_whole(os.path.join(self.private, "hints"), "".join(f"{hint}\n" for hint in hints).encode())

    def facts(self) -> dict[str, str]:
        """
        Facts about this machine, and *work*: the path of the work directory, unless it is long or not printable.
        """
        printable = len(self.work) <= _LONGEST_FACT and self.work.isprintable()
        return {**platform_facts(), **({"work": self.work} if printable else {})}

    def space(self) -> int:
        """
        Bytes free for builds; 0 when that is unknown.
        """
        return self.measured_space() or 0

    def measured_space(self) -> int | None:
        """
        Bytes free for builds, None when that is unknown.
        """
        try:
            return shutil.disk_usage(self.work).free
        except OSError:
            return None


def platform_facts() -> dict[str, str]:
    """
    Facts about this machine, for status pages and ``canStartBuild``.
    """
    facts = {
        "system": platform.system(),
        "release": platform.release(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "cpus": str(os.cpu_count() or 1),
        "hostname": platform.node(),
        "os": _operating_system(),
    }
    return {name: fact[:_LONGEST_FACT] for name, fact in facts.items() if fact}


def inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """
    *environment*, the slave's, without the variables that are not for commands.
    """
    return {
        name: value
        for name, value in environment.items()
        if name not in _NOT_INHERITED and not name.startswith(_OF_SECRETS)
    }


def _operating_system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        return sys.platform
