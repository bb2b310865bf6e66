"""
Reads what xz(1) or lzma(1) compressed, from an untrusted source, with a bound on memory.

``lzma.LZMAFile`` takes as much memory as the file asks for: up to 4 GiB for a file of a hundred bytes.
"""

import lzma
import re
from types import TracebackType
from typing import IO, Self

from ..errors import InputError

MOST_MEMORY = 160 << 20
"""Bytes for unpacking; ``xz -9`` needs 65 MiB."""
MOST_STREAMS = 10_000
"""Streams in one file.  Programs that compress in parallel make one for each few MiB."""
_PIECE = 1 << 18
_FIRST_GIVEN = 1 << 10
"""Bytes that a stream is given at first; of those that it is given last, the decompressor copies what it leaves."""
_NOT_ZERO = re.compile(rb"[^\0]")


class XzInput:
    """
    The uncompressed bytes of *source*, which may be several streams one after the other; forward only.
    """

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._stream = _stream()
        self._streams = 1
        self._piece = b""
        self._at = 0
        self._giving = _FIRST_GIVEN

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass

    def read(self, size: int) -> bytes:
        """
        At most *size* bytes; none at the end.  `InputError` when that needs more than `MOST_MEMORY` or there are more
        than `MOST_STREAMS`, `EOFError` when the file is truncated, `lzma.LZMAError` when it is damaged.
        """
        while size > 0:
            if self._stream.eof and not self._next_stream():
                break
            if data := self._unpacked(self._given() if self._stream.needs_input else b"", size):
                return data
        return b""

    def _given(self) -> memoryview:
        if self._at == len(self._piece) and not self._next_piece():
            raise EOFError("it is truncated")
        begin, self._at = self._at, min(self._at + self._giving, len(self._piece))
        self._giving = min(2 * self._giving, _PIECE)
        return memoryview(self._piece)[begin : self._at]

    def _next_piece(self) -> bool:
        self._piece, self._at = self._source.read(_PIECE), 0
        return bool(self._piece)

    def _unpacked(self, given: bytes | memoryview, size: int) -> bytes:
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
        # It is the end of what the stream was given last, and so lies in this piece.
        self._at -= len(self._stream.unused_data)
        # Zeros between streams are padding (the .xz file format, 2.2).
        while (found := _NOT_ZERO.search(self._piece, self._at)) is None:
            if not self._next_piece():
                return False
        if self._streams == MOST_STREAMS:
            raise InputError(f"It has more than {MOST_STREAMS:,} streams of xz.  Compress it as one.")
        self._stream, self._at, self._giving = _stream(), found.start(), _FIRST_GIVEN
        self._streams += 1
        return True


def _stream() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_AUTO, memlimit=MOST_MEMORY)
