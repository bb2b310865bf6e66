"""
Package files on the disk: measured, and linked from one tree into another, so that a snapshot needs little room.
"""

import hashlib
import os
import shutil
import stat
from collections.abc import Iterable
from contextlib import suppress

from ...errors import InputError
from .snapshots import PUBLIC_FILE, PackageFile, make_public_directory

_PIECE = 1 << 20


def measured(path: str) -> PackageFile:
    """
    Size and checksum of the package file *path*; `InputError` when it is no file.
    """
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise InputError(f"{path} is no file.")
        while piece := file.read(_PIECE):
            digest.update(piece)
        return PackageFile(file.tell(), digest.hexdigest())


def link_all(paths: Iterable[str], source: str | None, target: str) -> None:
    """
    Link *paths* in *source* into the directory *target*, except those that are already there.
    """
    there: set[str] = set()
    for path in paths:
        assert source is not None
        directory = os.path.dirname(path)
        if directory not in there:
            make_public_directory(os.path.join(target, directory))
            there.add(directory)
        with suppress(FileExistsError):
            os.link(os.path.join(source, path), os.path.join(target, path))


def link_or_copy(source: str, target: str) -> None:
    """
    Link a file that all users may read, which needs no room; copy any other, so that the original stays private.
    """
    descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    with open(descriptor, "rb") as file:
        if stat.S_IMODE(os.fstat(descriptor).st_mode) == PUBLIC_FILE:
            os.fsync(descriptor)
            with suppress(OSError):  # another file system, or one without links
                os.link(source, target)
                return
        with open(target, "xb") as copy:
            shutil.copyfileobj(file, copy, _PIECE)
            copy.flush()
            os.fchmod(copy.fileno(), PUBLIC_FILE)
            os.fsync(copy.fileno())
