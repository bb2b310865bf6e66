"""
Removes a directory tree of any depth, width and permissions that another process made.

It is iterative and uses only directory descriptors, because the system takes no path longer than PATH_MAX (4096 bytes),
and a path may lead elsewhere after it was checked.  At most `MOST_OPEN` directories are open at a time; a directory
below that depth is first moved up into the top directory of the tree::

    top/a/b/…/y/z   --rename-->   top/.removed-1f2e…    (removed with the rest of top)

Directories that lack the permissions for removal get them first, without following a link.
"""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import suppress

MOST_OPEN = 100
"""Directories that are open at the same time."""
MOST_EMPTY_READS = 100
"""How often in succession a directory may be read without an entry, and still not be removable as empty."""
_FLAGS = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(name: bytes, directory: int) -> None:
    """
    Remove the entry *name* of the open *directory*: a file or a link itself, a directory with everything in it.

    No error if it does not exist.  `OSError` has the path that cannot be removed, relative to *directory*.
    """
    if not _unlinked(name, directory):
        levels = [_Level(name, directory)]
        try:
            while levels:
                _advance(levels)
        finally:
            for level in levels:
                level.close()


class _Level:
    """
    A directory that is being emptied: *name* in the open directory *above*.
    """

    def __init__(self, name: bytes, above: int) -> None:
        self.name = name
        self._above = above
        self.descriptor = _opened(name, above)
        self._empty_reads = 0
        self._entries = self._read()

    def next(self) -> bytes | None:
        """
        The name of the next entry, None after the last.
        """
        return next(self._entries, None)

    def remove(self) -> bool:
        """
        Remove the directory itself; False if it has entries again, which `next` returns.
        """
        with suppress(FileNotFoundError):
            try:
                os.rmdir(self.name, dir_fd=self._above)
            except OSError as error:
                # Some file systems leave out entries while others are removed, and a process may create new ones.
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or self._empty_reads >= MOST_EMPTY_READS:
                    raise
                self._entries = self._read()
                return False
        self.close()
        return True

    def close(self) -> None:
        os.close(self.descriptor)

    def _read(self) -> Iterator[bytes]:
        self._empty_reads += 1
        with os.scandir(self.descriptor) as entries:
            for entry in entries:
                self._empty_reads = 0
                yield os.fsencode(entry.name)


def _advance(levels: list[_Level]) -> None:
    """
    Remove, open or move up the next entry of the deepest open directory.
    """
    level = levels[-1]
    name = level.next()
    try:
        if name is None:
            if level.remove():
                levels.pop()
        elif not _unlinked(name, level.descriptor):
            if len(levels) < MOST_OPEN:
                levels.append(_Level(name, level.descriptor))
            else:
                _move_up(name, level.descriptor, levels[0].descriptor)
    except FileNotFoundError:
        pass  # another process removed it
    except OSError as error:
        path = b"/".join([*(each.name for each in levels), *([name] if name is not None else [])])
        raise OSError(error.errno, error.strerror, path) from None


def _unlinked(name: bytes, directory: int) -> bool:
    """
    Remove *name* unless it is a directory; return whether it no longer exists.
    """
    try:
        if stat.S_ISDIR(os.lstat(name, dir_fd=directory).st_mode):
            return False
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        pass
    return True


def _move_up(name: bytes, directory: int, top: int) -> None:
    # Moving a directory changes its "..", so it must be writable.
    os.close(_opened(name, directory))
    os.rename(name, b".removed-" + secrets.token_hex(16).encode(), src_dir_fd=directory, dst_dir_fd=top)


def _opened(name: bytes, directory: int) -> int:
    """
    A descriptor of the directory *name*, with permission to read, search and write.
    """
    try:
        opened = os.open(name, os.O_RDONLY | _FLAGS, dir_fd=directory)
    except PermissionError:
        _unlock(name, directory)
        opened = os.open(name, os.O_RDONLY | _FLAGS, dir_fd=directory)
    try:
        mode = stat.S_IMODE(os.fstat(opened).st_mode)
        if mode & stat.S_IRWXU != stat.S_IRWXU:
            # Some tools (Go's module cache) leave directories without write permission.  For a directory of another
            # user this is not permitted; if its entries cannot be removed, that fails later.
            with suppress(PermissionError):
                os.fchmod(opened, mode | stat.S_IRWXU)
    except BaseException:
        os.close(opened)
        raise
    return opened


def _unlock(name: bytes, directory: int) -> None:
    """
    Give the owner all permissions on the directory *name*.
    """
    if not hasattr(os, "O_PATH"):
        os.chmod(name, stat.S_IRWXU, dir_fd=directory, follow_symlinks=False)
        return
    # Before Linux 6.6, chmod cannot refuse to follow a link (fchmodat2(2)).  The name in /proc/self/fd of a file that
    # was opened with O_PATH works without read permission.
    reference = os.open(name, os.O_PATH | _FLAGS, dir_fd=directory)
    try:
        os.chmod(f"/proc/self/fd/{reference}", stat.S_IRWXU)
    finally:
        os.close(reference)
