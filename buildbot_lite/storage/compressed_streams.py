"""
Compressed streams that are readable from any offset.

::

    frame 0 │ frame 1 │ … │ frame n │ table: the size of each, before and after │ footer
    256 KiB   256 KiB       the rest

This is zstd's "seekable format" (zstd, contrib/seekable_format): each frame is independent, and the table is a
skippable frame; so ``zstd -d`` restores the log.  Reading a range of bytes takes one seek and one or a few frames,
wherever the range is.

`compress` verifies the compressed file before it removes the plain one.  A crash in between leaves both; then the plain
file counts, and the next `compress` writes the compressed one again.
"""

import os
import struct
import sys
from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate
from typing import Protocol

from attrs import frozen

from ..errors import FileError
from .files import (
    PRIVATE,
    remove,
    sync_directory,
    write_all,
)

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SUFFIX = ".zst"
FRAME = 256 << 10
LEVEL = 3

# Bytes; a smaller file occupies one block of the disk either way.
SMALLEST_COMPRESSED = 4096

_SKIPPED_MAGIC = 0x184D2A5E
_SEEKABLE_MAGIC = 0x8F92EAB1
_SKIPPED = struct.Struct("<II")
_ENTRY = struct.Struct("<II")
_FOOTER = struct.Struct("<IBI")


class StreamReader(Protocol):
    """
    A stream file open for reading, compressed or plain.
    """

    @property
    def length(self) -> int:
        """
        The current length in bytes.
        """

    def read(self, offset: int, size: int) -> bytes:
        """
        *size* bytes from *offset*; fewer only at the end.
        """

    def close(self) -> None:
        """
        Close the file.
        """


def open_stream(path: str) -> StreamReader:
    """
    Open the stream file *path*, compressed or plain, finished or growing.  A missing file reads as empty.
    `FileError` when it cannot be read.
    """
    while True:
        try:
            return _PlainStream(path, os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        except FileNotFoundError:
            pass
        except OSError as error:
            raise FileError(f"{path} cannot be read: {error.strerror}.") from error
        try:
            return _CompressedStream(path + SUFFIX)
        except FileNotFoundError:
            # `compress` removes one form only when the other exists: if both are missing, nothing was written.
            if not os.path.exists(path):
                return _EmptyStream()
        except OSError as error:
            raise FileError(f"{path}{SUFFIX} cannot be read: {error.strerror}.") from error


class _NotWantedError(Exception):
    """
    A compression is given up.
    """


def compress(path: str, *, frame: int = FRAME, is_wanted: Callable[[], bool] = lambda: True) -> bool:
    """
    Replace the finished stream file *path* by its compressed form.  False: the file is missing or too small, or the
    compression *is_wanted* no longer, which is asked before each frame.

    Blocks for as long as it takes: call it in a thread.  *frame*: plain bytes in each frame.
    """
    beside = path + SUFFIX + ".new"
    try:
        source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        if os.fstat(source).st_size < SMALLEST_COMPRESSED:
            return False
        remove(beside)
        with open(beside, "xb", buffering=0, opener=_private) as target:
            write_all(target.fileno(), _table(_write_frames(source, target.fileno(), frame, path, is_wanted)))
            os.fsync(target.fileno())
        os.rename(beside, path + SUFFIX)
        sync_directory(os.path.dirname(path))
    except _NotWantedError:
        remove(beside)
        return False
    except BaseException:
        remove(beside)
        raise
    finally:
        os.close(source)
    os.unlink(path)
    return True


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, PRIVATE)


@frozen
class _FrameSizes:
    """
    Sizes of one frame in bytes: *written*, compressed; *plain*, uncompressed.
    """

    written: int
    plain: int


def _write_frames(source: int, target: int, frame: int, path: str, is_wanted: Callable[[], bool]) -> list[_FrameSizes]:
    compressor = zstd.ZstdCompressor(level=LEVEL)
    entries = []
    offset = 0
    while piece := os.pread(source, frame, offset):
        if not is_wanted():
            raise _NotWantedError
        written = compressor.compress(piece, mode=compressor.FLUSH_FRAME)
        if zstd.decompress(written) != piece:
            raise FileError(f"{path} could not be compressed: it reads back differently.  Test this machine's memory.")
        write_all(target, written)
        entries.append(_FrameSizes(len(written), len(piece)))
        offset += len(piece)
    return entries


def _table(entries: list[_FrameSizes]) -> bytes:
    body = b"".join(_ENTRY.pack(entry.written, entry.plain) for entry in entries)
    body += _FOOTER.pack(len(entries), 0, _SEEKABLE_MAGIC)
    return _SKIPPED.pack(_SKIPPED_MAGIC, len(body)) + body


def _read_at(path: str, descriptor: int, size: int, offset: int) -> bytes:
    try:
        return os.pread(descriptor, size, offset)
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}.") from error


class _EmptyStream:
    length = 0

    def read(self, offset: int, size: int) -> bytes:
        return b""

    def close(self) -> None:
        pass


class _PlainStream:
    def __init__(self, path: str, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    @property
    def length(self) -> int:
        return os.fstat(self._descriptor).st_size

    def read(self, offset: int, size: int) -> bytes:
        return _read_at(self._path, self._descriptor, size, offset)

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class _CompressedStream:
    """
    The compressed form.  It caches the last frame, because sequential reads continue in it.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            entries = self._read_table()
        except BaseException:
            self.close()
            raise
        self._written = [0, *accumulate(entry.written for entry in entries)]
        self._plain = [0, *accumulate(entry.plain for entry in entries)]
        self._cached: tuple[int, bytes] = (-1, b"")

    @property
    def length(self) -> int:
        return self._plain[-1]

    def read(self, offset: int, size: int) -> bytes:
        pieces = []
        end = min(offset + size, self.length)
        while offset < end:
            index = bisect_right(self._plain, offset) - 1
            start = offset - self._plain[index]
            piece = self._frame(index)[start : start + end - offset]
            pieces.append(piece)
            offset += len(piece)
        return b"".join(pieces)

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _frame(self, index: int) -> bytes:
        if self._cached[0] != index:
            start, end = self._written[index], self._written[index + 1]
            written = _read_at(self._path, self._descriptor, end - start, start)
            plain = self._plain[index + 1] - self._plain[index]
            try:
                # One byte more, to detect a frame that is larger than the table says.
                frame = zstd.ZstdDecompressor().decompress(written, max_length=plain + 1)
            except zstd.ZstdError as error:
                raise self._damaged() from error
            if len(frame) != plain:
                raise self._damaged()
            self._cached = (index, frame)
        return self._cached[1]

    def _read_table(self) -> list[_FrameSizes]:
        size = os.fstat(self._descriptor).st_size
        footer = os.pread(self._descriptor, _FOOTER.size, max(0, size - _FOOTER.size))
        if len(footer) < _FOOTER.size:
            raise self._damaged()
        count, _, magic = _FOOTER.unpack(footer)
        length = count * _ENTRY.size
        start = size - _FOOTER.size - length
        if magic != _SEEKABLE_MAGIC or start < _SKIPPED.size:
            raise self._damaged()
        entries = [_FrameSizes(*sizes) for sizes in _ENTRY.iter_unpack(os.pread(self._descriptor, length, start))]
        if sum(entry.written for entry in entries) != start - _SKIPPED.size:
            raise self._damaged()
        return entries

    def _damaged(self) -> FileError:
        return FileError(f"{self._path} is damaged.  Restore it from a backup.")
