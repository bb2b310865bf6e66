"""
Copies of artifacts at places outside of the farm's records, where other programs look for them.
"""

import os
import secrets
import shutil
from contextlib import suppress

from ..errors import FileError, UnsafePathError
from .files import file_error, remove, sync_directory

_PUBLIC_DIRECTORY = 0o755


def publish(source: str, path: str, mode: int, *, basedir: str) -> None:
    """
    Put a copy of the file *source* at *path*, with the permission bits *mode*: whole or not at all.

    A file that is there is replaced; missing directories are made.  *basedir*: the master's own directory, whose files
    and directories with private data are not overwritten.  Blocks while it copies.  Raises `FileError`,
    `UnsafePathError`.
    """
    _check_own_files(path, basedir)
    directory, name = os.path.split(path)
    part = os.path.join(directory, f".{name[:100]}.{secrets.token_hex(4)}.part")
    try:
        _make_public(directory)
        if os.path.isdir(path):
            raise FileError(f"{path} is a directory.")
        try:
            _copy(source, part, mode)
            os.replace(part, path)
        finally:
            remove(part)
        sync_directory(directory)
    except (OSError, ValueError) as error:
        raise file_error(error, f"file {path}") from error


def _make_public(directory: str) -> None:
    if os.path.isdir(directory):
        return
    _make_public(os.path.dirname(directory))
    with suppress(FileExistsError):
        os.mkdir(directory)
        # Whatever the umask: who looks for the copies is another user, such as a web server's.
        os.chmod(directory, _PUBLIC_DIRECTORY)


def _copy(source: str, part: str, mode: int) -> None:
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "wb") as target, open(source, "rb") as artifact:
        shutil.copyfileobj(artifact, target, 1 << 20)
        target.flush()
        os.fchmod(target.fileno(), mode)
        os.fsync(target.fileno())


def _check_own_files(path: str, basedir: str) -> None:
    own = os.path.realpath(basedir)
    real = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
    if os.path.commonpath([own, real]) != own:
        return
    first, *more = os.path.relpath(real, own).split(os.sep)
    if not more or first in OWN_DIRECTORIES or first.startswith("."):
        raise UnsafePathError(f"{path} is among the master's own files; choose another directory.")


OWN_DIRECTORIES = frozenset(
    {"artifacts", "furls", "gitpoller_work", "inputs", "own", "private", "records", "secrets", "streams", "web"}
)
"""Directories that the master keeps in its own, and in which nothing else writes."""
