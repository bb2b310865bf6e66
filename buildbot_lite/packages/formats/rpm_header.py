"""
Headers of RPM files (version 3 and 4 of the format; "RPM package file structure" in the Linux Standard Base 5.0, core,
chapter 25, and RPM's own manual of the format).

::

    lead, 96 bytes │ signature header │ 0 to 7 zeros │ main header │ payload

A header is an index of tags and a store of their values.  The file comes from others, so every length and offset is
checked before it is used, and bytes are not assumed to be text.  Each tag must be there once, because programs differ
in which of two values they take; and values must follow one another without overlaps, because overlapping values could
be larger than the file.  RPM itself writes headers like that (and checks it in part: ``hdrblobVerifyInfo``,
``hdrblobVerifyRegion``).
"""

import struct
from collections.abc import Iterator, Mapping
from typing import IO

from attrs import frozen

from ...errors import InputError

LEAD = 96
LARGEST_HEADER = 32 << 20
"""Bytes of the values of one header; packages with a hundred thousand files stay below."""
MOST_TAGS = 10_000
LARGEST_SIGNATURES = 1 << 20
"""Bytes of the values of a signature header: RPM keeps 4 KiB free for signatures, and some distributions sign files."""
MOST_SIGNATURES = 32
"""Tags of a signature header, as many as RPM takes."""
MOST_VALUES = 300_000
"""Values of one tag; a package has one value for each of its files."""
MOST_TEXTS = 4_000_000
"""Texts in one header: the end of each one must be searched for."""

LEAD_MAGIC = b"\xed\xab\xee\xdb"
"""The first bytes of every RPM file."""
_HEADER_MAGIC = b"\x8e\xad\xe8\x01"
_INTRODUCTION = struct.Struct(">4s4xII")
_ENTRY = struct.Struct(">IIII")
_INT32, _STRING, _BINARY, _STRINGS, _LOCALISED = 4, 6, 7, 8, 9
_TEXTS = (_STRING, _STRINGS, _LOCALISED)
_INTEGERS = {3: "H", _INT32: "I", 5: "Q"}  # of the module struct
# The first tag of a header says that all values are in one region, which ends with a trailer: an entry with that tag
# and the length of the index as a negative offset.
_TRAILER = struct.Struct(">IIiI")
_SIGNATURES_REGION, _MAIN_REGION, _OLD_REGION = 62, 63, 61
_FIRST_TAG = 100  # those below have a meaning for the format itself
# Bytes of one value of each kind that is no text; numbers are aligned to their own size.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, _BINARY: 1}


@frozen
class _Entry:
    kind: int
    offset: int
    count: int
    end: int


@frozen
class Value:
    """
    All values of one *tag*: their *kind*, as the format numbers it, their number (*count*), and their bytes.
    """

    tag: int
    kind: int
    count: int
    data: bytes

    @property
    def alignment(self) -> int:
        """
        The offset of the values in a header must be a multiple of it.
        """
        return _SIZES.get(self.kind, 1)


class Header:
    """
    One header: its tags by number.  *raw*: all its bytes, of which digests and signatures are made.
    """

    def __init__(self, raw: bytes, entries: Mapping[int, _Entry], store: bytes) -> None:
        self.raw = raw
        self._entries = entries
        self._store = store

    def __contains__(self, tag: int) -> bool:
        return tag in self._entries

    def everything(self) -> Iterator[Value]:
        for tag, entry in self._entries.items():
            yield Value(tag, entry.kind, entry.count, self._store[entry.offset : entry.end])

    def text(self, tag: int) -> str:
        """
        The one text of *tag*; "" when the header does not have it, `InputError` when it is not of the kind that has
        one.
        """
        if tag in self and self._entries[tag].kind != _STRING:
            raise damaged(f"the tag {tag} is not one text")
        texts = self.texts(tag)
        return texts[0] if texts else ""

    def texts(self, tag: int) -> tuple[str, ...]:
        """
        The texts of *tag*; none when the header does not have it, `InputError` when they are no texts.
        """
        entry = self._entries.get(tag)
        if entry is None:
            return ()
        if entry.kind not in _TEXTS or entry.count > MOST_VALUES:
            raise damaged(f"the tag {tag} is no text")
        try:
            texts = self._store[entry.offset : entry.end - 1].decode("utf-8")
        except UnicodeDecodeError:
            raise damaged(f"the tag {tag} is not UTF-8 text") from None
        return tuple(texts.split("\0"))

    def number(self, tag: int) -> int | None:
        """
        The one number of *tag*, of 32 bits; None when the header does not have it, `InputError` when it is none.
        """
        entry = self._entries.get(tag)
        if entry is None:
            return None
        if (entry.kind, entry.count) != (_INT32, 1):
            raise damaged(f"the tag {tag} is not one number")
        return self.numbers(tag)[0]

    def numbers(self, tag: int) -> tuple[int, ...]:
        """
        The numbers of *tag*, of 16, 32 or 64 bits; none when the header does not have it, `InputError` when they are no
        numbers.
        """
        entry = self._entries.get(tag)
        if entry is None:
            return ()
        if entry.kind not in _INTEGERS or entry.count > MOST_VALUES:
            raise damaged(f"the tag {tag} is no number")
        return struct.unpack_from(f">{entry.count}{_INTEGERS[entry.kind]}", self._store, entry.offset)

    def values(self, tag: int) -> tuple[str, ...] | tuple[int, ...]:
        """
        The texts or the numbers of *tag*; none when the header does not have it, `InputError` when they are neither.
        """
        entry = self._entries.get(tag)
        return self.numbers(tag) if entry is not None and entry.kind in _INTEGERS else self.texts(tag)

    def binary(self, tag: int) -> bytes:
        """
        The bytes of *tag*; none when the header does not have it.
        """
        entry = self._entries.get(tag)
        if entry is None:
            return b""
        if entry.kind != _BINARY:
            raise damaged(f"the tag {tag} has no bytes")
        return self._store[entry.offset : entry.end]


