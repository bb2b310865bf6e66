"""
Paths under a slave's ``work`` directory.

What a master names is first resolved by hand (a symbolic link may point anywhere inside the tree, never out of it), and
the result is then opened one directory at a time with ``O_NOFOLLOW``.  So a link that appears in between, made by a
build that still runs, is refused instead of followed.  The root itself may be a link: that is the admin's choice.
"""

import errno
import os
import shutil
import stat
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

from ..errors import FileError, UnsafePathError
from ..model.names import relative_path
from .tree_removal import remove_tree

MOST_LINKS = 40
MOST_LEVELS = 200
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Place(NamedTuple):
    """
    A path without links: *parts* below one of the roots.
    """

    root: str
    parts: list[str]

    @property
    def path(self) -> str:
        """
        It is absolute.
        """
        return os.path.join(self.root, *self.parts)


class Tree:
    """
    The directory *root* and what is below it, and the directories *beyond*.  *owner*: the user and group to whom what
    is made here belongs, if not to us.
    """

    def __init__(self, root: str, *, beyond: Sequence[str] = (), owner: tuple[int, int] | None = None) -> None:
        self.root = os.path.abspath(root)
        self._beyond = tuple(beyond)
        self._owner = owner

    def make(self, path: str) -> Place:
        """
        Make the directory *path* and those above it, unless they are there.  Where it is, free of links.
        """
        place = self._resolved(path)
        with self._directory(place, make=True):
            return place

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
            if self._owner is not None:
                os.fchown(partial, *self._owner)
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
        parts = relative_path(path).split("/")
        if parts == ["."]:
            raise UnsafePathError("That is the work directory itself.  Name a directory inside it.")
        above = self._resolved("/".join(parts[:-1]) or ".")
        try:
            with self._directory(above) as directory:
                remove_tree(parts[-1].encode("utf-8", "surrogateescape"), directory)
        except FileNotFoundError:
            pass
        except OSError as error:
            if not isinstance(error.filename, bytes):
                raise
            found = os.path.join(*parts[:-1], error.filename.decode("utf-8", "surrogateescape"))
            raise FileError(f"{found!r:.200} cannot be removed: {error.strerror}.") from None

    def merge(self, staged: str, path: str) -> None:
        """
        Move everything in the directory *staged* into the directory *path*, over what has the same names there.

        What was unpacked comes here this way: to unpack it in its place would be to write through whatever links a
        command that still runs puts there meanwhile.
        """
        with self._directory(self._resolved(path), make=True) as into:
            source = os.open(staged, _DIRECTORY)
            try:
                _merge(source, into, self._owner, MOST_LEVELS)
            finally:
                os.close(source)

    def _named(self, path: str) -> tuple[Place, str]:
        root, parts = self._resolved(path)
        if not parts:
            raise UnsafePathError("That is the work directory itself.  Name a file inside it.")
        return Place(root, parts[:-1]), parts[-1]

    def _resolved(self, path: str) -> Place:
        """
        The components of *path* without ``.``, ``..`` and links.
        """
        root = self.root
        todo = deque(relative_path(path).split("/"))
        done: list[str] = []
        links = 0
        while todo:
            part = todo.popleft()
            if part in ("", "."):
                continue
            if part == "..":
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
            if target.startswith("/"):
                root, target = self._inside(target, path)
                done.clear()
            todo.extendleft(reversed(target.split("/")))
        return Place(root, done)

    def _inside(self, target: str, path: str) -> tuple[str, str]:
        for known, root in (
            (self.root, self.root),
            (os.path.realpath(self.root), self.root),
            *zip(self._beyond, self._beyond, strict=True),
        ):
            if target == known or target.startswith(known + "/"):
                return root, target[len(known) + 1 :]
        raise _leads_out(path)

    @contextmanager
    def _directory(self, place: Place, *, make: bool = False) -> Iterator[int]:
        """
        A descriptor of the directory at *place*, open for as long as the context lasts.
        """
        if make:
            os.makedirs(place.root, exist_ok=True)
        current = os.open(place.root, _DIRECTORY)
        try:
            for part in place.parts:
                current = _step(current, part, make=make, owner=self._owner)
            yield current
        finally:
            os.close(current)


def _step(directory: int, part: str, *, make: bool, owner: tuple[int, int] | None) -> int:
    try:
        deeper = os.open(part, _DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
    except FileNotFoundError:
        if not make:
            raise
        with suppress(FileExistsError):  # somebody was faster
            os.mkdir(part, 0o755, dir_fd=directory)
        deeper = os.open(part, _DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
        os.fchmod(deeper, 0o755)  # twistd has a umask of its own
        if owner is not None:
            os.fchown(deeper, *owner)
    # Not in a finally: when opening fails, the caller closes *directory*.
    os.close(directory)
    return deeper


def _merge(source: int, into: int, owner: tuple[int, int] | None, levels: int) -> None:
    if not levels:
        raise UnsafePathError(f"The archive has directories more than {MOST_LEVELS} deep.")
    for name in os.listdir(source):
        if stat.S_ISDIR(os.lstat(name, dir_fd=source).st_mode):
            deeper = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=source)
            try:
                there = _step(os.dup(into), name, make=True, owner=owner)
                try:
                    _merge(deeper, there, owner, levels - 1)
                finally:
                    os.close(there)
            finally:
                os.close(deeper)
        else:
            if owner is not None:
                os.chown(name, *owner, dir_fd=source, follow_symlinks=False)
            _move(name, source, into, owner)


def _move(name: str, source: int, into: int, owner: tuple[int, int] | None) -> None:
    try:
        os.rename(name, name, src_dir_fd=source, dst_dir_fd=into)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # A directory beyond work, on another disk.
        _unlink(name, into)
        status = os.lstat(name, dir_fd=source)
        if stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=into)
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with (
            open(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source), "rb") as old,
            open(os.open(name, flags, 0o600, dir_fd=into), "wb") as new,
        ):
            shutil.copyfileobj(old, new)
            os.fchmod(new.fileno(), stat.S_IMODE(status.st_mode))
            if owner is not None:
                os.fchown(new.fileno(), *owner)


def _leads_out(path: str) -> UnsafePathError:
    return UnsafePathError(f"{path!r:.200} leads out of the work directory through a symbolic link.")


def _partial(name: str, suffix: str) -> str:
    # Names have at most 255 bytes.
    return f".{name.encode(errors='surrogateescape')[:120].decode(errors='replace')}.{suffix}.part"


def _unlink(name: str, directory: int) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory)
