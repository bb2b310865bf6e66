"""
An RPM package that a build made.
"""

import re
from typing import IO

from ...errors import InputError
from .architectures import NOARCH
from .package_description import Description, misnamed, wrong_package
from .rpm_file import ARCH, NAME, SOURCE_RPM, epoch_of, read_checked, read_unchecked, version_of
from .source_package import SourcePackage, checked_name, checked_version

_SOURCE = re.compile(r"(?P<name>.+)-(?P<version>[^-]+)-(?P<release>[^-]+)\.(no)?src\.rpm\Z")


def describe_rpm(
    file: IO[bytes], file_name: str, *, source: SourcePackage, architecture: str, suffix: str
) -> Description:
    """
    What the package in *file* says, checked as `DescriptionReader` has it.
    """
    try:
        header = read_checked(file)
        name = checked_name(header.text(NAME))
        epoch, version = checked_version(version_of(header), epoch_of(header))
    except InputError as error:
        raise InputError(f"{file_name!r:.200}: {error}") from None
    of, arch = header.text(SOURCE_RPM), header.text(ARCH)
    source_version = _version_of(of, source, suffix)
    if source_version is None:
        raise wrong_package(file_name, f"is of {of or 'no source'}", source, architecture)
    if arch not in (architecture, NOARCH):
        raise wrong_package(file_name, f"is for {arch or 'no architecture'}", source, architecture)
    if file_name != f"{name}-{version}.{arch}.rpm":
        raise misnamed(file_name, f"{name}-{version}.{arch}")
    return Description(name, epoch, version, arch, source_version)


def built_of(file: IO[bytes], source: SourcePackage, dist: str) -> str | None:
    """
    The version and release of the source RPM of which the package in *file* says that it was built; None when *source*
    does not become that one where ``%{?dist}`` is *dist*.  Reads the headers only; `InputError` when they are damaged.
    """
    return _version_of(read_unchecked(file).text(SOURCE_RPM), source, dist)


def _version_of(source_rpm: str, source: SourcePackage, dist: str) -> str | None:
    """
    The version and release in *source_rpm*, the name of a source RPM; None unless it is that of *source* when the
    spec's ``%{?dist}`` is *dist*.

    A release like ``1.fc40``, with the value of ``%dist`` where the source RPM was made, becomes ``1`` and *dist*.
    """
    match = _SOURCE.match(source_rpm)
    if match is None:
        return None
    version, _, release = source.version.rpartition("-")
    if (match["name"], match["version"]) != (source.name, version):
        return None
    built = match["release"]
    stem = built.removesuffix(dist)
    right = release in (built, stem) or (built.endswith(dist) and release.startswith(f"{stem}."))
    return f"{version}-{built}" if right else None
