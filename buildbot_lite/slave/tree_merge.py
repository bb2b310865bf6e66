"""
Moves an unpacked tree into another directory.

An entry is renamed as a whole, unless both trees have a directory of that name, or they are on different disks: then
the entries of the directory are moved one by one.  Directories are opened through descriptors (`Walk`), with a constant
number of descriptors and stack frames at any depth.
"""

import errno
import os
import shutil
import stat
from contextlib import closing, suppress

from ..errors import FileError
from ..model.names import path_text
from .nofollow import (
    Owner,
    Walk,
    step_into,
)

_MERGED = {errno.ENOTEMPTY, errno.EEXIST, errno.EXDEV}


def merge_trees(source: int, into: int, *, owner: Owner = None) -> None:
    """
    Move every entry of the open directory *source* into the open directory *into*, where it replaces one with the same
    name.

    Directories are merged; a directory replaces no file.  No link is followed.  *owner*: uid and gid of entries that
    are copied to another disk.  `FileError` names an entry that cannot be moved.
    """
    pending: list[tuple[bytes, ...]] = [()]
    with closing(Walk(source)) as from_, closing(Walk(into)) as to:
        while pending:
            parts = pending.pop()
            current, destination = from_.to(parts), to.to(parts)
            for name in os.listdir(current):
                path = (*parts, os.fsencode(name))
                try:
                    if _moved(path[-1], current, destination, owner):
                        continue
                    os.close(step_into(destination, path[-1], make=True, owner=owner))
                except OSError as error:
                    path_shown = path_text(b"/".join(path))
                    raise FileError(f"{path_shown!r:.200} cannot be moved to its place: {error.strerror}.") from None
                pending.append(path)


def _moved(name: bytes, source: int, into: int, owner: Owner) -> bool:
    """
    Move *name*; return False if it is a directory whose entries must be moved one by one.
    """
    try:
        os.rename(name, name, src_dir_fd=source, dst_dir_fd=into)
    except OSError as error:
        facts = os.lstat(name, dir_fd=source)
        if stat.S_ISDIR(facts.st_mode):
            if error.errno in _MERGED:
                return False
            raise
        if error.errno != errno.EXDEV:
            raise
        _copy(name, facts, source, into, owner)
    return True


def _copy(name: bytes, facts: os.stat_result, source: int, into: int, owner: Owner) -> None:
    """
    Copy the file or link *name* to another disk.
    """
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=into)
    if stat.S_ISLNK(facts.st_mode):
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=into)
        if owner is not None:
            os.chown(name, *owner, dir_fd=into, follow_symlinks=False)
        return
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with (
        open(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source), "rb") as old,
        open(os.open(name, flags, 0o600, dir_fd=into), "wb") as new,
    ):
        shutil.copyfileobj(old, new)
        new.flush()
        os.utime(new.fileno(), ns=(facts.st_atime_ns, facts.st_mtime_ns))
        if owner is not None:
            os.fchown(new.fileno(), *owner)
        os.fchmod(new.fileno(), stat.S_IMODE(facts.st_mode))
