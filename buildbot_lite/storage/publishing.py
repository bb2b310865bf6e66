"""
Copies of artifacts at places outside of the farm's records, where other programs look for them.
"""

import os
import secrets
import shutil
import time
from collections.abc import Collection
from contextlib import suppress
from typing import IO

from ..errors import FileError, InputError, UnsafePathError
from ..model.names import relative_path
from .archive_input import Bounds, open_archive
from .files import file_error, remove, sync_directory

MOST_MEMBERS = 500_000
"""Files and directories of one archive.  The slave chooses their number, and each takes an inode."""
LONGEST = 1800.0
"""Seconds for placing the members of one archive, which takes one of the master's threads."""
_PUBLIC_DIRECTORY = 0o755


def publish(source: str, path: str, mode: int, *, basedir: str, own: Collection[str] = ()) -> None:
    """
    Put a copy of the file *source* at *path*, with the permission bits *mode*: whole or not at all.

    A file that is there is replaced; missing directories are made.  *basedir*: the master's own directory, whose files
    and directories with private data are not overwritten; *own*: other directories with such data.  Blocks while it
    copies.  Raises `FileError`, `UnsafePathError`.
    """
    _check_own_files(path, basedir, own)
    try:
        with open(source, "rb") as contents:
            _place(contents, path, mode, sync=True)
        sync_directory(os.path.dirname(path))
    except (OSError, ValueError) as error:
        raise file_error(error, f"file {path}") from error


def publish_directory(archive: str, directory: str, *, basedir: str, own: Collection[str] = ()) -> None:
    """
    Put the files and directories of the tar archive *archive* into *directory*; each file appears whole or not at all.

    Files that are there stay, unless they have the name of one in the archive.  Only ordinary files and directories are
    taken: a link might lead readers, such as a web server, to any file of the machine.  *basedir*, *own*: as for
    `publish`.  At most `MOST_MEMBERS` are placed, for at most `LONGEST` seconds.  Blocks.  Raises `FileError`,
    `UnsafePathError`; files that were placed before stay.
    """
    end = time.monotonic() + LONGEST
    _check_own_files(os.path.join(directory, "file"), basedir, own)
    if _is_inside(os.path.realpath(basedir), os.path.realpath(directory)):
        raise UnsafePathError(f"{directory} contains the master's own directory; choose another directory.")
    try:
        # The slave made the archive; none has more in it than it is long.
        length = os.path.getsize(archive)
        bounds = Bounds(length, MOST_MEMBERS)
        with open(archive, "rb") as file, open_archive(file, bounds) as opened:
            _make_public(directory)
            for member in opened.members():
                if time.monotonic() > end:
                    raise FileError(f"The files of {directory} take longer than {LONGEST / 60:.0f} minutes to place.")
                if not member.isdir() and (not member.isreg() or member.issparse()):
                    continue
                path = os.path.join(directory, relative_path(member.name))
                _check_own_files(os.path.join(path, "file") if member.isdir() else path, basedir, own)
                if member.isdir():
                    _make_public(path)
                else:
                    _place(opened.contents(member), path, 0o755 if member.mode & 0o100 else 0o644, sync=False)
        os.sync()
    except InputError as error:
        raise FileError(f"The archive for {directory} is damaged.  {error}") from error
    except (OSError, ValueError) as error:
        raise file_error(error, f"directory {directory}") from error


def _place(contents: IO[bytes], path: str, mode: int, *, sync: bool) -> None:
    directory, name = os.path.split(path)
    part = os.path.join(directory, f".{name[:100]}.{secrets.token_hex(4)}.part")
    _make_public(directory)
    if os.path.isdir(path):
        raise FileError(f"{path} is a directory.")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "wb") as target:
            shutil.copyfileobj(contents, target, 1 << 20)
            target.flush()
            os.fchmod(target.fileno(), mode)
            if sync:
                os.fsync(target.fileno())
        os.replace(part, path)
    finally:
        remove(part)


def _make_public(directory: str) -> None:
    if os.path.isdir(directory):
        return
    _make_public(os.path.dirname(directory))
    with suppress(FileExistsError):
        os.mkdir(directory)
        # Whatever the umask: the copies are for other users, such as that of a web server.
        os.chmod(directory, _PUBLIC_DIRECTORY)


def _check_own_files(path: str, basedir: str, own: Collection[str]) -> None:
    if is_own_file(path, basedir, own):
        raise UnsafePathError(f"{path} is among the master's own files; choose another directory.")


def is_own_file(path: str, basedir: str, own: Collection[str] = ()) -> bool:
    """
    Whether *path* is a file at the top of *basedir*, the master's directory, or in a directory that is the master's: of
    the usual ones, or of *own*.
    """
    top = os.path.realpath(basedir)
    real = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
    if any(_is_inside(real, os.path.realpath(each)) for each in own):
        return True
    if not _is_inside(real, top):
        return False
    first, *more = os.path.relpath(real, top).split(os.sep)
    return not more or first in OWN_DIRECTORIES or first.startswith(".")


def _is_inside(path: str, directory: str) -> bool:
    return os.path.commonpath([directory, path]) == directory


OWN_DIRECTORIES = frozenset(
    {
        "artifacts",
        "furls",
        "gitpoller_work",
        "hgpoller_work",
        "inputs",
        "own",
        "private",
        "records",
        "secrets",
        "streams",
        "web",
    }
)
"""Directories that the master keeps in its own, and in which nothing else writes."""
