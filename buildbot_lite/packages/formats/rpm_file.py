"""
RPM files, read whole: header and payload must have the digests that the package lists.

``rpm -qp`` takes a truncated package, because it reads the headers only.
"""

import hashlib
import hmac
from typing import IO

from .rpm_header import Header, damaged, read_header, read_lead

# The tags of the main header, and of the signature header (SIG_…).
NAME, VERSION, RELEASE, EPOCH = 1000, 1001, 1002, 1003
ARCH, SOURCE_RPM, SOURCE_PACKAGE = 1022, 1044, 1106
PAYLOAD_DIGEST, PAYLOAD_DIGEST_KIND = 5092, 5093
SIG_HEADER_SHA1, SIG_HEADER_SHA256, SIG_MD5 = 269, 273, 1004
_SHA256_KIND = 8
_PIECE = 1 << 20


def read_checked(file: IO[bytes]) -> Header:
    """
    The main header of the package in *file*, which is read to its end.  `InputError` says what is damaged.
    """
    read_lead(file)
    signatures = read_header(file, padded=True)
    header = read_header(file)
    _check_header(header, signatures)
    _check_payload(file, header, signatures)
    return header


def read_unchecked(file: IO[bytes]) -> Header:
    """
    The main header of the package in *file*, whose digests were checked before.
    """
    read_lead(file)
    read_header(file, padded=True)
    return read_header(file)


def epoch_of(header: Header) -> str:
    """
    The epoch of the package; "" when it has none.
    """
    epoch = header.number(EPOCH)
    return "" if epoch is None else str(epoch)


def version_of(header: Header) -> str:
    """
    Version and release, with a hyphen between them.
    """
    for part in (VERSION, RELEASE):
        if "-" in header.text(part):
            raise damaged("its version or release has a hyphen")
    return f"{header.text(VERSION)}-{header.text(RELEASE)}"


def payload_digest(header: Header) -> str:
    """
    The digest of the payload; "" when the header has none.
    """
    digests = header.texts(PAYLOAD_DIGEST)
    if len(digests) > 1:
        raise damaged("it has several digests of its payload")
    return digests[0] if digests else ""


def _check_header(header: Header, signatures: Header) -> None:
    checks = [
        (signatures.text(SIG_HEADER_SHA256), hashlib.sha256(header.raw).hexdigest()),
        (signatures.text(SIG_HEADER_SHA1), hashlib.sha1(header.raw, usedforsecurity=False).hexdigest()),
    ]
    said = [(wanted, found) for wanted, found in checks if wanted]
    if not said:
        raise damaged("it says no digest of its header")
    for wanted, found in said:
        if not hmac.compare_digest(wanted.encode(), found.encode()):
            raise damaged("its header does not have the digest that it says")


def _check_payload(file: IO[bytes], header: Header, signatures: Header) -> None:
    sha256, md5 = hashlib.sha256(), hashlib.md5(header.raw, usedforsecurity=False)
    while piece := file.read(_PIECE):
        sha256.update(piece)
        md5.update(piece)
    wanted = payload_digest(header)
    if wanted:
        if header.number(PAYLOAD_DIGEST_KIND) != _SHA256_KIND:
            raise damaged("its payload's digest is not SHA-256")
        right = wanted == sha256.hexdigest()
    elif digest := signatures.binary(SIG_MD5):
        # Packages of RPM before 4.14 have no other digest of the payload.
        right = digest == md5.digest()
    else:
        raise damaged("it says no digest of its payload")
    if not right:
        raise damaged("its payload does not have the digest that the header says")
