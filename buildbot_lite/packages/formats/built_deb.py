"""
A Debian package that a build made, and the lists of what it made: .changes and .buildinfo.

A slave can put anything into packages, since it builds them.  But it cannot give a package the name, the version or the
architecture of another, which would replace that one in a repository.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, NamedTuple

from ...errors import InputError
from .control_text import read_paragraph
from .deb_file import read_deb
from .debian_architectures import matches
from .debian_source import checked_binary
from .package_description import Description, misnamed, wrong_package
from .source_package import LONGEST_WORD, SourcePackage, checked_file, checked_version

LARGEST_LIST = 8 << 20
"""Bytes of a .changes or .buildinfo; that of a kernel's build has about 1 MB."""
MOST_LISTED = 20_000

LISTS = (".changes", ".buildinfo")
_DEBUG = "-dbgsym"
_LISTED = re.compile(r"(?P<sha256>[0-9a-f]{64}) +(?P<length>[0-9]{1,15}) +(?P<name>\S+)\Z")
_SOURCE = re.compile(r"(?P<name>\S+)(?: +\((?P<version>\S+)\))?\Z")


class Contents(NamedTuple):
    """
    The *length* of a file in bytes, and its digest.
    """

    length: int
    sha256: str


def describe_deb(
    file: IO[bytes], file_name: str, *, source: SourcePackage, architecture: str, suffix: str
) -> Description:
    """
    What the package in *file* says, checked as `DescriptionReader` has it.
    """
    fields = read_deb(file, file_name)
    name = checked_binary(fields.get("package", ""))
    epoch, _, version = fields.get("version", "").rpartition(":")
    checked_version(version, epoch)
    arch = fields.get("architecture", "")
    ending = file_name.rpartition(".")[2]
    if file_name != f"{name}_{version}_{arch}.{ending}":
        raise misnamed(file_name, f"{name}_{version}_{arch}")
    of, of_version = _source(file_name, fields.get("source", name))
    if of != source.name:
        raise wrong_package(file_name, f"is of the source {of}", source, architecture)
    full = f"{epoch}:{version}" if epoch else version
    if not _is_version(full, of_version, source.full_version, suffix):
        said = f"{full} of the source {of_version}" if of_version else full
        raise wrong_package(file_name, f"has the version {said}", source, f"the version {source.full_version}{suffix}")
    if arch != architecture:
        raise wrong_package(file_name, f"is for {arch or 'no architecture'}", source, architecture)
    _check_made(file_name, name, source, architecture)
    return Description(name, epoch, version, arch, source.version + suffix)


def check_lists(
    directory: Path, packages: Mapping[str, Contents], *, source: SourcePackage, architecture: str, suffix: str
) -> None:
    """
    Check the .changes and the .buildinfo in *directory*; the other arguments are those of
    `built_packages.built_packages`.  *packages*: by names of files, those found there.  `InputError` unless there is
    one of each, for this build, that lists each package, and nothing that differs from what is there.
    """
    for kind in LISTS:
        names = [path.name for path in directory.iterdir() if path.suffix == kind]
        wanted = f"{source.name}_{source.version}{suffix}_{architecture}{kind}"
        if names != [wanted]:
            raise InputError(f"The build sent {_few(names)}, where {wanted} was expected.")
        fields = read_paragraph(_text(directory / wanted), wanted)
        found = (_source(wanted, fields.get("source", ""))[0], fields.get("version"), fields.get("architecture"))
        if found != (source.name, source.full_version + suffix, architecture):
            said = " ".join(filter(None, found))
            raise wrong_package(wanted, f"is for {said}", source, f"{architecture} with the suffix {suffix!r}")
        listed = _listed(wanted, fields.get("checksums-sha256", ""))
        for name in packages.keys() - listed.keys():
            raise InputError(f"{name} is not listed in {wanted}.")
        for name, contents in listed.items():
            if contents != (packages.get(name) or _contents(directory / name, wanted)):
                raise InputError(f"{name} is not the file that {wanted} lists: its size or SHA-256 digest differs.")


def _is_version(version: str, source_version: str | None, wanted: str, suffix: str) -> bool:
    # A package may have another version than its source; then its field Source names the version of the source (Debian
    # Policy 5.6.1).  In a build with a suffix, that may be the version without the suffix, as in a "binNMU".
    if source_version is None:
        return version == wanted + suffix
    if source_version == wanted:
        return version.endswith(suffix)
    return source_version == wanted + suffix


def _check_made(file_name: str, name: str, source: SourcePackage, architecture: str) -> None:
    # debhelper makes a package of debug symbols for each package with programs.
    made = name if name in source.binaries else name.removesuffix(_DEBUG)
    if made not in source.binaries:
        raise InputError(f"{file_name} is no package that {source} makes; it makes {_few(source.binaries)}.")
    declared = source.binaries[made]
    if declared and not any(matches(each, architecture) for each in declared):
        raise InputError(f"{file_name} is for {architecture}, but {source} makes {made} for {_few(declared)}.")


def _source(file_name: str, text: str) -> tuple[str, str | None]:
    match = _SOURCE.match(text)
    if match is None:
        raise InputError(f"{file_name} names no source package: {text!r:.200}")
    return match["name"], match["version"]


def _listed(file_name: str, field: str) -> Mapping[str, Contents]:
    listed: dict[str, Contents] = {}
    for line in filter(None, field.splitlines()):
        match = _LISTED.match(line)
        if match is None:
            raise InputError(f"{file_name} has a line in Checksums-Sha256 that lists no file: {line!r:.120}")
        name = checked_file(match["name"])
        if name in listed or len(listed) == MOST_LISTED:
            raise InputError(f"{file_name} lists {name} twice, or more than {MOST_LISTED} files.")
        listed[name] = Contents(int(match["length"]), match["sha256"])
    return listed


def _text(path: Path) -> bytes:
    with path.open("rb") as file:
        text = file.read(LARGEST_LIST + 1)
    if len(text) > LARGEST_LIST:
        raise InputError(f"{path.name} has more than {LARGEST_LIST} bytes.")
    return text


def _contents(path: Path, lists: str) -> Contents:
    if path.is_symlink() or not path.is_file():
        raise InputError(f"{lists} lists {path.name}, which was not sent.")
    with path.open("rb") as file:
        return Contents(path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def _few(names: Iterable[str]) -> str:
    names = sorted(names)
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(f"{each:.{LONGEST_WORD}}" for each in names[:5]) + more or "none"
