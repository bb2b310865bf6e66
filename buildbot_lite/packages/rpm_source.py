"""
A source RPM: what its header says, once its digests are checked.

``rpm -qp`` takes a truncated package, because it reads the headers only.  Here the whole file is read once, and header
and payload must have the digests that the package says.
"""

import hashlib
import hmac
import re
from typing import IO

from ..errors import InputError
from .architectures import RpmArchitectures
from .rpm_header import Header, damaged, read_header, read_lead
from .source_package import LONGEST_WORD, RPM, SourcePackage, checked_architectures, checked_name, checked_version

# The tags of the main header, and of the signature header (SIG_…).
NAME, VERSION, RELEASE, EPOCH = 1000, 1001, 1002, 1003
SOURCE_RPM, EXCLUDE_ARCH, EXCLUSIVE_ARCH, BUILD_ARCHS, SOURCE_PACKAGE = 1044, 1059, 1061, 1089, 1106
PAYLOAD_DIGEST, PAYLOAD_DIGEST_KIND = 5092, 5093
SIG_HEADER_SHA1, SIG_HEADER_SHA256, SIG_MD5 = 269, 273, 1004
_SHA256_KIND = 8
_PIECE = 1 << 20
_ARCHITECTURE = re.compile(r"[A-Za-z0-9_]+\Z")


def read_srpm(file: IO[bytes]) -> SourcePackage:
    """
    The package in *file*, which is read to its end.  `InputError` says what is wrong with it.
    """
    read_lead(file)
    signatures = read_header(file, padded=True)
    header = read_header(file)
    _check_header(header, signatures)
    _check_payload(file, header, signatures)
    if SOURCE_RPM in header or SOURCE_PACKAGE not in header:
        raise InputError(f"{header.text(NAME)!r:.{LONGEST_WORD}} is a package, but no source package (.src.rpm).")
    epoch = header.number(EPOCH)
    for part in (VERSION, RELEASE):
        if "-" in header.text(part):
            raise damaged("its version or release has a hyphen")
    epoch_text, version = checked_version(
        f"{header.text(VERSION)}-{header.text(RELEASE)}", "" if epoch is None else str(epoch)
    )
    return SourcePackage(
        family=RPM,
        name=checked_name(header.text(NAME)),
        epoch=epoch_text,
        version=version,
        architectures=RpmArchitectures(
            build=_architectures(header, BUILD_ARCHS),
            exclusive=_architectures(header, EXCLUSIVE_ARCH),
            exclude=_architectures(header, EXCLUDE_ARCH),
        ),
    )


def _architectures(header: Header, tag: int) -> tuple[str, ...]:
    return checked_architectures(header.texts(tag), _ARCHITECTURE, "RPM")


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
    wanted = header.text(PAYLOAD_DIGEST)
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
