"""
A source package, as its metadata describe it.
"""

import re
from collections.abc import Mapping, Sequence

from attrs import field, frozen

from ...errors import InputError
from .architectures import RpmArchitectures

DEB = "deb"
RPM = "rpm"
LONGEST_WORD = 128
"""Characters of a package's name, and of its version."""
MOST_DECLARED = 200
"""Architectures that one field of a package lists; Debian and Fedora have fewer."""
LONGEST_ARCHITECTURE = 40

# Debian Policy 5.6.1 and 5.6.12; names of RPM packages may have capitals, "_" and a short length, too.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*\Z")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~^_-]*\Z")
_EPOCH = re.compile(r"[0-9]{1,9}\Z")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._~^%@=-]*\Z")


@frozen
class ListedFile:
    """
    A file of a source package, as its description lists it.  *length*: bytes.
    """

    name: str
    length: int
    sha256: str


@frozen
class SourcePackage:
    """
    *family*: `DEB` or `RPM`.  *epoch*: "" when there is none.  *version*: with the release, without the epoch; it and
    *name* have no character that would be special in a path or in a shell.  *architectures*: the words of the field
    Architecture of a .dsc, or the `RpmArchitectures` of a source RPM.  *files*: those that a .dsc lists, by name.
    *binaries*: by name, the packages that are built from it according to the .dsc, each with its architectures and
    wildcards; empty where the .dsc does not say these.
    """

    family: str
    name: str
    epoch: str
    version: str
    architectures: tuple[str, ...] | RpmArchitectures
    files: Mapping[str, ListedFile] = field(factory=dict)
    binaries: Mapping[str, tuple[str, ...]] = field(factory=dict)

    @property
    def full_version(self) -> str:
        """
        The version as people write it, with the epoch.
        """
        return f"{self.epoch}:{self.version}" if self.epoch else self.version

    @property
    def source_rpm(self) -> str:
        """
        The usual name of the file of a source RPM.
        """
        return f"{self.name}-{self.version}.src.rpm"

    def __str__(self) -> str:
        return f"{self.name} {self.full_version}"


def checked_name(name: str) -> str:
    """
    *name*, the name of a package; `InputError` when it has characters that it may not have.
    """
    if len(name) > LONGEST_WORD or not _NAME.match(name):
        raise InputError(
            f"{name!r:.{LONGEST_WORD}} is no name of a source package: letters, digits and + . _ - are allowed."
        )
    return name


def checked_version(version: str, epoch: str = "") -> tuple[str, str]:
    """
    *epoch* and *version*; `InputError` when one has characters that it may not have.
    """
    if len(version) > LONGEST_WORD or not _VERSION.match(version) or (epoch and not _EPOCH.match(epoch)):
        full = f"{epoch}:{version}" if epoch else version
        raise InputError(
            f"{full!r:.{LONGEST_WORD}} is no version of a source package: letters, digits and . + ~ ^ _ - are allowed."
        )
    return epoch, version


def checked_file(name: str) -> str:
    """
    *name*, the name of a file of a package; `InputError` when it is a path or has odd characters.
    """
    if len(name) > 2 * LONGEST_WORD or not _FILE.match(name):
        raise InputError(f"{name!r:.{LONGEST_WORD}} is no name of a file of a source package.")
    return name


def checked_architectures(words: Sequence[str], pattern: re.Pattern[str], whose: str) -> tuple[str, ...]:
    """
    *words*, which a package declares; `InputError` when there are too many, or one is not like *pattern*.  *whose*
    architectures they are: "Debian" or "RPM".
    """
    if len(words) > MOST_DECLARED:
        raise InputError(f"The package is for {len(words)} architectures; at most {MOST_DECLARED} are allowed.")
    for word in words:
        if len(word) > LONGEST_ARCHITECTURE or not pattern.match(word):
            raise InputError(f"The package is for {word!r:.60}, which is no architecture of {whose}.")
    return tuple(words)
