"""
Where two Debian packages of one name differ: in which file first.

The data part is compared before the control part, whose list of digests differs whenever a file does.  Both are read
side by side, a member at a time, so that memory stays flat; the bytes and members that are unpacked are bounded.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from io import RawIOBase
from itertools import zip_longest
from tarfile import TarInfo
from typing import IO, cast

from ...errors import InputError
from ...model.display import printable
from ...storage.archive_input import Archive, Bounds, open_archive
from .deb_file import part_pieces

BOUNDS = Bounds(size=1 << 30, members=200_000)
"""Of what one part unpacks to."""
LONGEST_PATH = 200
"""Characters of a path that are shown."""

_PIECE = 1 << 18
_PROPERTIES = {
    "kind": ("type",),
    "size": ("size",),
    "mode": ("mode",),
    "time": ("mtime",),
    "owner": ("uid", "gid", "uname", "gname"),
    "target of the link": ("linkname",),
}


def first_difference(first: IO[bytes], second: IO[bytes]) -> str:
    """
    The first difference between the .deb files *first* and *second*, a few words like "/usr/bin/x (contents)".
    `InputError` when one is damaged or too large.  Reads everything, so call it in a thread.
    """
    for part, what in (("data.tar", ""), ("control.tar", "the control file ")):
        with ExitStack() as opened:
            one, other = (
                opened.enter_context(open_archive(cast("IO[bytes]", _Pieces(part_pieces(each, part))), BOUNDS))
                for each in (first, second)
            )
            if found := _difference(one, other):
                return what + found
    return "the order or the compression of the files"


def _difference(one: Archive, other: Archive) -> str:
    for first, second in zip_longest(one.members(), other.members()):
        if first is None or second is None or first.name != second.name:
            # dpkg-deb sorts them, so the other package lacks the smaller one.
            name = min(each.name for each in (first, second) if each is not None)
            return f"{_path(name)} (only one has it)"
        different = [
            what
            for what, names in _PROPERTIES.items()
            if any(getattr(first, name) != getattr(second, name) for name in names)
        ]
        if first.isreg() and second.isreg() and not _same(one, first, other, second):
            different.insert(0, "contents")
        if different:
            return f"{_path(first.name)} ({', '.join(different)})"
    return ""


def _same(one: Archive, first: TarInfo, other: Archive, second: TarInfo) -> bool:
    left, right = one.contents(first), other.contents(second)
    while True:
        piece = left.read(_PIECE)
        if piece != right.read(_PIECE):
            return False
        if not piece:
            return True


def _path(name: str) -> str:
    return printable(name.removeprefix("."), longest=LONGEST_PATH)


class _Pieces(RawIOBase):
    """
    The bytes of *pieces* as a file, as far as `open_archive` needs one.
    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces = pieces
        self._rest = b""
        self._read = 0
        self._again = b""

    def read(self, size: int = -1, /) -> bytes:
        """
        *size* bytes, or fewer at the end.
        """
        while len(self._rest) < size and (piece := next(self._pieces, None)) is not None:
            self._rest += piece
        data, self._rest = self._rest[:size], self._rest[size:]
        self._read += len(data)
        self._again = data if self._read == len(data) else b""
        return data

    def seek(self, position: int, whence: int = 0, /) -> int:
        """
        Back to the beginning, after the first read only.
        """
        if position or whence or len(self._again) != self._read:
            raise InputError("It cannot be read twice.")
        self._rest, self._again, self._read = self._again + self._rest, b"", 0
        return 0
