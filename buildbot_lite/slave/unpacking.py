"""
Unpacks tar archives, of downloads.

It runs in a process of its own (`file_worker`), because it may take long, and an archive is untrusted.  It follows no
symbolic link, and unpacks none that may lead out of the directory.

A link cannot be checked by resolving it, because a later member, or a later archive, may change the directories on its
way.  So only its text is checked: a link is safe if it is a relative path with ``..`` only as its first components, and
no more of them than there are directories above the link.  The directories on the way up are real ones, because nothing
is unpacked through a link; and every link on the way down is safe in the same sense.
"""

import os
import stat
import tarfile
from contextlib import closing, suppress
from typing import IO

from ..errors import InputError, UnsafePathError
from ..storage.archive_input import (
    Archive,
    Bounds,
    open_archive,
    unpacks_to_more,
)
from .archive_paths import file_errors, parts_of, safe_target
from .nofollow import (
    Owner,
    Walk,
    step_into,
    walk_down,
)

# Bytes to copy at a time.
_BLOCK = 1 << 20
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def unpack(archived: IO[bytes], into: int, bounds: Bounds, *, owner: Owner = None) -> None:
    """
    Unpack the open archive *archived*, compressed or not, into the open, empty directory *into*.

    The files belong to *owner* (None: this user), and no other user may write to them.  After an `InputError`,
    `UnsafePathError` or `FileError` a part may be unpacked.
    """
    with (
        closing(Walk(into, make=True, owner=owner)) as walk,
        open_archive(archived, bounds) as archive,
    ):
        unpacker = _Unpacker(into, walk, bounds, owner)
        for member in archive.members():
            unpacker.add(archive, member)


class _Unpacker:
    """
    Unpacks members into the open directory *into*.  *walk*: a `Walk` below it.
    """

    def __init__(self, into: int, walk: Walk, bounds: Bounds, owner: Owner) -> None:
        self._into = into
        self._walk = walk
        self._bounds = bounds
        self._room = bounds.size
        self._owner = owner

    def add(self, archive: Archive, member: tarfile.TarInfo) -> None:
        """
        Unpack *member*.
        """
        parts = parts_of(member, member.name)
        if not parts:
            if member.isdir():
                return  # the directory itself
            raise InputError(f"The archive has a member {member.name!r:.200}, which is not a valid file name.")
        with file_errors(parts, "unpacked"):
            directory, name = self._walk.to(parts[:-1]), parts[-1]
            if member.isdir():
                os.close(step_into(directory, name, make=True, owner=self._owner))
                return
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=directory)
            if member.isreg():
                self._add_file(archive, member, name, directory)
            elif member.issym():
                os.symlink(safe_target(member, parts), name, dir_fd=directory)
            elif member.islnk():
                self._add_hard_link(member, name, directory)
            else:
                raise UnsafePathError(
                    f"The archive has a member {member.name!r:.200}, which is neither a file, a directory nor a link."
                )
            if self._owner is not None:
                os.chown(name, *self._owner, dir_fd=directory, follow_symlinks=False)

    def _add_file(self, archive: Archive, member: tarfile.TarInfo, name: bytes, directory: int) -> None:
        # Checked before writing, because a few bytes of an archive can describe a sparse file of any size.
        self._room -= member.size
        if self._room < 0:
            raise unpacks_to_more(self._bounds)
        with (
            open(os.open(name, _NEW_FILE, 0o600, dir_fd=directory), "wb", buffering=0) as file,
            archive.contents(member) as contents,
        ):
            while block := contents.read(_BLOCK):
                remaining = memoryview(block)
                while remaining:
                    remaining = remaining[file.write(remaining) :]
            # As tarfile's data filter does: only the owner may write, and only files that the owner may execute are
            # executable for others.
            allowed = 0o755 if member.mode & stat.S_IXUSR else 0o644
            os.fchmod(file.fileno(), (member.mode | stat.S_IRUSR | stat.S_IWUSR) & allowed)
            with suppress(OSError, OverflowError, ValueError):  # an impossible time
                os.utime(file.fileno(), (member.mtime, member.mtime))

    def _add_hard_link(self, member: tarfile.TarInfo, name: bytes, directory: int) -> None:
        target = parts_of(member, member.linkname)
        with walk_down(self._into, target[:-1]) as parent:
            # A hard link to a symbolic link is another symbolic link, which may lead out of the directory from there.
            if not target or not stat.S_ISREG(os.lstat(target[-1], dir_fd=parent).st_mode):
                raise UnsafePathError(
                    f"The archive has a hard link {member.name!r:.200} to something that is not a file."
                )
            os.link(target[-1], name, src_dir_fd=parent, dst_dir_fd=directory, follow_symlinks=False)
