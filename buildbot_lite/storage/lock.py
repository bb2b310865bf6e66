"""
Locks that allow one process per directory.
"""

import fcntl
import os

from ..errors import DirectoryBusyError


class DirectoryLock:
    """
    A lock on *directory* for one process, the *what* ("master", "slave"), until `release` or the end of the process.

    flock(2) keeps it across a fork, as when twistd becomes a daemon.
    """

    def __init__(self, directory: str, what: str) -> None:
        """
        Take the lock; `DirectoryBusyError` when another process has it.
        """
        descriptor = os.open(
            os.path.join(directory, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            where = os.path.dirname(os.path.abspath(directory))
            raise DirectoryBusyError(
                f"Another {what} already works in {where}.  Stop it first: buildbot-lite stop {where}"
            ) from None
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def is_locked(path: str) -> bool:
    """
    Whether a process holds the lock on the file *path*; False when the file or its directory is missing.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        # A shared lock, so that two simultaneous tests do not see each other as the holder.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
