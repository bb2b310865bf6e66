"""
The packages of a job: those of its builds for all architectures, each once.

The build of a source RPM for each architecture also makes its noarch subpackages.  All builds must make the same ones,
and one of each is kept.  All packages must be built of the same version: a spec file may give each architecture a
release of its own.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ...errors import FileError, InputError, sentence
from .architectures import NOARCH
from .built_packages import BuiltPackage
from .rpm_differences import differences
from .rpm_file import read_unchecked
from .rpm_header import Header

MOST_DIFFERENCES = 5
"""Differences that one sentence names."""


def joined(builds: Mapping[str, Sequence[BuiltPackage]]) -> list[BuiltPackage]:
    """
    All packages of *builds* (architecture → packages); each noarch package once, from the first build.  `InputError`
    says which are not the same, and how they differ, or that there are several versions; `FileError` when one cannot be
    read.
    """
    _check_versions(builds)
    taken: list[BuiltPackage] = []
    noarch: dict[str, tuple[str, BuiltPackage]] = {}
    for architecture, packages in builds.items():
        for package in packages:
            if package.architecture != NOARCH:
                taken.append(package)
                continue
            first, other = noarch.setdefault(package.name, (architecture, package))
            if other is package:
                taken.append(package)
            elif found := differences(_header(other.path), _header(package.path)):
                raise InputError(_sentence(package, (first, architecture), found))
    return taken


def _check_versions(builds: Mapping[str, Sequence[BuiltPackage]]) -> None:
    found = [(each.source_version, architecture) for architecture, packages in builds.items() for each in packages]
    for version, architecture in found:
        first, other = found[0]
        if version != first:
            where = f"the builds for {other} and {architecture} are" if other != architecture else f"{other} is built"
            raise InputError(
                f"All packages of a job have one version, but {where} of {first} and {version}: the release must not "
                "depend on the architecture."
            )


def _sentence(package: BuiltPackage, architectures: tuple[str, str], found: Sequence[str]) -> str:
    first, second = architectures
    more = f"; and {len(found) - MOST_DIFFERENCES} more" if len(found) > MOST_DIFFERENCES else ""
    shown = "; ".join(f"{each:.120}" for each in found[:MOST_DIFFERENCES])
    return f"{package.name} is noarch, but the builds for {first} and {second} differ in it: {shown}{more}."


def _header(path: Path) -> Header:
    try:
        with open(path, "rb") as file:
            return read_unchecked(file)
    except OSError as error:
        raise FileError(sentence(error)) from None
