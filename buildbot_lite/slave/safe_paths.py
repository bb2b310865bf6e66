"""
Paths under a slave's ``work`` directory.

First, the symbolic links in a path from the master are resolved by this module: they may point anywhere inside the
tree, but not out of it.  Then the result is opened one directory at a time with ``O_NOFOLLOW``, so that a link which a
running build makes in between is not followed but refused.  The root itself may be a link, which the admin made.

Names are bytes, because the master sends UTF-8, and the locale of this process may have another encoding.
"""

import os
import stat
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

from ..errors import FileError, UnsafePathError
from ..keeper.tree_removal import remove_tree
from ..keeper.wrapper import UMASK
from ..model.names import (
    path_bytes,
    path_text,
    relative_path,
)
from .nofollow import DIRECTORY, walk_down
from .tree_merge import merge_trees

MOST_LINKS = 40


class ResolvedPath(NamedTuple):
    """
    A path without links: *parts* below one of the roots.
    """

    root: bytes
    parts: list[bytes]

    @property
    def path(self) -> str:
        """
        The absolute path, decoded as the locale says.
        """
        return os.fsdecode(os.path.join(self.root, *self.parts))


class SafePaths:
    """
    Paths below the directory *root*.

    *beyond*: further directories to which symbolic links may lead.  *owner*: uid and gid of new files and directories;
    None: those of this process.  *umask*: permission bits that new directories do not get.

    Every method raises `UnsafePathError` for a path that leads out of these directories.
    """

    def __init__(
        self, root: str, *, beyond: Sequence[str] = (), owner: tuple[int, int] | None = None, umask: int = UMASK
    ) -> None:
        self.root = os.path.abspath(root)
        self.beyond = tuple(beyond)
        self.owner = owner
        self.umask = umask
        self._root = os.fsencode(self.root)

    def make(self, path: str) -> ResolvedPath:
        """
        Make the directory *path* and its parents, unless they exist; return its path without links.
        """
        resolved = self._resolved(path)
        with self._directory(resolved, make=True):
            return resolved

    def absolute(self, path: str) -> str:
        """
        The absolute path of *path*, without links; it need not exist.
        """
        return self._resolved(path).path

    def open_to_read(self, path: str) -> int:
        """
        A descriptor of the regular file *path*; `UnsafePathError` for any other kind of file.
        """
        above, last = self._named(path)
        with self._directory(above) as directory:
            # O_NONBLOCK, because opening a FIFO would block.
            opened = os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            os.close(opened)
            raise UnsafePathError(f"{path!r:.200} is not a file.")
        return opened

    def open_directory(self, path: str) -> int:
        """
        A descriptor of the directory *path*.
        """
        with self._directory(self._resolved(path)) as directory:
            return os.dup(directory)

    def open_partial(self, path: str, suffix: str) -> int:
        """
        A descriptor of a new file beside *path*, whose name is made of *path* and *suffix*; `complete` renames it.  Its
        directory is made if it does not exist.
        """
        above, last = self._named(path)
        with self._directory(above, make=True) as directory:
            name = _partial(last, suffix)
            _unlink(name, directory)
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            partial = os.open(name, flags, 0o600, dir_fd=directory)
            if self.owner is not None:
                os.fchown(partial, *self.owner)
            return partial

    def complete(self, path: str, suffix: str) -> None:
        """
        Rename the partial file to *path*, atomically and durably.
        """
        above, last = self._named(path)
        with self._directory(above) as directory:
            os.rename(_partial(last, suffix), last, src_dir_fd=directory, dst_dir_fd=directory)
            os.fsync(directory)

    def discard(self, path: str, suffix: str) -> None:
        """
        Remove the partial file, if it exists.
        """
        try:
            above, last = self._named(path)
            with self._directory(above) as directory:
                _unlink(_partial(last, suffix), directory)
        except (OSError, UnsafePathError):
            pass  # the directory was removed or replaced

    def remove(self, path: str) -> None:
        """
        Remove *path* and everything in it, also from directories without write permission.

        No error if it does not exist.  A symbolic link itself is removed, not its target.  `FileError` names the entry
        that cannot be removed.
        """
        try:
            with self._parent(path) as (directory, name):
                remove_tree(name, directory)
        except FileNotFoundError:
            pass
        except OSError as error:
            if not isinstance(error.filename, bytes):
                raise
            failed_path = os.path.join(os.path.dirname(path), path_text(error.filename))
            raise FileError(f"{failed_path!r:.200} cannot be removed: {error.strerror}.") from None

    def remove_quickly(self, path: str) -> bool:
        """
        Remove *path* if one system call is enough: for a file, a link, or an empty directory.  Return whether it no
        longer exists.
        """
        try:
            with self._parent(path) as (directory, name):
                if stat.S_ISDIR(os.lstat(name, dir_fd=directory).st_mode):
                    os.rmdir(name, dir_fd=directory)
                else:
                    os.unlink(name, dir_fd=directory)
        except FileNotFoundError:
            return True
        except OSError:
            return False  # the caller calls `remove`, which raises the error
        return True

    def merge(self, staged: int, path: str) -> None:
        """
        Move all entries of the open directory *staged* into the directory *path*, replacing those of the same names.

        Archives are unpacked in another directory and then moved, because unpacking in place would follow links that a
        running command makes meanwhile.  `FileError` names an entry that cannot be moved.
        """
        with self._directory(self._resolved(path), make=True) as into:
            merge_trees(staged, into, owner=self.owner)

    @contextmanager
    def _parent(self, path: str) -> Iterator[tuple[int, bytes]]:
        """
        The open parent directory of *path*, and the last component, which is not followed if it is a link.
        """
        parts = relative_path(path).split("/")
        if parts == ["."]:
            raise UnsafePathError("That is the work directory itself.  Name a directory inside it.")
        with self._directory(self._resolved("/".join(parts[:-1]) or ".")) as directory:
            yield directory, path_bytes(parts[-1])

    def _named(self, path: str) -> tuple[ResolvedPath, bytes]:
        root, parts = self._resolved(path)
        if not parts:
            raise UnsafePathError("That is the work directory itself.  Name a file inside it.")
        return ResolvedPath(root, parts[:-1]), parts[-1]

    def _resolved(self, path: str) -> ResolvedPath:
        """
        The components of *path* without ``.``, ``..`` and links.
        """
        root = self._root
        todo = deque(path_bytes(relative_path(path)).split(b"/"))
        done: list[bytes] = []
        links = 0
        while todo:
            part = todo.popleft()
            if part in (b"", b"."):
                continue
            if part == b"..":
                if not done:
                    raise _leads_out(path)
                done.pop()
                continue
            try:
                target = os.readlink(os.path.join(root, *done, part))
            except OSError:
                done.append(part)  # not a link, or missing
                continue
            links += 1
            if links > MOST_LINKS:
                raise UnsafePathError(f"{path!r:.200} goes through too many symbolic links.")
            if target.startswith(b"/"):
                root, target = self._inside(target, path)
                done.clear()
            todo.extendleft(reversed(target.split(b"/")))
        return ResolvedPath(root, done)

    def _inside(self, target: bytes, path: str) -> tuple[bytes, bytes]:
        beyond = [os.fsencode(directory) for directory in self.beyond]
        for name, root in (
            (self._root, self._root),
            (os.path.realpath(self._root), self._root),
            *zip(beyond, beyond, strict=True),
        ):
            if target == name or target.startswith(name + b"/"):
                return root, target[len(name) + 1 :]
        raise _leads_out(path)

    @contextmanager
    def _directory(self, resolved: ResolvedPath, *, make: bool = False) -> Iterator[int]:
        """
        A context with a descriptor of the directory *resolved*.
        """
        if make:
            os.makedirs(resolved.root, exist_ok=True)
        root = os.open(resolved.root, DIRECTORY)
        try:
            with walk_down(root, resolved.parts, make=make, owner=self.owner, mode=0o777 & ~self.umask) as directory:
                yield directory
        finally:
            os.close(root)


def _leads_out(path: str) -> UnsafePathError:
    return UnsafePathError(f"{path!r:.200} leads out of the work directory through a symbolic link.")


def _partial(name: bytes, suffix: str) -> bytes:
    # Names have at most 255 bytes.
    return b".%b.%b.part" % (name[:120], suffix.encode())


def _unlink(name: bytes, directory: int) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory)
