"""
The description of a Debian source package, a .dsc (Debian Policy 5.4, dsc(5)).
"""

import re
from collections.abc import Mapping

from ...errors import InputError
from .control_text import read_paragraph
from .source_package import (
    DEB,
    LONGEST_WORD,
    ListedFile,
    SourcePackage,
    checked_architectures,
    checked_file,
    checked_version,
)

LARGEST_DSC = 1 << 20
"""Bytes of a .dsc; those of Debian's largest packages have less than 100 KB."""
MOST_FILES = 200

_LINE = re.compile(r"(?P<sha256>[0-9a-f]{64}) +(?P<length>[0-9]{1,15}) +(?P<name>\S+)\Z")
# Debian Policy 5.6.1 and 5.6.7.
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+\Z")
_NEEDED = ("source", "version", "architecture", "binary", "checksums-sha256")
_ARCHITECTURE = re.compile(r"[a-z0-9]+(-[a-z0-9]+){0,3}\Z")


def read_dsc(text: bytes) -> SourcePackage:
    """
    The package that a .dsc describes.  A signature is not checked.  `InputError` says what is wrong.
    """
    fields = read_paragraph(text)
    for name in _NEEDED:
        if not fields.get(name, "").strip():
            raise InputError(f"The .dsc has no field {name.title()}: it is damaged, or no description of a source.")
    epoch, colon, version = fields["version"].rpartition(":")
    if colon and not epoch:
        raise InputError(f"{fields['version']!r:.128} is no version: there is nothing before the colon.")
    checked_version(version, epoch)
    return SourcePackage(
        family=DEB,
        name=_checked(fields["source"], "a source package"),
        epoch=epoch,
        version=version,
        architectures=checked_architectures(fields["architecture"].split(), _ARCHITECTURE, "Debian"),
        files=_files(fields["checksums-sha256"]),
        binaries=_binaries(fields),
    )


def checked_binary(name: str) -> str:
    """
    *name*, the name of a binary package (Debian Policy 5.6.7); `InputError` when it is none.
    """
    return _checked(name, "a package")


def _checked(name: str, what: str) -> str:
    if len(name) > LONGEST_WORD or not _PACKAGE.match(name):
        raise InputError(f"{name!r:.{LONGEST_WORD}} is no name of {what}: small letters, digits and + . - are allowed.")
    return name


def _binaries(fields: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    # The field Package-List (dsc(5)): on each line a name, its type, section and priority, and "arch=any,all".  Older
    # versions of dpkg do not write it; then the field Binary has the names.
    found: dict[str, tuple[str, ...]] = {
        checked_binary(name): () for name in fields["binary"].replace(",", " ").split()
    }
    for words in map(str.split, fields.get("package-list", "").split("\n")):
        declared = next((word.removeprefix("arch=") for word in words if word.startswith("arch=")), "")
        if words:
            architectures = checked_architectures(declared.split(",") if declared else [], _ARCHITECTURE, "Debian")
            found[checked_binary(words[0])] = architectures
    return found


def _files(field: str) -> dict[str, ListedFile]:
    files: dict[str, ListedFile] = {}
    for line in filter(None, field.split("\n")):
        match = _LINE.match(line)
        if match is None:
            raise InputError(f"The .dsc has a line in Checksums-Sha256 that lists no file: {line!r:.120}")
        name = checked_file(match["name"])
        if name in files:
            raise InputError(f"The .dsc lists {name} twice.")
        files[name] = ListedFile(name, int(match["length"]), match["sha256"])
    if len(files) > MOST_FILES:
        raise InputError(f"The .dsc lists {len(files)} files; at most {MOST_FILES} are allowed.")
    return files
