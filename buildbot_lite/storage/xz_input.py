"""
Reads what xz(1) or lzma(1) compressed, from an untrusted source, with a bound on memory.

``lzma.LZMAFile`` takes as much memory as the file asks for: up to 4 GiB for a file of a hundred bytes.
"""

import lzma
from types import TracebackType
from typing import IO, Self

from ..errors import InputError

MOST_MEMORY = 160 << 20
"""Bytes for unpacking; ``xz -9`` needs 65 MiB."""
_PIECE = 1 << 18


class XzInput:
    """
    The uncompressed bytes of *source*, which may be several streams one after the other; forward only.
    """

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._stream = _stream()
        self._given = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass

    def read(self, size: int) -> bytes:
        """
        At most *size* bytes; none at the end.  `InputError` when that needs more than `MOST_MEMORY`, `EOFError` when
        the file is truncated, `lzma.LZMAError` when it is damaged.
        """
        while size > 0:
            if self._stream.eof and not self._next_stream():
                break
            if self._stream.needs_input and not self._given:
                self._given = self._source.read(_PIECE)
                if not self._given:
                    raise EOFError("it is truncated")
            given, self._given = self._given, b""
            if data := self._unpacked(given, size):
                return data
        return b""

    def _unpacked(self, given: bytes, size: int) -> bytes:
        try:
            return self._stream.decompress(given, max_length=size)
        except lzma.LZMAError as error:
            # The module has one exception for all errors of the library.
            if "Memory usage limit" not in str(error):
                raise
            raise InputError(
                f"Unpacking it needs more than {MOST_MEMORY >> 20} MiB of memory.  Compress it with xz -9 at most."
            ) from None

    def _next_stream(self) -> bool:
        """
        Begin the stream after the one that has ended; False at the end of the file.
        """
        # Zeros between streams are padding (the .xz file format, 2.2).
        rest = self._stream.unused_data.lstrip(b"\0")
        while not rest:
            piece = self._source.read(_PIECE)
            if not piece:
                return False
            rest = piece.lstrip(b"\0")
        self._stream, self._given = _stream(), rest
        return True


def _stream() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_AUTO, memlimit=MOST_MEMORY)
