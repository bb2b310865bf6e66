"""
Packs directories into tar archives, for uploads.

It runs in a process of its own (`file_worker`), because it may take long, and follows no symbolic link: a link is
packed as a link.
"""

import hashlib
import os
import stat
import tarfile
from contextlib import closing
from typing import IO, BinaryIO, NamedTuple

from ..errors import FileError, InputError
from ..model.names import path_bytes, path_text
from ..storage.files import is_disk_full
from .archive_paths import file_errors
from .nofollow import Walk

MOST_NAMED = 5
"""Entries that are left out of an archive and named."""
# Bytes to copy at a time.
_BLOCK = 1 << 20
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class PackedArchive(NamedTuple):
    """
    A complete archive, with its *size* in bytes and its checksum *sha256*.

    Pipes, sockets and devices are left out of it: *left_out* has the paths of the first `MOST_NAMED`, *left_out_count*
    is their number.
    """

    size: int
    sha256: str
    left_out: list[str]
    left_out_count: int


def pack(directory: int, into: BinaryIO, *, largest: int | None = None) -> PackedArchive:
    """
    Write everything below the open *directory* to *into*, as an uncompressed archive.

    Entries are sorted by name, and have no owners, because users differ on other machines.  `InputError` when the
    archive would have more than *largest* bytes, or a file becomes shorter meanwhile; `FileError` names an entry that
    cannot be read.
    """
    packer = _Packer(into, largest)
    pending: list[tuple[bytes, ...]] = [()]
    with closing(Walk(directory)) as walk:
        while pending:
            parts = pending.pop()
            with file_errors(parts, "read"):
                current = walk.to(parts)
                names = sorted(map(os.fsencode, os.listdir(current)))
            deeper = [(*parts, name) for name in names if packer.add(current, (*parts, name))]
            pending.extend(reversed(deeper))
    return packer.end()


class _Packer:
    """
    Writes an archive to *into*, and computes its checksum.
    """

    def __init__(self, into: BinaryIO, largest: int | None) -> None:
        self._into = into
        self._largest = largest
        self._size = 0
        self._digest = hashlib.sha256()
        self._left_out: list[str] = []
        self._left_out_count = 0
        self._tar = tarfile.TarFile(
            fileobj=self,  # type: ignore[arg-type]  # tarfile calls only `write` and `tell`
            mode="w",
            format=tarfile.PAX_FORMAT,
            encoding="utf-8",
            errors="surrogateescape",
            copybufsize=_BLOCK,
        )

    def write(self, data: bytes) -> int:
        """
        Called by tarfile.
        """
        try:
            self._into.write(data)
        except OSError as error:
            if is_disk_full(error):
                raise
            raise FileError(f"The archive cannot be written on the slave: {error.strerror}.") from None
        self._digest.update(data)
        self._size += len(data)
        return len(data)

    def tell(self) -> int:
        """
        The number of bytes written.
        """
        return self._size

    def add(self, directory: int, parts: tuple[bytes, ...]) -> bool:
        """
        Add the entry *parts*, which is in the open directory *directory*; return whether it is a directory.
        """
        entry = tarfile.TarInfo(path_text(b"/".join(parts)))
        with file_errors(parts, "read"):
            facts = os.lstat(parts[-1], dir_fd=directory)
            entry.mode, entry.mtime = stat.S_IMODE(facts.st_mode), facts.st_mtime
            if stat.S_ISLNK(facts.st_mode):
                entry.type, entry.linkname = tarfile.SYMTYPE, path_text(os.readlink(parts[-1], dir_fd=directory))
            elif stat.S_ISDIR(facts.st_mode):
                entry.type = tarfile.DIRTYPE
            elif stat.S_ISREG(facts.st_mode):
                contents = os.open(parts[-1], _READ, dir_fd=directory)
            else:
                self._leave_out(entry.name)
                return False
        if entry.isreg():
            self._add_file(entry, contents)
        else:
            self._tar.addfile(entry)
        self._tar.members.clear()  # type: ignore[attr-defined]  # tarfile keeps them in memory
        return entry.isdir()

    def end(self) -> PackedArchive:
        """
        Complete the archive.
        """
        self._tar.close()
        self._into.flush()
        self._check(self._size)
        return PackedArchive(self._size, self._digest.hexdigest(), self._left_out, self._left_out_count)

    def _add_file(self, entry: tarfile.TarInfo, contents: int) -> None:
        with open(contents, "rb", buffering=0) as source:
            entry.size = os.fstat(contents).st_size
            self._check(self._size + entry.size)
            self._tar.addfile(entry, _Contents(source, entry.name))  # type: ignore[arg-type]  # tarfile only reads it

    def _check(self, size: int) -> None:
        if self._largest is not None and size > self._largest:
            raise InputError(
                f"The directory has more than {self._largest} bytes, which is the most that may be uploaded."
            )

    def _leave_out(self, path: str) -> None:
        self._left_out_count += 1
        if len(self._left_out) < MOST_NAMED:
            self._left_out.append(path)


class _Contents:
    """
    A file that is being packed; errors in reading name it.
    """

    def __init__(self, source: IO[bytes], name: str) -> None:
        self._source = source
        self._name = name

    def read(self, size: int) -> bytes:
        """
        Exactly *size* bytes.
        """
        data = b""
        while len(data) < size:
            with file_errors((path_bytes(self._name),), "read"):
                more = self._source.read(size - len(data))
            if not more:
                raise InputError(f"{self._name!r:.200} changed while it was packed.")
            data += more
        return data
