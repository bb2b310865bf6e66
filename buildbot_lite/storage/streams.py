"""
The master's copy of a stream: an append-only file whose length is its only state.

::

    the slave's spool   ████████████████████████████
    the master's file   ██████████████████            always a prefix of the spool (invariant I2)
    append(offset 12,        ▒▒▒▒▒▒▒▒▒▒▒▒▒▒)          the new part is written; returns the new length
    append(offset 22,                       ▒▒▒▒▒)    leaves a gap: nothing is written; returns the length

So a chunk may arrive twice, late, or after a lost one, and an answer may be lost: the next answer corrects the sender.
Each byte is passed to write(2) before it is acknowledged, so it survives the end of this process.  The checksum is
updated as bytes arrive; only after a restart is it computed from the file.

Sealing compares the length and checksum of the file with the slave's, and syncs the file.  For a large file that may
take long; `seal_stream` then uses a thread, and `early_sync` leaves little to do.
"""

import hashlib
import os
import stat
import threading
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

# Bytes; larger files are sealed in a thread.
LARGEST_AT_ONCE = 1 << 20
_PIECE = 1 << 20


class StreamFile:
    """
    The stream file *path*, which is created with its missing parent directories at its first byte.

    *what*: its kind and name for the sentence of a `FileError`, which every method may raise.

    Only for streams that are not sealed: a sealed one may be compressed and is read with
    `compressed_streams.open_stream`.
    """

    def __init__(self, path: str, *, what: str = "") -> None:
        self._path = os.path.abspath(path)
        self._what = what or f"file {self._path}"
        self._descriptor: int | None = None
        self._length = self._length_found()
        # The checksum of the first _summed bytes, which after a restart are fewer than _length until sealing.
        self._sum = hashlib.sha256()
        self._summed = 0
        self._sealed = False
        # The length when the last early sync began, and its error: fdatasync(2) reports a lost page only once.
        self._sync_begun = 0
        self._sync_error: OSError | None = None
        # The kernel tells of an error once: if an early sync gets it, sealing must wait until it is noted.
        self._early = threading.Lock()
        # Directories that got a new entry, for syncing.
        self._new: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """
        The absolute path.
        """
        return self._path

    @property
    def length(self) -> int:
        """
        The length in bytes.
        """
        return self._length

    @property
    def is_sealed(self) -> bool:
        """
        Whether this object has sealed the file.
        """
        return self._sealed

    @property
    def unsynced(self) -> int:
        """
        The number of bytes at the end that no early sync brings to the disk.
        """
        return self._length - self._sync_begun

    def append(self, offset: int, data: bytes) -> int:
        """
        Write the new part of *data*, whose first byte is byte *offset* of the stream; returns the resulting length.

        `DiskFullError`: a part may be written, and all acknowledged bytes are stored; append the same data again later.
        `FileError`: the file cannot be written.
        """
        duplicate_length = self._length - offset
        if duplicate_length < 0 or duplicate_length >= len(data) or self._sealed:
            return self._length
        new = memoryview(data)[duplicate_length:]
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
        *size* bytes from *offset*; fewer only at the end.
        """
        if offset >= self._length:
            return b""
        try:
            return os.pread(self._open(), min(size, self._length - offset), offset)
        except OSError as error:
            raise file_error(error, self._what, cannot="be read") from error

    def seal(self, length: int, sha256: str) -> bool:
        """
        Seal the file if it has exactly *length* bytes with the checksum *sha256*; returns whether it has.  A sealed
        file is on the disk and accepts no more bytes.

        May be called in another thread if no other method is called meanwhile.
        """
        if length != self._length:
            return False
        try:
            if self._sum_of_all() != sha256:
                return False
            if self._length:
                os.fdatasync(self._open())
                with self._early:
                    failed = self._sync_error
                if failed is not None:
                    # Also of a full disk: bytes that were acknowledged may be lost, so waiting does not help.
                    raise FileError(f"The {self._what} cannot be stored on the master: {failed.strerror}.")
                for directory in (os.path.dirname(self._path), *self._new):
                    sync_directory(directory)
        except OSError as error:
            raise file_error(error, self._what) from error
        self._sealed = True
        self.close()
        return True

    def begin_sync(self) -> Callable[[], None]:
        """
        Return work for a thread, which brings to the disk what was written so far.  If it fails, sealing fails.
        """
        self._sync_begun = self._length

        def work() -> None:
            with self._early:
                sync()

        def sync() -> None:
            try:
                # Not the descriptor of this object, which may be closed meanwhile.
                descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except OSError:
                return
            try:
                os.fdatasync(descriptor)
            except OSError as error:
                self._sync_error = error
            finally:
                os.close(descriptor)

        return work

    def close(self) -> None:
        """
        Close the file descriptor.  Other methods open it again.
        """
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            # Errors of close(2) concern bytes that are not sealed; the checksum detects lost ones.
            with suppress(OSError):
                os.close(descriptor)

    def discard(self) -> None:
        """
        Remove the file, because another generation of the stream replaces it.
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
                # Another program has truncated the file.
                return ""
            self._sum.update(piece)
            self._summed += len(piece)
        return self._sum.hexdigest()

    def _length_found(self) -> int:
        try:
            status = os.lstat(self._path)
        except FileNotFoundError:
            return 0
        except (OSError, ValueError) as error:
            raise file_error(error, self._what) from error
        if stat.S_ISDIR(status.st_mode):
            raise NameRefusedError(f"The {self._what} cannot be stored on the master: a directory has this name.")
        if stat.S_ISLNK(status.st_mode):
            raise FileError(f"The {self._what} cannot be stored on the master: a link has its name.  Remove it.")
        return status.st_size


def seal_stream(
    file: StreamFile, length: int, sha256: str, in_thread: Callable[[Callable[[], bool]], Deferred[bool]]
) -> Deferred[bool]:
    """
    Call `StreamFile.seal`: at once when *file* is small, otherwise by ``in_thread(work)``, because syncing a large file
    may block for seconds.
    """

    def work() -> bool:
        return file.seal(length, sha256)

    return maybeDeferred(work) if file.length <= LARGEST_AT_ONCE else in_thread(work)
