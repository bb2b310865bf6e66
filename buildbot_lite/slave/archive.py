"""
Directories as tar archives: packing what is uploaded, unpacking what is downloaded.

Both block, and are run in a thread.  Neither follows a symbolic link: it is packed as a link, and one that would lead
out of the directory is not unpacked.

What an archive may do is checked here, and by Python's own filter as well, where there is one: the first versions of
3.11, Debian's among them, have none.
"""

import copy
import os
import stat
import tarfile
from collections.abc import Callable
from typing import BinaryIO

from ..errors import InputError, UnsafePathError

_BLOCK = 1 << 20
MOST_MEMBERS = 1_000_000
LONGEST_PATH = 4000
PYTHON_FILTERS = hasattr(tarfile, "data_filter")


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
                _extract(archive, _harmless(member, into), into)
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise InputError(f"That is no tar archive, or only a part of one: {error}.") from None


def _check_member(member: tarfile.TarInfo) -> None:
    if member.name.startswith("/") or ".." in member.name.split("/"):
        raise UnsafePathError(f"The archive has a member {member.name!r:.200}, which leads out of its directory.")


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, into: str) -> None:
    if not PYTHON_FILTERS:
        archive.extract(member, into)
        return
    try:
        archive.extract(member, into, filter="data")
    except tarfile.FilterError as error:
        raise UnsafePathError(f"The archive cannot be unpacked: {error}.") from None


def _harmless(member: tarfile.TarInfo, into: str) -> tarfile.TarInfo:
    """
    *member*, ours and writable by us alone, if it and what it links to are below *into*, links there considered.
    """
    root = os.path.realpath(into)
    places = [member.name]
    if member.issym():
        places.append(os.path.join(os.path.dirname(member.name.rstrip("/")), member.linkname))
    elif member.islnk():
        places.append(member.linkname)
    elif not (member.isreg() or member.isdir()):
        raise UnsafePathError(f"The archive has a member {member.name!r:.200}, which is a device or a pipe.")
    for place in places:
        real = os.path.realpath(os.path.join(root, place))
        # Links through links can make a path that is too long to be looked at; then nobody knows where it leads.
        if os.path.isabs(place) or os.path.commonpath([root, real]) != root or len(os.fsencode(real)) > LONGEST_PATH:
            raise UnsafePathError(f"The archive has a member {member.name!r:.200}, which leads out of its directory.")
    harmless = copy.copy(member)
    # As Python's filter has it: nobody else may write, we may, and a file that its owner cannot execute nobody can.
    executable = member.isdir() or member.mode & stat.S_IXUSR
    harmless.mode = (member.mode | stat.S_IRUSR | stat.S_IWUSR) & (0o755 if executable else 0o644)
    if member.isdir():
        harmless.mode = 0o755
    harmless.uid, harmless.gid, harmless.uname, harmless.gname = os.geteuid(), os.getegid(), "", ""
    return harmless


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
