"""
Headers of RPM files (version 3 and 4 of the format; "RPM package file structure" in the Linux Standard Base 5.0, core,
chapter 25, and RPM's own manual of the format).

::

    lead, 96 bytes │ signature header │ 0 to 7 zeros │ main header │ payload

A header is an index of tags and a store of their values.  The file comes from others, so every length and offset is
checked before it is used, and nothing is trusted to be text.
"""

import struct
from collections.abc import Iterator, Mapping
from typing import IO

from attrs import frozen

from ..errors import InputError

LEAD = 96
LARGEST_HEADER = 32 << 20
"""Bytes of the values of one header; packages with a hundred thousand files stay below."""
MOST_TAGS = 10_000
MOST_VALUES = 300_000
"""Values of one tag; a package has one value for each of its files."""

LEAD_MAGIC = b"\xed\xab\xee\xdb"
"""The first bytes of every RPM file."""
_HEADER_MAGIC = b"\x8e\xad\xe8\x01"
_INTRODUCTION = struct.Struct(">4s4xII")
_ENTRY = struct.Struct(">IIII")
_STRING, _BINARY, _STRINGS, _LOCALISED = 6, 7, 8, 9
_INTEGERS = {3: "H", 4: "I", 5: "Q"}  # of the module struct
# Bytes of one value of each kind that is no text; numbers are aligned to their own size.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, _BINARY: 1}


@frozen
class _Entry:
    kind: int
    offset: int
    count: int


@frozen
class Value:
    """
    All values of one *tag*: of which *kind* of the format, how many (*count*), and their bytes.
    """

    tag: int
    kind: int
    count: int
    data: bytes

    @property
    def alignment(self) -> int:
        """
        The place of the bytes in a header is a multiple of it.
        """
        return _SIZES.get(self.kind, 1)


class Header:
    """
    One header: its tags by number.  *raw*: all its bytes, as digests and signatures are made of them.
    """

    def __init__(self, raw: bytes, entries: Mapping[int, _Entry], store: bytes) -> None:
        self.raw = raw
        self._entries = entries
        self._store = store

    def __contains__(self, tag: int) -> bool:
        return tag in self._entries

    def everything(self) -> Iterator[Value]:
        """
        Everything in the header.  `InputError` when a value does not end in it.
        """
        for tag, entry in self._entries.items():
            if entry.kind in _SIZES:
                end = entry.offset + _SIZES[entry.kind] * entry.count
            else:
                end = self._end_of_texts(tag, entry)
            if end > len(self._store):
                raise damaged(f"the value of the tag {tag} does not end")
            yield Value(tag, entry.kind, entry.count, self._store[entry.offset : end])

    def _end_of_texts(self, tag: int, entry: _Entry) -> int:
        if entry.kind not in (_STRING, _STRINGS, _LOCALISED):
            raise damaged(f"the tag {tag} has a value of the unknown kind {entry.kind}")
        end = entry.offset
        for _ in range(min(entry.count, len(self._store))):
            end = self._store.find(b"\0", end) + 1
            if not end:
                raise damaged(f"the text of the tag {tag} does not end")
        return end

    def text(self, tag: int) -> str:
        """
        The text of *tag*; "" when the header does not have it, `InputError` when it is no text.
        """
        texts = self.texts(tag)
        return texts[0] if texts else ""

    def texts(self, tag: int) -> tuple[str, ...]:
        """
        The texts of *tag*; none when the header does not have it, `InputError` when they are no texts.
        """
        entry = self._entries.get(tag)
        if entry is None:
            return ()
        if entry.kind not in (_STRING, _STRINGS, _LOCALISED):
            raise damaged(f"the tag {tag} is no text")
        parts = self._store[entry.offset :].split(b"\0", entry.count) if entry.count <= MOST_VALUES else []
        if len(parts) <= entry.count:
            raise damaged(f"the text of the tag {tag} does not end")
        try:
            return tuple(part.decode("utf-8") for part in parts[: entry.count])
        except UnicodeDecodeError:
            raise damaged(f"the tag {tag} is not UTF-8 text") from None

    def number(self, tag: int) -> int | None:
        """
        The first number of *tag*; None when the header does not have it, `InputError` when it is no number.
        """
        numbers = self.numbers(tag)
        if tag in self and not numbers:
            raise damaged(f"the tag {tag} is no number")
        return numbers[0] if numbers else None

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
        values = struct.Struct(f">{entry.count}{_INTEGERS[entry.kind]}")
        if entry.offset + values.size > len(self._store):
            raise damaged(f"the tag {tag} is no number")
        return values.unpack_from(self._store, entry.offset)

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
        value = self._store[entry.offset : entry.offset + entry.count]
        if entry.kind != _BINARY or len(value) < entry.count:
            raise damaged(f"the tag {tag} has no bytes")
        return value


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
    Read the header at the position of *file*.  *padded*: and the zeros after it, up to a multiple of eight bytes.
    """
    introduction = _exactly(file, _INTRODUCTION.size)
    magic, tags, size = _INTRODUCTION.unpack(introduction)
    if magic != _HEADER_MAGIC:
        raise damaged("it has no header where one should be")
    if tags > MOST_TAGS or size > LARGEST_HEADER:
        raise damaged(f"its header has {tags} tags and {size} bytes")
    index = _exactly(file, tags * _ENTRY.size)
    store = _exactly(file, size)
    if padded:
        _exactly(file, -size % 8)
    entries: dict[int, _Entry] = {}
    for tag, kind, offset, count in _ENTRY.iter_unpack(index):
        if offset > size:
            raise damaged(f"the tag {tag} lies outside its header")
        entries.setdefault(tag, _Entry(kind, offset, count))
    return Header(introduction + index + store, entries, store)


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
