"""
The signature of an RPM package: the bytes that are signed, and the package with its signature.

Only the main header is signed.  It contains the digest of the payload, so the signature covers the whole package.  It
has kilobytes, where the package may have gigabytes.  The signature is one more value in the signature header, which is
rewritten; the rest of the file is copied.  (RPM's own manual of the format, "Package signatures"; its `rpmsign` needs
the key where the package is.)
"""

import os
import shutil
import struct
from collections.abc import Sequence
from contextlib import suppress
from typing import IO

from ...errors import InputError
from ...storage.files import PRIVATE, file_error, sync_directory
from ..formats.rpm_file import payload_digest
from ..formats.rpm_header import LEAD, Header, Value, read_header, read_lead
from ..keys.openpgp import BINARY, RSA, Signature

LARGEST_SIGNED = 8 << 20
"""Bytes of a header that is sent to a signer; packages with twenty thousand files stay below."""

_REGION = 62
# Signatures of the header: by RSA keys, and by all others.
_RSA_HEADER, _DSA_HEADER = 268, 267
# Signatures of header and payload together, of RPM before 4.14; the one of RPM 6; and room for any.
_SIG_PGP, _SIG_GPG, _SIG_OPENPGP, _SIG_ROOM = 1002, 1005, 278, 1008
_REPLACED = frozenset({_RSA_HEADER, _DSA_HEADER, _SIG_PGP, _SIG_GPG, _SIG_OPENPGP, _SIG_ROOM})
_BINARY = 7
_INTRODUCTION = struct.Struct(">4s4xII")
_ENTRY = struct.Struct(">IIiI")
_MAGIC = b"\x8e\xad\xe8\x01"


def header_to_sign(file: IO[bytes]) -> bytes:
    """
    The bytes of the package in *file* that are signed.  *file* is open at its beginning.  `InputError`.
    """
    read_lead(file)
    read_header(file, padded=True)
    header = read_header(file)
    # Without the digest of the payload, the signature would not cover the files in the package.
    if not payload_digest(header):
        raise InputError("The package has no digest of its payload in its header: build it with RPM 4.14 or later.")
    if len(header.raw) > LARGEST_SIGNED:
        raise InputError(f"The header of the package has {len(header.raw)} bytes; at most {LARGEST_SIGNED} are signed.")
    return header.raw


def write_signed(source: str, signature: Signature, target: str) -> None:
    """
    Copy the package *source* to *target*, with *signature* in the place of its signatures.  *target* appears whole or
    not at all.  `InputError` when the package is damaged; `DiskFullError`, `FileError`.
    """
    if signature.kind != BINARY:
        raise InputError("A package needs a signature of bytes, and that is one of text.")
    try:
        _write_signed(source, signature, target)
    except OSError as error:
        raise file_error(error, f"signed package {os.path.basename(target)}") from error


def _write_signed(source: str, signature: Signature, target: str) -> None:
    beside = f"{target}.new"
    with suppress(FileNotFoundError):
        os.remove(beside)
    with open(source, "rb") as file:
        read_lead(file)
        signatures = signature_header(read_header(file, padded=True), signature)
        rest = file.tell()
        file.seek(0)
        lead = file.read(LEAD)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
        try:
            with open(descriptor, "wb") as signed:
                signed.write(lead + signatures)
                file.seek(rest)
                shutil.copyfileobj(file, signed, 1 << 20)
                signed.flush()
                os.fchmod(descriptor, 0o644)
                os.fsync(descriptor)
            os.rename(beside, target)
        except BaseException:
            with suppress(FileNotFoundError):
                os.remove(beside)
            raise
    sync_directory(os.path.dirname(target))


def signature_header(old: Header, signature: Signature) -> bytes:
    """
    The signature header *old* with *signature* in it, followed by its padding.
    """
    tag = _RSA_HEADER if signature.algorithm == RSA else _DSA_HEADER
    kept = [value for value in old.everything() if value.tag not in _REPLACED]
    values = sorted([*kept, Value(tag, _BINARY, len(signature.data), signature.data)], key=lambda value: value.tag)
    header = _header(values)
    return header + bytes(-len(header) % 8)


def _header(values: Sequence[Value]) -> bytes:
    # All values are in one region, which its first entry names: the place of its trailer, a copy of that entry with the
    # length of the index as a negative offset.
    store, entries = bytearray(), []
    for value in values:
        store += bytes(-len(store) % value.alignment)
        entries.append((value.tag, value.kind, len(store), value.count))
        store += value.data
    size = _ENTRY.size * (len(entries) + 1)
    region = (_REGION, _BINARY, len(store), _ENTRY.size)
    store += _ENTRY.pack(_REGION, _BINARY, -size, _ENTRY.size)
    index = b"".join(_ENTRY.pack(*entry) for entry in [region, *entries])
    return _INTRODUCTION.pack(_MAGIC, len(entries) + 1, len(store)) + index + store
