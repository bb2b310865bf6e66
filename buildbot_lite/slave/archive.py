"""
Directories as tar archives: packing what is uploaded, unpacking what is downloaded.

Both block, and are run in a thread.  Neither follows a symbolic link: it is packed as a link, and one that would lead
out of the directory is not unpacked.
"""

import os
import stat
import tarfile
from collections.abc import Callable
from typing import BinaryIO

from ..errors import InputError, UnsafePathError

_BLOCK = 1 << 20
MOST_MEMBERS = 1_000_000


class StoppedError(InputError):
    """
    It was interrupted.
    """


def pack(directory: int, into: BinaryIO, *, largest: int | None, stopped: Callable[[], bool]) -> None:
    """
    Write everything below the open *directory* as an uncompressed archive.

    Sorted by name; owners are left out, because they mean nothing on another machine.  Sockets, pipes and devices are
    left out, too.  `InputError` when it would have more than *largest* bytes, or a file changes in between.
    """
    with tarfile.open(fileobj=into, mode="w", format=tarfile.PAX_FORMAT, bufsize=_BLOCK) as archive:
        for path, directories, files, inside in os.fwalk(".", dir_fd=directory):
            if stopped():
                raise StoppedError
            directories.sort()
            links = [name for name in directories if stat.S_ISLNK(_mode(name, inside))]
            real = [name for name in directories if name not in links]
            for name in sorted(files + links):
                _pack_entry(archive, os.path.normpath(os.path.join(path, name)), name, inside, largest, stopped)
            for name in real:
                _pack_entry(archive, os.path.normpath(os.path.join(path, name)), name, inside, largest, stopped)
    into.flush()
    _check_size(into.tell(), largest)


def unpack(archived: str, into: str, *, stopped: Callable[[], bool]) -> None:
    """
    Unpack the archive *archived*, compressed or not, into the directory *into*.

    Everything is refused, before anything is written, when one member has an absolute path or one with ``..``.
    """
    try:
        with tarfile.open(archived, mode="r:*") as archive:
            for count, member in enumerate(archive):
                if count >= MOST_MEMBERS:
                    raise InputError(f"The archive has more than {MOST_MEMBERS} members.")
                if stopped():
                    raise StoppedError
                _check_member(member)
            for member in archive.getmembers():
                if stopped():
                    raise StoppedError
                archive.extract(member, into, filter="data")
    except tarfile.FilterError as error:
        raise UnsafePathError(f"The archive cannot be unpacked: {error}.") from None
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise InputError(f"That is no tar archive, or only a part of one: {error}.") from None


def _check_member(member: tarfile.TarInfo) -> None:
    if member.name.startswith("/") or ".." in member.name.split("/"):
        raise UnsafePathError(f"The archive has a member {member.name!r:.200}, which leads out of its directory.")


def _mode(name: str, inside: int) -> int:
    return os.lstat(name, dir_fd=inside).st_mode


def _pack_entry(
    archive: tarfile.TarFile, path: str, name: str, inside: int, largest: int | None, stopped: Callable[[], bool]
) -> None:
    facts = os.lstat(name, dir_fd=inside)
    entry = tarfile.TarInfo(path)
    entry.mode = stat.S_IMODE(facts.st_mode)
    entry.mtime = facts.st_mtime
    if stat.S_ISLNK(facts.st_mode):
        entry.type = tarfile.SYMTYPE
        entry.linkname = os.readlink(name, dir_fd=inside)
        archive.addfile(entry)
    elif stat.S_ISDIR(facts.st_mode):
        entry.type = tarfile.DIRTYPE
        archive.addfile(entry)
    elif stat.S_ISREG(facts.st_mode):
        with open(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=inside), "rb") as contents:
            entry.size = os.fstat(contents.fileno()).st_size
            _check_size(archive.offset + entry.size, largest)
            try:
                archive.addfile(entry, _Stoppable(contents, stopped))
            except tarfile.ReadError:
                raise InputError(f"{path!r:.200} changed while it was packed.") from None
            except OSError as error:
                # That is how tarfile says that a file ended too early.
                if error.errno is None:
                    raise InputError(f"{path!r:.200} changed while it was packed.") from None
                raise


def _check_size(size: int, largest: int | None) -> None:
    if largest is not None and size > largest:
        raise InputError(f"The directory has more than {largest} bytes, which is as much as may be uploaded.")


class _Stoppable:
    """
    A file that can be told to stop while it is copied.
    """

    def __init__(self, contents: BinaryIO, stopped: Callable[[], bool]) -> None:
        self._contents = contents
        self._stopped = stopped

    def read(self, size: int = -1, /) -> bytes:
        if self._stopped():
            raise StoppedError
        return self._contents.read(size)
