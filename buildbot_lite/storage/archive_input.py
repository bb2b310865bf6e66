"""
Reads a tar archive from an untrusted source: compressed or not, forward only, within bounds.

::

    file ──► gzip, bzip2 or xz, by its first bytes ──► ForwardReader ──► tarfile ──► members, one at a time
                                                        (bounds)

An archive of 1 KB can unpack to a header of 1 GiB, to a million members or to a terabyte of zeros.  `ForwardReader`
counts every byte that tarfile reads, and gives at most `LARGEST_HEADER` at once: only a header is ever read in one
piece.  Members are not kept in memory.

An archive ends with a block of zeros.  Without it, the archive was truncated, perhaps between two members, which
tarfile and other programs do not notice.
"""

import bz2
import gzip
import io
import lzma
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any, NamedTuple, Self

from ..errors import InputError
from .xz_input import XzInput

LARGEST_HEADER = 1 << 20
"""Bytes of one header, with names and attributes; more than any archive of sources needs."""
MOST_DIGITS = 255
"""Consecutive digits in a pax header: the longest file name."""
_BLOCK = 1 << 20
_TOO_MANY_DIGITS = re.compile(rb"[0-9]{%d}" % (MOST_DIGITS + 1))
_OPENERS: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": lambda source: gzip.GzipFile(fileobj=source),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": XzInput,
    b"\x5d\x00\x00": XzInput,
}


class Bounds(NamedTuple):
    """
    Limits of an archive: unpacked *size* in bytes, headers included; number of *members*.
    """

    size: int
    members: int


class ForwardReader(io.RawIOBase):
    """
    The uncompressed bytes of an archive, as a file that can only be read forwards.
    """

    def __init__(self, source: IO[bytes], bounds: Bounds) -> None:
        super().__init__()
        self._source = source
        self._bounds = bounds
        self._position = 0
        self._peeked = b""

    def read(self, size: int = -1, /) -> bytes:
        """
        *size* bytes, or fewer at the end.  `InputError` beyond the bounds.
        """
        if not 0 <= size <= LARGEST_HEADER:
            raise InputError(f"The archive has a header of more than {LARGEST_HEADER} bytes.")
        data, self._peeked = self._peeked or self._source.read(size), b""
        self._position += len(data)
        if self._position > self._bounds.size:
            raise unpacks_to_more(self._bounds)
        return data

    def peek(self, size: int) -> bytes:
        """
        The result of the next `read`, which must be for *size* bytes, too.
        """
        data = self.read(size)
        self._position -= len(data)
        self._peeked = data
        return data

    def seek(self, position: int, whence: int = io.SEEK_SET, /) -> int:
        """
        Skip forwards to *position*.
        """
        if whence != io.SEEK_SET or position < self._position:
            raise tarfile.ReadError("reading it would need to seek backwards")
        while self._position < position and self.read(min(position - self._position, _BLOCK)):
            pass
        return self._position

    def tell(self) -> int:
        """
        The number of bytes read or skipped.
        """
        return self._position

    def seekable(self) -> bool:
        """
        Forwards.
        """
        return True

    def readable(self) -> bool:
        """
        Always.
        """
        return True


_InvalidHeaderError: type[Exception] = tarfile.InvalidHeaderError  # type: ignore[attr-defined]  # not in typeshed


class _Member(tarfile.TarInfo):
    """
    A member whose damaged header is an error; tarfile would take it for the end of the archive.
    """

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        entry: Self = cls._checked(super().frombuf, buf, encoding, errors)
        return entry

    @classmethod
    def _frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str, **more: bool) -> Self:
        # Current versions of Python call only this method.
        read = super()._frombuf  # type: ignore[misc]  # not in typeshed
        entry: Self = cls._checked(read, buf, encoding, errors, **more)
        return entry

    @classmethod
    def fromtarfile(cls, tarfile: Any) -> Self:
        try:
            return super().fromtarfile(tarfile)
        except _InvalidHeaderError as error:
            # For example a negative size in a pax header.
            raise no_archive(error) from None

    def _proc_pax(self, tarfile: Any) -> Any:
        # Without the fix of CVE-2024-6232, Python takes quadratic time for consecutive digits: hours for 1 MiB.
        if _TOO_MANY_DIGITS.search(tarfile.fileobj.peek(self._block(self.size))):  # type: ignore[attr-defined]
            raise no_archive(f"a header has more than {MOST_DIGITS} digits in a row")
        return super()._proc_pax(tarfile)  # type: ignore[misc]  # not in typeshed

    @staticmethod
    def _checked(read: Callable[..., Any], buf: bytes | bytearray, *words: str, **more: bool) -> Any:
        if len(buf) < tarfile.BLOCKSIZE:
            raise no_archive("it ends without the end-of-archive block")
        try:
            return read(buf, *words, **more)
        except tarfile.HeaderError as error:
            if any(buf):
                raise no_archive(error) from None
            raise  # the block of zeros at the end


class Archive:
    """
    An archive that is being read; see `open_archive`.
    """

    def __init__(self, source: ForwardReader, bounds: Bounds) -> None:
        self._source = source
        self._bounds = bounds
        self._tar = tarfile.TarFile(
            fileobj=source, mode="r", tarinfo=_Member, encoding="utf-8", errors="surrogateescape"
        )

    def members(self) -> Iterator[tarfile.TarInfo]:
        """
        The members, in order; read the `contents` of one before taking the next.
        """
        count = 0
        while (member := self._tar.next()) is not None:
            self._tar.members.clear()  # type: ignore[attr-defined]  # it would keep all of them
            count += 1
            if count > self._bounds.members:
                raise InputError(f"The archive has more than {self._bounds.members} members (maxMembers).")
            if member.size < 0:
                # tarfile would seek backwards.
                raise no_archive(f"{member.name!r:.200} has a negative size")
            yield member
        # Read to the end, where a compressed file has its checksum.
        while self._source.read(_BLOCK):
            pass

    def contents(self, member: tarfile.TarInfo) -> IO[bytes]:
        """
        The contents of a *member* that is a file.
        """
        file = self._tar.extractfile(member)
        if file is None:
            raise InputError(f"The archive has a member {member.name!r:.200} without contents.")
        return file


@contextmanager
def open_archive(source: IO[bytes], bounds: Bounds) -> Iterator[Archive]:
    """
    The archive in the open file *source*; any defect of it becomes an `InputError`.
    """
    try:
        beginning = source.read(6)
        source.seek(0)
        opener = next((each for magic, each in _OPENERS.items() if beginning.startswith(magic)), None)
        with source if opener is None else opener(source) as plain:
            yield Archive(ForwardReader(plain, bounds), bounds)
    except (tarfile.TarError, EOFError, ValueError, OverflowError, RecursionError, zlib.error, lzma.LZMAError) as error:
        raise no_archive(error) from None
    except OSError as error:
        if error.errno is not None:
            raise
        # gzip and bz2 report damaged data with an OSError without a number.
        raise no_archive(error) from None


def no_archive(reason: object) -> InputError:
    """
    The error for a file that is damaged, truncated or not an archive.
    """
    return InputError(f"That is no tar archive, or only a part of one: {reason}.")


def unpacks_to_more(bounds: Bounds) -> InputError:
    """
    The error for an archive that is too large.
    """
    return InputError(f"The archive unpacks to more than {bounds.size} bytes, the limit (maxsize).")
