"""
The control fields of a binary package of Debian, a .deb (deb(5)).

::

    ar(5) archive ──► debian-binary, control.tar{,.gz,.xz,.zst}, data.tar*
                                        │ unpacked to a temporary file, within bounds
                                        ▼
                                    ./control ──► fields

The file comes from a slave.  The data part is not unpacked; the sizes of the members show that it is whole.
"""

import lzma
import re
import sys
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from typing import IO, NamedTuple, Protocol

from ...errors import InputError
from ...storage.archive_input import Bounds, open_archive
from .control_text import read_paragraph

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CONTROL = Bounds(size=64 << 20, members=10_000)
"""Bytes of the unpacked control part: enough for the checksums of 500,000 files."""
LARGEST_CONTROL = 1 << 20
"""Bytes of the file ``control`` in it."""
MOST_MEMORY = 160 << 20
"""Bytes for unpacking; xz -9 needs 65 MiB, and zstd has windows of at most 128 MiB, its default limit."""
MOST_MEMBERS = 20

_MAGIC = b"!<arch>\n"
# Columns of the header: name 0 to 15, size 48 to 57; between them are time, owner and mode.
_HEADER = re.compile(rb"(?=[!-~]{1,16} *)(?P<name>[!-~ ]{16})[ -~]{32}(?P<size>[0-9]{1,10} *)`\n\Z")
_HEADER_LENGTH = 60
_PIECE = 1 << 18
_DATA_NAME = re.compile(r"data\.tar(\.(gz|xz|zst|bz2|lzma))?\Z")
_CONTROL_NAMES = ("control.tar", "control.tar.gz", "control.tar.xz", "control.tar.zst")


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    def decompress(self, data: bytes, /, max_length: int) -> bytes: ...


class _Part(NamedTuple):
    start: int
    size: int


def read_deb(file: IO[bytes], name: str) -> Mapping[str, str]:
    """
    The fields of the control file of the .deb in *file*, by name in lower case.  *name*: of the file, for messages.
    `InputError` when it is damaged, truncated or no .deb.
    """
    members = _parts(file, name)
    order = list(members)
    # Exactly three: if there were several control parts, programs would read different ones.
    if len(order) != 3 or order[0] != "debian-binary" or not _DATA_NAME.match(order[2]):
        raise InputError(
            f"{name} is no .deb: it has {', '.join(order) or 'no members'} in the place of its three parts."
        )
    if order[1] not in _CONTROL_NAMES:
        raise InputError(f"{name} has its control part in the form {order[1]!r:.40}, which is not known here.")
    file.seek(members["debian-binary"].start)
    if not file.read(min(members["debian-binary"].size, 16)).startswith(b"2."):
        raise InputError(f"{name} is of another version of the format than 2.")
    file.seek(members[order[1]].start)
    try:
        text = _control(_pieces(order[1], file, members[order[1]].size))
    except (InputError, zlib.error, lzma.LZMAError, zstd.ZstdError, OSError, EOFError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InputError(f"{name} has a damaged control part: {error}") from None
    return read_paragraph(text, f"The control file of {name}")


def _parts(file: IO[bytes], name: str) -> dict[str, _Part]:
    end = file.seek(0, 2)
    file.seek(0)
    if file.read(len(_MAGIC)) != _MAGIC:
        raise InputError(f"{name} is no .deb: it does not begin as one.")
    members: dict[str, _Part] = {}
    position = len(_MAGIC)
    while position < end:
        file.seek(position)
        match = _HEADER.match(header := file.read(_HEADER_LENGTH))
        if match is None or len(header) < _HEADER_LENGTH:
            raise InputError(f"{name} is damaged: it has no header of a member at byte {position}.")
        member = match["name"].decode("ascii").rstrip(" ").removesuffix("/")
        if member in members or len(members) == MOST_MEMBERS:
            raise InputError(f"{name} has {member!r:.40} twice, or more than {MOST_MEMBERS} members.")
        members[member] = _Part(position + _HEADER_LENGTH, int(match["size"]))
        position += _HEADER_LENGTH + members[member].size
        if position > end:
            raise InputError(f"{name} is truncated: it has {end} bytes, and at least {position - end} are missing.")
        # Members begin at even positions.
        position += position % 2
    return members


def _control(pieces: Iterator[bytes]) -> bytes:
    with tempfile.SpooledTemporaryFile(max_size=1 << 20) as unpacked:
        size = 0
        for piece in pieces:
            size += len(piece)
            if size > CONTROL.size:
                raise InputError(f"it unpacks to more than {CONTROL.size} bytes.")
            unpacked.write(piece)
        unpacked.seek(0)
        with open_archive(unpacked, CONTROL) as archive:
            for member in archive.members():
                if member.name.removeprefix("./") != "control":
                    continue
                if not member.isreg() or member.size > LARGEST_CONTROL:
                    raise InputError(f"its file control is none, or has more than {LARGEST_CONTROL} bytes.")
                return archive.contents(member).read()
    raise InputError("it has no file control.")


def _pieces(kind: str, file: IO[bytes], size: int) -> Iterator[bytes]:
    compressed = _limited(file, size)
    if kind.endswith(".gz"):
        return _gunzipped(compressed)
    if kind.endswith(".xz"):
        return _decompressed(lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MOST_MEMORY), compressed)
    if kind.endswith(".zst"):
        return _decompressed(zstd.ZstdDecompressor(), compressed)
    return compressed


def _limited(file: IO[bytes], size: int) -> Iterator[bytes]:
    while size > 0 and (piece := file.read(min(size, _PIECE))):
        size -= len(piece)
        yield piece


def _gunzipped(compressed: Iterator[bytes]) -> Iterator[bytes]:
    inflating = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    for piece in compressed:
        while piece and not inflating.eof:
            yield inflating.decompress(piece, _PIECE)
            piece = inflating.unconsumed_tail  # noqa: PLW2901 - what is left of it
    if not inflating.eof:
        raise EOFError("it is truncated.")


def _decompressed(decompressor: _Decompressor, compressed: Iterator[bytes]) -> Iterator[bytes]:
    for piece in compressed:
        data = piece
        while not decompressor.eof and (data or not decompressor.needs_input):
            yield decompressor.decompress(data, max_length=_PIECE)
            data = b""
    if not decompressor.eof:
        raise EOFError("it is truncated.")
