"""
The files of a target's public repository, as its users see them.

::

    DIRECTORY/public ──► snapshots/public-N-…/tree ──► name ──► name ──► a file, or a list
      the one symlink      of this form only           opened one in the other, O_NOFOLLOW

Between two requests the symlink may lead elsewhere: each file is of one snapshot, and those of earlier ones stay in
the later ones for as long as their clients need them.
"""

import errno
import os
import stat
from collections.abc import Sequence
from contextlib import ExitStack
from email.utils import formatdate
from itertools import islice
from urllib.parse import unquote

from attrs import frozen

from ...errors import NotFoundError, StorageError
from ...packages.repositories.snapshots import PUBLIC, TREE, is_name_of_snapshot

ARMORED, KEYRING = "key.asc", "key.gpg"
"""The public keys of a target, at these names beside its repository, which has no such files."""
MOST_SEGMENTS = 20
"""Names in the path of a file."""
LONGEST_NAME = 255
MOST_LISTED = 2_000
"""Names of a directory that a page lists."""
_MOST_READ = 50_000
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# Without O_NONBLOCK, opening a named pipe would wait for its writer.
_ANY = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MISSING = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.ENAMETOOLONG, errno.EINVAL, errno.ENXIO}


@frozen
class PublicFile:
    """
    An open file.  *modified*: seconds since 1970.  *tag*: its ETag; another file of the same name has another one.
    """

    descriptor: int
    length: int
    modified: float
    tag: str

    @property
    def date(self) -> str:
        """
        When it was made, as HTTP writes it.
        """
        return formatdate(int(self.modified), usegmt=True)

    def read(self, offset: int, size: int) -> bytes:
        """
        *size* bytes from *offset*; fewer only at the end.
        """
        try:
            return os.pread(self.descriptor, size, offset)
        except OSError as error:
            raise StorageError(f"A file of a repository cannot be read: {error.strerror}.") from None

    def close(self) -> None:
        os.close(self.descriptor)


@frozen
class PublicName:
    """
    A name in a directory.  *size*: bytes of a file; None: it is a directory.
    """

    name: str
    size: int | None


@frozen
class PublicDirectory:
    """
    What is in a directory: at most `MOST_LISTED` *names*, and whether there are *more*.
    """

    names: Sequence[PublicName]
    more: bool = False


def names_in(path: str) -> tuple[str, ...]:
    """
    The names in *path*, as it stands in an address, percent-encoded; `NotFoundError` for one that no file has.  An
    empty last one stands for a directory.
    """
    try:
        names = tuple(unquote(each, errors="strict") for each in path.split("/"))
    except UnicodeDecodeError:
        raise _nothing() from None
    if len(names) > MOST_SEGMENTS or not all(map(_is_name, names[:-1])) or not (_is_name(names[-1]) or not names[-1]):
        raise _nothing()
    return names


def _is_name(name: str) -> bool:
    return 0 < len(name) <= LONGEST_NAME and not name.startswith(".") and "/" not in name and name.isprintable()


def open_public(directory: str, names: Sequence[str]) -> PublicFile | PublicDirectory:
    """
    What is at *names* in the public tree of the repository in *directory*, which the caller closes if it is a file.

    `NotFoundError` when there is no such file; `StorageError` when it cannot be opened now.
    """
    try:
        descriptor = _opened(directory, [*_link(directory), *(each for each in names if each)])
    except OSError as error:
        if error.errno in _MISSING:
            raise _nothing() from None
        raise StorageError(f"The repository cannot be read: {error.strerror}.  Try again later.") from None
    return _described(descriptor, is_directory=not (names and names[-1]))


def has_public(directory: str, *names: str) -> bool:
    """
    Whether the public tree of the repository in *directory* has the file at *names*.
    """
    try:
        found = open_public(directory, names)
    except (NotFoundError, StorageError):
        return False
    if isinstance(found, PublicFile):
        found.close()
        return True
    return False


def public_snapshot(directory: str) -> str | None:
    """
    The directory of the snapshot that the repository in *directory* has published; None if there is none.
    """
    try:
        return os.path.join(directory, *_link(directory)[:2])
    except (OSError, NotFoundError):
        return None


def _link(directory: str) -> Sequence[str]:
    """
    Where the symlink ``public`` leads; `NotFoundError` if that is no tree of a snapshot.
    """
    link = os.readlink(os.path.join(directory, PUBLIC)).split("/")
    if len(link) != 3 or (link[0], link[2]) != ("snapshots", TREE) or not is_name_of_snapshot(link[1], PUBLIC):
        raise _nothing()
    return link


def _opened(directory: str, names: Sequence[str]) -> int:
    above = os.open(directory, _DIRECTORY)
    for index, name in enumerate(names):
        try:
            is_last = index == len(names) - 1
            below = os.open(name, _ANY if is_last else _DIRECTORY | os.O_NOFOLLOW, dir_fd=above)
        finally:
            os.close(above)
        above = below
    return above


def _described(descriptor: int, *, is_directory: bool) -> PublicFile | PublicDirectory:
    with ExitStack() as opened:
        opened.callback(os.close, descriptor)
        about = os.fstat(descriptor)
        if stat.S_ISREG(about.st_mode) and not is_directory:
            tag = f'"{about.st_ino:x}-{about.st_size:x}-{about.st_mtime_ns:x}"'
            opened.pop_all()
            return PublicFile(descriptor, about.st_size, about.st_mtime, tag)
        if not stat.S_ISDIR(about.st_mode):
            raise _nothing()
        with os.scandir(descriptor) as found:
            entries = sorted(islice(found, _MOST_READ), key=lambda each: each.name)
            shown = [each for each in entries if _is_name(each.name) and not each.is_symlink()]
            return PublicDirectory([_listed(each) for each in shown[:MOST_LISTED]], more=len(shown) > MOST_LISTED)


def _listed(entry: "os.DirEntry[str]") -> PublicName:
    return PublicName(entry.name, None if entry.is_dir() else entry.stat(follow_symlinks=False).st_size)


def _nothing() -> NotFoundError:
    return NotFoundError("There is no such file in this repository.")
