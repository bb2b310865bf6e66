"""
Files that are there whole or not at all, and private ones that were never anything else.

The standard library only: slaves keep their few files with this too.  Everything here survives a power cut once it
returned: the file is synced before it gets its name, its directory after.

A file that is being written is called ``.NAME.new`` beside its place.  One that was left behind by a crash is
replaced by the next attempt.
"""

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress

from ..errors import (
    DiskFullError,
    FileError,
    NameRefusedError,
)

PRIVATE = 0o600


def write_whole(path: str, contents: bytes, *, mode: int = PRIVATE) -> None:
    """
    Make *contents* the contents of the file *path*: whoever opens it finds the old ones or the new, never a part.

    *mode*: its permission bits from its first moment, whatever the umask.
    """
    with _told(path):
        directory, name = os.path.split(path)
        beside = os.path.join(directory, f".{name}.new")
        remove(beside)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        try:
            os.fchmod(descriptor, mode)
            write_all(descriptor, contents)
            os.fsync(descriptor)
            os.rename(beside, path)
        except BaseException:
            remove(beside)
            raise
        finally:
            os.close(descriptor)
        sync_directory(directory)


def read_or_make(path: str, make: Callable[[], bytes], *, mode: int = PRIVATE) -> bytes:
    """
    The contents of the file *path*, which is made of ``make()`` if it is not there.
    """
    with _told(path):
        try:
            with open(path, "rb") as file:
                return file.read()
        except FileNotFoundError:
            pass
    contents = make()
    write_whole(path, contents, mode=mode)
    return contents


def make_directory(path: str, *, mode: int = 0o700) -> None:
    """
    Make the directory *path*, and those above it; *mode* is for *path* itself, and only if it is new.
    """
    with _told(path):
        if os.path.isdir(path):
            return
        above = os.path.dirname(os.path.abspath(path))
        os.makedirs(above, exist_ok=True)
        try:
            os.mkdir(path, mode)
        except FileExistsError:
            if not os.path.isdir(path):
                raise
        sync_directory(above)


def make_directories(path: str) -> tuple[str, ...]:
    """
    Make *path* and every directory missing above it, each for its owner alone; answers the directories in which a new
    one was made, for `sync_directory`.
    """
    above = os.path.dirname(path)
    new = () if os.path.isdir(above) else make_directories(above)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        if os.path.islink(path) and not os.path.exists(path):
            nowhere = f"its directory {os.path.basename(path)} is a link that leads nowhere (is its disk mounted?)"
            raise FileNotFoundError(errno.ENOENT, nowhere) from None
    return (*new, above)


def remove(path: str) -> None:
    """
    Remove the file *path*, if it is there.
    """
    with suppress(FileNotFoundError):
        os.unlink(path)


def sync_directory(path: str) -> None:
    """
    Bring the names in the directory *path* to the disk.
    """
    descriptor = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, contents: bytes) -> None:
    """
    Write all of *contents*, however many calls that takes.
    """
    rest = memoryview(contents)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def is_disk_full(error: OSError) -> bool:
    """
    Whether *error* says that there is no room: on the disk, or in the owner's quota.
    """
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


# What a file system answers when a file of that name cannot be where it is wanted, whatever the state of the disk.
_NAME_REFUSED = frozenset(
    {errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.EINVAL, errno.EILSEQ, errno.ELOOP}
)


def file_error(error: OSError | ValueError, what: str, *, cannot: str = "be stored") -> FileError:
    """
    *error* as one of ours, in a sentence for people: "The log stdio cannot be stored on the master: …".

    *what*: the kind of the file and its name.  A `ValueError` is Python's answer to a name that no file can have.
    """
    if isinstance(error, ValueError):
        return NameRefusedError(f"The {what} cannot {cannot} on the master: no file can have this name.")
    if is_disk_full(error):
        return DiskFullError(f"The master's disk is full: there is no room for the {what}.")
    refused = NameRefusedError if error.errno in _NAME_REFUSED else FileError
    return refused(f"The {what} cannot {cannot} on the master: {error.strerror or error}.")


def readable_by_others(path: str) -> bool:
    """
    Whether anybody but the owner can read or write the file *path*.
    """
    return bool(stat.S_IMODE(os.stat(path).st_mode) & 0o077)


class _told:  # noqa: N801 - it reads as a clause of a with statement
    """
    Says what went wrong with *path* in a sentence.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, OSError):
            if is_disk_full(error):
                raise DiskFullError(f"There is no room for {self._path}.  Make room and try again.") from error
            raise FileError(f"{self._path} cannot be used: {error.strerror}.") from error
