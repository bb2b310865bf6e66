"""
Paths under a slave's ``work`` directory.

What a master names is first resolved by hand (a symbolic link may point anywhere inside the tree, never out of it), and
the result is then opened one directory at a time with ``O_NOFOLLOW``.  So a link that appears in between, made by a
build that still runs, is refused instead of followed.  The root itself may be a link: that is the admin's choice.

Names are bytes here: what travels is UTF-8, and this process may have a locale that is not.
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
        The absolute path, as this process spells paths.
        """
        return os.fsdecode(os.path.join(self.root, *self.parts))


class SafePaths:
    """
    The directory *root* and what is below it, and the directories *beyond*.  *owner*: the user and group to whom what
    is made here belongs, if not to us.  *umask*: what directories that are made here do not get of 0o777.
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
        Make the directory *path* and those above it, unless they are there.  Where it is, free of links.
        """
        resolved = self._resolved(path)
        with self._directory(resolved, make=True):
            return resolved

    def absolute(self, path: str) -> str:
        """
        The absolute path of *path*, free of links; it need not exist.
        """
        return self._resolved(path).path

    def open_to_read(self, path: str) -> int:
        """
        A descriptor of the regular file *path*.  `UnsafePathError` when it is none; `OSError` as usual.
        """
        above, last = self._named(path)
        with self._directory(above) as directory:
            # O_NONBLOCK, or a FIFO would stop us before we can refuse it.
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
        A new file beside *path*, under a name made of both, for bytes that are not complete yet.  Makes its directory.
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
        The partial file becomes *path*, at once and for good.
        """
        above, last = self._named(path)
        with self._directory(above) as directory:
            os.rename(_partial(last, suffix), last, src_dir_fd=directory, dst_dir_fd=directory)
            os.fsync(directory)

    def discard(self, path: str, suffix: str) -> None:
        """
        Remove the partial file, if there is one.
        """
        try:
            above, last = self._named(path)
            with self._directory(above) as directory:
                _unlink(_partial(last, suffix), directory)
        except (OSError, UnsafePathError):
            pass  # its directory is gone or unusable, and the file with it

    def remove(self, path: str) -> None:
        """
        Remove *path* and everything in it, also out of directories without write permission; nothing there is fine.

        A symbolic link is removed, not what it points to.  `FileError` names what cannot be removed.
        """
        try:
            with self._parent(path) as (directory, name):
                remove_tree(name, directory)
        except FileNotFoundError:
            pass
        except OSError as error:
            if not isinstance(error.filename, bytes):
                raise
            found = os.path.join(os.path.dirname(path), path_text(error.filename))
            raise FileError(f"{found!r:.200} cannot be removed: {error.strerror}.") from None

    def remove_quickly(self, path: str) -> bool:
        """
        Remove *path* if that is one system call: a file, a link, an empty directory; True if there is nothing now.
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
            return False  # why, `remove` finds out
        return True

    def merge(self, staged: int, path: str) -> None:
        """
        Move everything in the open directory *staged* into the directory *path*, over what has the same names there.

        What was unpacked comes here this way: to unpack it in its place would be to write through whatever links a
        command that still runs puts there meanwhile.  `FileError` names what is in the way.
        """
        with self._directory(self._resolved(path), make=True) as into:
            merge_trees(staged, into, owner=self.owner)

    @contextmanager
    def _parent(self, path: str) -> Iterator[tuple[int, bytes]]:
        """
        The open directory that *path* is in, and its name there; the last component is not followed if it is a link.
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
                done.append(part)  # no link, or not there yet
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
        for known, root in (
            (self._root, self._root),
            (os.path.realpath(self._root), self._root),
            *zip(beyond, beyond, strict=True),
        ):
            if target == known or target.startswith(known + b"/"):
                return root, target[len(known) + 1 :]
        raise _leads_out(path)

    @contextmanager
    def _directory(self, resolved: ResolvedPath, *, make: bool = False) -> Iterator[int]:
        """
        A descriptor of the directory at *resolved*, open for as long as the context lasts.
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
