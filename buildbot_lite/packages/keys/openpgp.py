"""
The parts of OpenPGP keys and signatures that a farm must read (RFC 9580).  `verification` checks signatures.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator

from attrs import frozen

from ...errors import InputError

LARGEST_KEYS = 1 << 20
"""Bytes of a file with public keys."""
LARGEST_SIGNATURE = 4096
"""Bytes of a signature; one of an RSA key with 4096 bits has about 600."""

BINARY, TEXT = 0x00, 0x01
"""Kinds of signatures (RFC 9580, 5.2.1): of bytes, and of text, with any line ends."""
RSA, DSA, EDDSA = 1, 17, 22
_HASHES = {8: "SHA256", 9: "SHA384", 10: "SHA512"}
_SIGNATURE, _SECRET_KEY, _PUBLIC_KEY, _SECRET_SUBKEY = 2, 5, 6, 7

_BLOCK = re.compile(
    rb"^-----BEGIN PGP PUBLIC KEY BLOCK-----[ \t\r]*\n"
    rb"(?:[!-9;-~]+:[^\n]*\n)*[ \t\r]*\n"
    rb"(?P<data>[A-Za-z0-9+/=\r\n]+?)(?:^=[A-Za-z0-9+/]{4}[ \t\r]*\n)?"
    rb"-----END PGP PUBLIC KEY BLOCK-----",
    re.MULTILINE,
)
_PRIVATE = b"-----BEGIN PGP PRIVATE KEY BLOCK-----"


@frozen
class Signature:
    """
    One detached signature.  *kind*: `BINARY` or `TEXT`.  *algorithm*: `RSA`, `DSA` or `EDDSA`.  *digest*: the name of
    its digest, like "SHA256".  *data*: all its bytes.
    """

    kind: int
    algorithm: int
    digest: str
    data: bytes


def read_signature(data: bytes) -> Signature:
    """
    The signature that is the whole of *data*; `InputError` says why it cannot be used.
    """
    if len(data) > LARGEST_SIGNATURE:
        raise InputError(f"A signature of {len(data)} bytes; at most {LARGEST_SIGNATURE} are allowed.")
    packets = list(_packets(data))
    if [tag for tag, _ in packets] != [_SIGNATURE]:
        raise InputError("That is no OpenPGP signature.  It has to be one detached signature, without ASCII armor.")
    body = packets[0][1]
    if len(body) < 6 or body[0] != 4 or body[1] not in (BINARY, TEXT):
        raise InputError("That is an OpenPGP signature, but not one of a file in version 4 of the format.")
    if body[2] not in (RSA, DSA, EDDSA):
        raise InputError(f"The signature is made with algorithm {body[2]}; use a key of RSA, DSA or Ed25519.")
    if body[3] not in _HASHES:
        raise InputError(f"The signature has the weak digest {body[3]}; use gpg --digest-algo SHA256.")
    return Signature(body[1], body[2], _HASHES[body[3]], data)


def read_public_keys(data: bytes, name: str) -> bytes:
    """
    A keyring for gpgv of the public keys in *data*, the contents of the file *name*: as ``gpg --export`` writes them,
    with or without ``--armor``.  `InputError` when these are no public keys, and when a secret key is among them.
    """
    if len(data) > LARGEST_KEYS:
        raise InputError(f"{name} has {len(data)} bytes; a file with public keys has at most {LARGEST_KEYS}.")
    if _PRIVATE in data:
        raise _secret(name)
    blocks = [_decoded(match["data"], name) for match in _BLOCK.finditer(data)]
    keyring = b"".join(blocks) if blocks else data
    try:
        tags = [tag for tag, _ in _packets(keyring)]
    except InputError:
        tags = []
    if _SECRET_KEY in tags or _SECRET_SUBKEY in tags:
        raise _secret(name)
    if tags[:1] != [_PUBLIC_KEY]:
        raise InputError(f"{name} has no public key.  Write one: gpg --armor --export KEY > {name}")
    return keyring


def armored_signature(data: bytes) -> bytes:
    """
    The signature *data* in ASCII armor, with a line feed at its end.
    """
    return _armored(data, b"PGP SIGNATURE")


def armored_keys(keyring: bytes) -> bytes:
    """
    The public keys in *keyring* in ASCII armor, as rpmkeys wants them: one block for each, with its checksum.
    """
    starts = [start for tag, start, _ in _places(keyring) if tag == _PUBLIC_KEY]
    ends = [*starts[1:], len(keyring)]
    return b"".join(
        _armored(keyring[start:end], b"PGP PUBLIC KEY BLOCK") for start, end in zip(starts, ends, strict=True)
    )


def fingerprints(keyring: bytes) -> list[str]:
    """
    The fingerprints of the public keys in *keyring*, without subkeys, in hexadecimal digits (RFC 9580, 5.5.4).
    """
    return [_fingerprint(body) for tag, body in _packets(keyring) if tag == _PUBLIC_KEY and body]


def _fingerprint(body: bytes) -> str:
    if body[0] >= 6:
        return hashlib.sha256(b"\x9b" + len(body).to_bytes(4, "big") + body).hexdigest().upper()
    # What identifies keys of version 4, and no signature.
    digest = hashlib.sha1(b"\x99" + len(body).to_bytes(2, "big") + body, usedforsecurity=False)
    return digest.hexdigest().upper()


def _armored(data: bytes, what: bytes) -> bytes:
    text = base64.b64encode(data)
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    checksum = b"=" + base64.b64encode(_crc24(data).to_bytes(3, "big"))
    return b"\n".join([b"-----BEGIN %s-----" % what, b"", *lines, checksum, b"-----END %s-----" % what, b""])


def _crc24(data: bytes) -> int:
    # The checksum of RFC 9580, 6.1.1. gpgv does not need it, rpmkeys does.
    crc = 0xB704CE
    for byte in data:
        crc ^= byte << 16
        for _ in range(8):
            crc = (crc << 1) ^ (0x1864CFB if crc & 0x800000 else 0)
    return crc


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    return ((tag, body) for tag, _, body in _places(data))


def _places(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """
    The packets of *data*: for each its tag, the offset at which it begins, and its body.
    """
    # RFC 9580, 4.2: the tag and the length, in two formats.  Partial and indeterminate lengths are not for keys and
    # signatures.
    position = 0
    while position < len(data):
        first = data[position]
        if not first & 0x80:
            break
        if first & 0x40:
            tag, size, start = first & 0x3F, *_new_length(data, position + 1)
        else:
            octets = 1 << (first & 3)
            tag, start = (first & 0x3C) >> 2, position + 1 + octets
            size = len(data) if octets == 8 else int.from_bytes(data[position + 1 : start], "big")
        if start + size > len(data):
            break
        yield tag, position, data[start : start + size]
        position = start + size
    else:
        return
    raise InputError("That is no OpenPGP data, or only a part of it.")


def _new_length(data: bytes, position: int) -> tuple[int, int]:
    """
    The length of a packet in the new format, and the offset of its body.
    """
    octets = data[position : position + 5]
    first = octets[0] if octets else 224
    if first < 192:
        return first, position + 1
    if first < 224 and len(octets) > 1:
        return ((first - 192) << 8) + octets[1] + 192, position + 2
    if first == 255 and len(octets) == 5:
        return int.from_bytes(octets[1:], "big"), position + 5
    return len(data), position


def _decoded(text: bytes, name: str) -> bytes:
    try:
        return base64.b64decode(b"".join(text.split()), validate=True)
    except binascii.Error:
        raise InputError(f"The public key in {name} is damaged: its ASCII armor cannot be read.") from None


def _secret(name: str) -> InputError:
    return InputError(
        f"{name} has a secret key, which must never be on the master.  Remove it, and write the public key alone: "
        f"gpg --armor --export KEY > {name}"
    )
