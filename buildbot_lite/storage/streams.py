"""
The master's copy of a stream: an append-only file, whose length is all that anybody has to remember.

::

    the slave's spool   ████████████████████████████
    our file            ██████████████████            always a prefix of it (invariant I2)
    append(offset 12,        ▒▒▒▒▒▒▒▒▒▒▒▒▒▒)          trimmed to what is new, written, answered with the new length
    append(offset 22,                       ▒▒▒▒▒)    leaves a gap: nothing is written, answered with our length

So a chunk may come twice, late, or after one that was lost, and an answer may get lost: the next one puts everything
right.  Each byte is handed to write(2) before it is acknowledged, so that it outlives this process; the checksum is
kept up as bytes arrive, and only after a restart made anew from the file.

Sealing compares the length and the checksum of what is in the file with what the slave had, and brings it to the disk.
It may take long for a large file: see `seal_stream`.
"""

import hashlib
import os
import stat
from collections.abc import Callable
from contextlib import suppress

from twisted.internet.defer import Deferred, maybeDeferred

from ..errors import FileError, NameRefusedError
from .files import (
    PRIVATE,
    file_error,
    make_directories,
    sync_directory,
)

# What is sealed at once; more is better sealed by a thread.
LARGEST_AT_ONCE = 1 << 20
_PIECE = 1 << 20


class StreamFile:
    """
    The file *path*, which is made at its first byte, with the directories above it.

    *what*: its kind and name, for the sentence of a `FileError`, which every method may raise.

    For streams that are not sealed yet: once one is, it may have been compressed; read it with
    `compressed_streams.open_stream`.
    """

    def __init__(self, path: str, *, what: str = "") -> None:
        self._path = os.path.abspath(path)
        self._what = what or f"file {self._path}"
        self._descriptor: int | None = None
        self._length = self._length_found()
        # The sum of the first bytes; after a restart it lags behind until it is needed.
        self._sum = hashlib.sha256()
        self._summed = 0
        self._sealed = False
        # Directories in which we made directories.
        self._new: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """
        Where it is.
        """
        return self._path

    @property
    def length(self) -> int:
        """
        How many bytes there are.
        """
        return self._length

    @property
    def is_sealed(self) -> bool:
        """
        Whether it is complete, since this object was made.
        """
        return self._sealed

    def append(self, offset: int, data: bytes) -> int:
        """
        Write what is new of *data*, whose first byte is byte *offset* of the stream; answers the length after that.

        `DiskFullError`: some of it was perhaps written, all that was acknowledged is there, and the same again is the
        way to go on.  `FileError`: the file cannot be written.
        """
        known = self._length - offset
        if known < 0 or known >= len(data) or self._sealed:
            return self._length
        new = memoryview(data)[known:]
        try:
            while new:
                written = os.pwrite(self._open(), new, self._length)
                if self._summed == self._length:
                    self._sum.update(new[:written])
                    self._summed += written
                self._length += written
                new = new[written:]
        except (OSError, ValueError) as error:
            raise file_error(error, self._what) from error
        return self._length

    def read(self, offset: int, size: int) -> bytes:
        """
        At most *size* bytes from *offset* on; fewer only at the end.
        """
        if offset >= self._length:
            return b""
        try:
            return os.pread(self._open(), min(size, self._length - offset), offset)
        except OSError as error:
            raise file_error(error, self._what, cannot="be read") from error

    def seal(self, length: int, sha256: str) -> bool:
        """
        Whether these are all the bytes of a stream of *length* bytes with that checksum.  If so they are on the disk
        now, and no byte is added any more.

        May be called in another thread, when nothing else is done with it meanwhile.
        """
        if length != self._length:
            return False
        try:
            if self._sum_of_all() != sha256:
                return False
            if self._length:
                os.fdatasync(self._open())
                for directory in (os.path.dirname(self._path), *self._new):
                    sync_directory(directory)
        except OSError as error:
            raise file_error(error, self._what) from error
        self._sealed = True
        self.close()
        return True

    def close(self) -> None:
        """
        Let go of the file descriptor.  It is opened again when it is needed.
        """
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            # What close(2) reports is of bytes that were not sealed yet: the checksum will tell.
            with suppress(OSError):
                os.close(descriptor)

    def discard(self) -> None:
        """
        Remove the file: another generation of the stream takes its place.
        """
        self.close()
        try:
            os.unlink(self._path)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise file_error(error, self._what) from error

    def _open(self) -> int:
        if self._descriptor is None:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            try:
                self._descriptor = os.open(self._path, flags, PRIVATE)
            except FileNotFoundError:
                self._new = make_directories(os.path.dirname(self._path))
                self._descriptor = os.open(self._path, flags, PRIVATE)
        return self._descriptor

    def _sum_of_all(self) -> str:
        while self._summed < self._length:
            piece = os.pread(self._open(), min(_PIECE, self._length - self._summed), self._summed)
            if not piece:
                # Somebody made the file shorter behind our back.
                return ""
            self._sum.update(piece)
            self._summed += len(piece)
        return self._sum.hexdigest()

    def _length_found(self) -> int:
        try:
            found = os.lstat(self._path)
        except FileNotFoundError:
            return 0
        except (OSError, ValueError) as error:
            raise file_error(error, self._what) from error
        if stat.S_ISDIR(found.st_mode):
            raise NameRefusedError(f"The {self._what} cannot be stored on the master: a directory has this name.")
        if stat.S_ISLNK(found.st_mode):
            raise FileError(f"The {self._what} cannot be stored on the master: a link has its name.  Remove it.")
        return found.st_size


def seal_stream(
    file: StreamFile, length: int, sha256: str, in_thread: Callable[[Callable[[], bool]], Deferred[bool]]
) -> Deferred[bool]:
    """
    `StreamFile.seal`, at once when *file* is small, otherwise ``in_thread(work)``: a large file may be seconds away
    from the disk, and everybody would wait with it.
    """

    def work() -> bool:
        return file.seal(length, sha256)

    return maybeDeferred(work) if file.length <= LARGEST_AT_ONCE else in_thread(work)
