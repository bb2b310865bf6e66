"""
A source RPM: what its header says, once its digests are checked.
"""

import re
from typing import IO

from ...errors import InputError
from .architectures import RpmArchitectures
from .rpm_file import NAME, SOURCE_PACKAGE, SOURCE_RPM, epoch_of, read_checked, version_of
from .rpm_header import Header
from .source_package import LONGEST_WORD, RPM, SourcePackage, checked_architectures, checked_name, checked_version

EXCLUDE_ARCH, EXCLUSIVE_ARCH, BUILD_ARCHS = 1059, 1061, 1089
_ARCHITECTURE = re.compile(r"[A-Za-z0-9_]+\Z")


def read_srpm(file: IO[bytes]) -> SourcePackage:
    """
    The package in *file*, which is read to its end.  `InputError` says what is wrong with it.
    """
    header = read_checked(file)
    if SOURCE_RPM in header or SOURCE_PACKAGE not in header:
        raise InputError(f"{header.text(NAME)!r:.{LONGEST_WORD}} is a package, but no source package (.src.rpm).")
    epoch, version = checked_version(version_of(header), epoch_of(header))
    return SourcePackage(
        family=RPM,
        name=checked_name(header.text(NAME)),
        epoch=epoch,
        version=version,
        architectures=RpmArchitectures(
            build=_architectures(header, BUILD_ARCHS),
            exclusive=_architectures(header, EXCLUSIVE_ARCH),
            exclude=_architectures(header, EXCLUDE_ARCH),
        ),
    )


def _architectures(header: Header, tag: int) -> tuple[str, ...]:
    return checked_architectures(header.texts(tag), _ARCHITECTURE, "RPM")