def read_lead(file: IO[bytes]) -> None:
    """
    Read the lead at the beginning of *file*, of which only the magic number has a meaning today.
    """
    lead = file.read(LEAD)
    if not lead.startswith(LEAD_MAGIC):
        raise InputError("That is no RPM package: it does not begin as one.")
    if len(lead) < LEAD:
        raise damaged("it ends in its first bytes")


def read_header(file: IO[bytes], *, padded: bool = False) -> Header:
    """
    Read the header at the position of *file*.  *padded*: the signature header, and the zeros after it, up to a multiple
    of eight bytes.
    """
    introduction = _exactly(file, _INTRODUCTION.size)
    magic, tags, size = _INTRODUCTION.unpack(introduction)
    if magic != _HEADER_MAGIC:
        raise damaged("it has no header where one should be")
    most, largest = (MOST_SIGNATURES, LARGEST_SIGNATURES) if padded else (MOST_TAGS, LARGEST_HEADER)
    if tags > most or size > largest:
        raise damaged(f"its header has {tags} tags and {size} bytes")
    index = _exactly(file, tags * _ENTRY.size)
    store = _exactly(file, size)
    if padded:
        _exactly(file, -size % 8)
    _check_region(index, store, _SIGNATURES_REGION if padded else _MAIN_REGION)
    return Header(introduction + index + store, _entries(index[_ENTRY.size :], store[: -_TRAILER.size]), store)


def _check_region(index: bytes, store: bytes, region: int) -> None:
    # In packages of old versions of RPM, the trailer of the signature header has another number.
    trailers = [
        _TRAILER.pack(tag, _BINARY, -len(index), _TRAILER.size)
        for tag in (region, *([_OLD_REGION] if region == _SIGNATURES_REGION else []))
    ]
    said = _ENTRY.pack(region, _BINARY, max(0, len(store) - _TRAILER.size), _TRAILER.size)
    if index[: _ENTRY.size] != said or store[-_TRAILER.size :] not in trailers:
        raise damaged("its header is not one region with all tags and values")


def _entries(index: bytes, store: bytes) -> dict[int, _Entry]:
    entries: dict[int, _Entry] = {}
    last, end, texts = _FIRST_TAG - 1, 0, 0
    for tag, kind, offset, count in _ENTRY.iter_unpack(index):
        if tag <= last:
            raise damaged(f"the tag {tag} is there twice, or not in its place")
        if not end <= offset < len(store) or offset % _SIZES.get(kind, 1):
            raise damaged(f"the value of the tag {tag} lies outside its place")
        texts += count if kind in _TEXTS else 0
        if count == 0 or texts > MOST_TEXTS or (kind == _STRING and count != 1):
            raise damaged(f"the tag {tag} has {count} values")
        last, end = tag, _end(tag, kind, offset, count, store)
        entries[tag] = _Entry(kind, offset, count, end)
    return entries


def _end(tag: int, kind: int, offset: int, count: int, store: bytes) -> int:
    if kind in _SIZES:
        end = offset + _SIZES[kind] * count
        if end > len(store):
            raise damaged(f"the value of the tag {tag} does not end")
        return end
    if kind not in _TEXTS:
        raise damaged(f"the tag {tag} has a value of the unknown kind {kind}")
    end = offset
    for _ in range(count):
        end = store.find(b"\0", end) + 1
        if not end:
            raise damaged(f"the text of the tag {tag} does not end")
    return end


def damaged(reason: str) -> InputError:
    """
    The error for a package that is damaged or truncated.
    """
    return InputError(f"The RPM package is damaged or truncated: {reason}.")


def _exactly(file: IO[bytes], size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise damaged("it ends in the middle of a header")
    return data
