"""
What a slave sends for a build of a Debian source package, compared with what that source may make.

::

    .dsc ──► SourcePackage ──┐
    target ──► arch, suffix ─┴─► DebianBuild.check(files) ◄── *.deb, *.changes, *.buildinfo, of a slave

A slave can put anything into packages, since it builds them.  But it cannot give a package the name, the version or the
architecture of another, which would replace that in a repository.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from attrs import frozen

from ..errors import InputError
from .control_text import read_paragraph
from .deb_file import read_deb
from .debian_architectures import matches
from .debian_source import checked_binary
from .source_package import LONGEST_WORD, SourcePackage, checked_file

LARGEST_LIST = 8 << 20
"""Bytes of a .changes or .buildinfo; that of a kernel's build has about 1 MB."""
MOST_RESULTS = 5000
"""Files of one build."""

PACKAGES = (".deb", ".udeb")
_LISTS = (".changes", ".buildinfo")
_DEBUG = "-dbgsym"
_LISTED = re.compile(r"(?P<sha256>[0-9a-f]{64}) +(?P<length>[0-9]{1,15}) +(?P<name>\S+)\Z")
_SOURCE = re.compile(r"(?P<name>\S+)(?: +\((?P<version>\S+)\))?\Z")


@frozen
class BinaryPackage:
    """
    A binary package: its *file*'s name, its *name*, *version* with the epoch, and *architecture*.
    """

    file: str
    name: str
    version: str
    architecture: str


@frozen
class DebianBuild:
    """
    A build of *source* for *architecture*, one of Debian's or "all"; *suffix* was appended to its version.
    """

    source: SourcePackage
    architecture: str
    suffix: str = ""

    @property
    def version(self) -> str:
        """
        That of the build, with the epoch.
        """
        return self.source.full_version + self.suffix

    def check(self, files: Iterable[Path]) -> tuple[BinaryPackage, ...]:
        """
        The binary packages among *files*, all that the slave sent.  They are read whole.  `InputError` unless each is
        well-formed and one that this build may make, and is listed with its digest in the one .changes; other files
        than packages, .changes and .buildinfo are not looked at.
        """
        found = {path.name: path for path in files}
        if len(found) > MOST_RESULTS:
            raise InputError(f"The build made {len(found)} files; at most {MOST_RESULTS} are allowed.")
        changes = self._check_list(found, ".changes")
        buildinfo = self._check_list(found, ".buildinfo")
        packages = [self._check_package(path) for path in found.values() if path.suffix in PACKAGES]
        if not packages:
            raise InputError(f"The build of {self.source} for {self.architecture} made no package.")
        for each in packages:
            for name, listed in (changes, buildinfo):
                if each.file not in listed:
                    raise InputError(f"{each.file} is not listed in {name}.")
        for name, listed in (changes, buildinfo):
            for file, (length, sha256) in listed.items():
                if file not in found:
                    raise InputError(f"{name} lists {file}, which was not sent.")
                if (found[file].stat().st_size, _sha256(found[file])) != (length, sha256):
                    raise InputError(f"{file} is not the file that {name} lists: its size or SHA-256 digest differs.")
        return tuple(sorted(packages, key=lambda each: each.file))

    def _check_list(self, found: Mapping[str, Path], kind: str) -> tuple[str, Mapping[str, tuple[int, str]]]:
        """
        The name of the only file of this *kind*, and the files that it lists, with their lengths and digests.
        """
        names = [name for name in found if name.endswith(kind)]
        wanted = f"{self.source.name}_{_without_epoch(self.version)}_{self.architecture}{kind}"
        if names != [wanted]:
            raise InputError(f"The build sent {_few(names)}, where {wanted} was expected.")
        if found[wanted].stat().st_size > LARGEST_LIST:
            raise InputError(f"{wanted} has more than {LARGEST_LIST} bytes.")
        fields = read_paragraph(found[wanted].read_bytes(), wanted)
        name, _ = _source(wanted, fields.get("source", ""))
        self._same(wanted, "Source", name, self.source.name)
        self._same(wanted, "Version", fields.get("version", ""), self.version)
        self._same(wanted, "Architecture", fields.get("architecture", ""), self.architecture)
        return wanted, _listed(wanted, fields.get("checksums-sha256", ""))

    def _check_package(self, path: Path) -> BinaryPackage:
        with path.open("rb") as file:
            fields = read_deb(file, path.name)
        name = checked_binary(fields.get("package", ""))
        version, architecture = fields.get("version", ""), fields.get("architecture", "")
        expected = f"{name}_{_without_epoch(version)}_{architecture}{path.suffix}"
        if path.name != expected:
            raise InputError(f"{path.name:.200} has the contents of {expected!r:.300}.")
        source, source_version = _source(path.name, fields.get("source", name))
        self._same(path.name, "Source", source, self.source.name)
        if not self._is_version(version, source_version):
            said = f"{version} of the source {source_version}" if source_version else version
            raise InputError(f"{path.name} has the version {said!r:.200}, but what was built is {self.version}.")
        self._same(path.name, "Architecture", architecture, self.architecture)
        self._check_made(path.name, name)
        return BinaryPackage(path.name, name, version, architecture)

    def _is_version(self, version: str, source_version: str | None) -> bool:
        # A source may give its packages versions of their own; they then name its version (Debian Policy 5.6.1).  A
        # build with a suffix may be one of the same source: then that is without the suffix, as in a "binNMU".
        if source_version is None:
            return version == self.version
        if source_version == self.source.full_version:
            return version.endswith(self.suffix)
        return source_version == self.version

    def _check_made(self, file: str, name: str) -> None:
        # debhelper makes a package of debug symbols for each package with programs.
        declared = self.source.binaries
        made = name if name in declared else name.removesuffix(_DEBUG)
        if made not in declared:
            raise InputError(f"{file} is no package that {self.source} makes; it makes {_few(declared)}.")
        architectures = declared[made]
        if architectures and not any(matches(each, self.architecture) for each in architectures):
            raise InputError(
                f"{file} is for {self.architecture}, but {self.source} makes {made} for {' '.join(architectures):.200}."
            )

    def _same(self, file: str, field: str, found: str, wanted: str) -> None:
        if found != wanted:
            raise InputError(f"{file} has the {field} {found!r:.200}, but what was built has {wanted!r:.200}.")


def _source(file: str, text: str) -> tuple[str, str | None]:
    match = _SOURCE.match(text)
    if match is None:
        raise InputError(f"{file} names no source package: {text!r:.200}")
    return match["name"], match["version"]


def _listed(file: str, field: str) -> Mapping[str, tuple[int, str]]:
    listed: dict[str, tuple[int, str]] = {}
    for line in filter(None, field.splitlines()):
        match = _LISTED.match(line)
        if match is None:
            raise InputError(f"{file} has a line in Checksums-Sha256 that lists no file: {line!r:.120}")
        name = checked_file(match["name"])
        if name in listed or len(listed) == MOST_RESULTS:
            raise InputError(f"{file} lists {name} twice, or more than {MOST_RESULTS} files.")
        listed[name] = (int(match["length"]), match["sha256"])
    return listed


def _without_epoch(version: str) -> str:
    return version.partition(":")[2] or version


def _few(names: Iterable[str]) -> str:
    names = sorted(names)
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(f"{each:.{LONGEST_WORD}}" for each in names[:5]) + more or "none"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
