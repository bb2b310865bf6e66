"""
Atomic writing of files, with private modes from their creation.

Standard library only, because slaves use this module too.  After each function has returned, its effect survives a
power cut: the file is synced before it is renamed to its name, and its directory afterwards.

A file that is being written has the name ``.NAME.new`` in the same directory.  The next attempt replaces one that a
crash has left.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from ..errors import (
    BuildbotLiteError,
    DiskFullError,
    FileError,
    NameRefusedError,
)

PRIVATE = 0o600


def write_whole(path: str, contents: bytes, *, mode: int = PRIVATE, follow: bool = True) -> None:
    """
    Replace the contents of the file *path* atomically: readers see the old or the new contents, never a part.

    *mode*: permission bits from the file's creation, independent of the umask.  *follow*: whether its directory may be
    a link; where another process could make one of it, it must not.  `DiskFullError`, `FileError`.
    """
    with _sentence_for(path), _directory_of(path, follow=follow) as (above, name):
        beside = f".{name}.new"
        _unlink(beside, above)
        # In the directory that was opened, whatever its path leads to by now.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(beside, flags, mode, dir_fd=above)
        try:
            os.fchmod(descriptor, mode)
            write_all(descriptor, contents)
            os.fsync(descriptor)
            os.rename(beside, name, src_dir_fd=above, dst_dir_fd=above)
        except BaseException:
            _unlink(beside, above)
            raise
        finally:
            os.close(descriptor)
        os.fsync(above)


def read_or_make(path: str, make: Callable[[], bytes]) -> bytes:
    """
    The contents of the file *path*, which is created with ``make()``, for this user alone, if it is missing.
    """
    with _sentence_for(path):
        try:
            with open(path, "rb") as file:
                return file.read()
        except FileNotFoundError:
            pass
    contents = make()
    write_whole(path, contents)
    return contents


def read_regular(path: str, most: int, *, follow: bool = True) -> bytes:
    """
    The first *most* bytes of the regular file *path*, which another process may have made: `OSError` for anything else,
    like a FIFO, whose open(2) would wait; without *follow*, for a symbolic link, too.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY | (0 if follow else os.O_NOFOLLOW)
    descriptor = os.open(path, flags)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", path)
        return file.read(most)


def make_directory(path: str, *, mode: int = 0o700) -> None:
    """
    Make the directory *path* and its missing parents.  *mode*: permission bits of *path* if it is new.
    """
    with _sentence_for(path):
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


def check_directory(path: str) -> None:
    """
    Raise `BuildbotLiteError` if *path*, which is to be a directory, is something else.  It may be missing.
    """
    if os.path.lexists(path) and not os.path.isdir(path):
        raise BuildbotLiteError(f"{path} is not a directory.")


def check_unused(path: str) -> None:
    """
    Raise `BuildbotLiteError` unless *path* is an empty directory or is missing, so that one can be made there.
    """
    check_directory(path)
    if os.path.lexists(path) and os.listdir(path):
        raise BuildbotLiteError(f"{path} is not empty.  Give a directory that is new or empty.")


def make_directories(path: str) -> tuple[str, ...]:
    """
    Make the directory *path* and its missing parents, each with mode 0700.  Returns the directories that got a new
    entry, for `sync_directory`.
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


def remove(path: str, *, follow: bool = True) -> None:
    """
    Remove the file *path* if it exists.  *follow*: see `write_whole`.  Raises `OSError`, and `FileError` for a link.
    """
    with suppress(FileNotFoundError):
        if follow:
            os.unlink(path)
        else:
            with _directory_of(path, follow=False) as (above, name):
                _unlink(name, above)


@contextmanager
def _directory_of(path: str, *, follow: bool) -> Iterator[tuple[int, str]]:
    """
    A descriptor of the directory of *path*, and the file's name in it.
    """
    directory, name = os.path.split(path)
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    try:
        descriptor = os.open(directory or ".", flags)
    except NotADirectoryError:
        if follow or not os.path.islink(directory):
            raise
        raise FileError(f"{directory} is a link, and must be a directory.") from None
    try:
        yield descriptor, name
    finally:
        os.close(descriptor)


def _unlink(name: str, above: int) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=above)


def sync_directory(path: str) -> None:
    """
    Sync the entries of the directory *path* to the disk.
    """
    descriptor = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, contents: bytes) -> None:
    """
    Write all of *contents*, with as many calls of write(2) as needed.
    """
    remaining = memoryview(contents)
    while remaining:
        remaining = remaining[os.write(descriptor, remaining) :]


def is_disk_full(error: OSError) -> bool:
    """
    Whether *error* means that there is no room on the disk or in the owner's quota.
    """
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


# Errors of a file system that does not accept this name in this directory, whatever the state of the disk.
_NAME_REFUSED = frozenset(
    {errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.EINVAL, errno.EILSEQ, errno.ELOOP}
)


def file_error(error: OSError | ValueError, what: str, *, cannot: str = "be stored") -> FileError:
    """
    The `FileError` for *error*, with a sentence for people: "The log stdio cannot be stored on the master: …".

    *what*: the kind and name of the file.  Python raises `ValueError` for a name that no file can have.
    """
    if isinstance(error, ValueError):
        return NameRefusedError(f"The {what} cannot {cannot} on the master: no file can have this name.")
    if is_disk_full(error):
        return DiskFullError(f"The master's disk is full: there is no room for the {what}.")
    refused = NameRefusedError if error.errno in _NAME_REFUSED else FileError
    return refused(f"The {what} cannot {cannot} on the master: {error.strerror or error}.")


def readable_by_others(path: str) -> bool:
    """
    Whether other users than the owner have any permission for the file *path*.
    """
    return bool(stat.S_IMODE(os.stat(path).st_mode) & 0o077)


@contextmanager
def _sentence_for(path: str) -> Iterator[None]:
    """
    Convert an `OSError` to a `FileError` with a sentence about *path*.
    """
    try:
        yield
    except OSError as error:
        if is_disk_full(error):
            raise DiskFullError(f"There is no room for {path}.  Make room and try again.") from error
        raise FileError(f"{path} cannot be used: {error.strerror}.") from error
