"""
Copies of artifacts at places outside of the farm's records, where other programs look for them.
"""

import os
import secrets
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from typing import IO

from ..errors import FileError, UnsafePathError
from ..model.names import relative_path
from .files import file_error, remove, sync_directory

_PUBLIC_DIRECTORY = 0o755
_LARGEST_HEADER = 64 << 10
"""Bytes of a member's extended header, which Python reads into memory; paths have at most 4096."""


def publish(source: str, path: str, mode: int, *, basedir: str) -> None:
    """
    Put a copy of the file *source* at *path*, with the permission bits *mode*: whole or not at all.

    A file that is there is replaced; missing directories are made.  *basedir*: the master's own directory, whose files
    and directories with private data are not overwritten.  Blocks while it copies.  Raises `FileError`,
    `UnsafePathError`.
    """
    _check_own_files(path, basedir)
    try:
        with open(source, "rb") as contents:
            _place(contents, path, mode, sync=True)
        sync_directory(os.path.dirname(path))
    except (OSError, ValueError) as error:
        raise file_error(error, f"file {path}") from error


def publish_directory(archive: str, directory: str, *, basedir: str) -> None:
    """
    Put the files and directories of the tar archive *archive* into *directory*; each file appears whole or not at all.

    Files that are there stay, unless they have the name of one in the archive.  Only ordinary files and directories are
    taken: a link might lead whoever reads there to any file of the machine.  *basedir*: as for `publish`.  Blocks.
    Raises `FileError`, `UnsafePathError`; files that were placed before stay.
    """
    _check_own_files(os.path.join(directory, "file"), basedir)
    try:
        _check_headers(archive)
        with tarfile.open(archive, "r:") as opened:
            _make_public(directory)
            for member in _ordinary(opened):
                path = os.path.join(directory, relative_path(member.name))
                _check_own_files(os.path.join(path, "file"), basedir)
                if member.isdir():
                    _make_public(path)
                elif (contents := opened.extractfile(member)) is not None:
                    _place(contents, path, 0o755 if member.mode & 0o100 else 0o644, sync=False)
        os.sync()
    except tarfile.TarError as error:
        raise FileError(f"The archive for {directory} is damaged: {error}.") from error
    except (OSError, ValueError) as error:
        raise file_error(error, f"directory {directory}") from error


def _ordinary(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for member in archive:
        archive.members = []  # type: ignore[attr-defined]  # it would keep all that it has read
        if member.isdir() or (member.isreg() and not member.issparse()):
            yield member


def _check_headers(archive: str) -> None:
    """
    Refuse extended headers that would fill the memory: the slave made the archive.
    """
    with open(archive, "rb") as file:
        while (block := file.read(tarfile.BLOCKSIZE)) and block.strip(b"\0"):
            header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
            if header.type in _EXTENDED and header.size > _LARGEST_HEADER:
                raise FileError("The archive has a header that is too large.")
            if header.isreg() or header.type in _EXTENDED:
                file.seek(-(-header.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE, os.SEEK_CUR)


_EXTENDED = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


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
        # Whatever the umask: who looks for the copies is another user, such as a web server's.
        os.chmod(directory, _PUBLIC_DIRECTORY)


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
