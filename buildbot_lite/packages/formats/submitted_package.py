"""
The source package in a submitted file: a source RPM, or a tar archive of a .dsc or source RPM and the files beside it.
"""

import hashlib
from collections.abc import Iterable
from typing import IO

from attrs import frozen

from ...errors import InputError
from ...storage.archive_input import Archive, Bounds, open_archive
from ...storage.inputs import LARGEST_INPUT
from .debian_source import LARGEST_DSC, read_dsc
from .rpm_header import LEAD_MAGIC
from .rpm_source import read_srpm
from .source_package import SourcePackage

BOUNDS = Bounds(size=LARGEST_INPUT, members=1000)
"""Limits of a submitted archive: unpacked bytes (source packages inside it are already compressed), and members."""
MOST_NAMED = 3
"""Files that one sentence names."""

_DSC, _SRPM = ".dsc", ".src.rpm"
SIGNED = b"-----BEGIN PGP SIGNED MESSAGE-----"
"""The beginning of a .dsc with a signature."""
_DSC_BEGINNINGS = (SIGNED, b"Format:", b"Source:")
_LONGEST_BEGINNING = 64
_PIECE = 1 << 20
_WANTED = (
    "A source package is a .dsc with the files that it lists, in an archive of them (tar -C DIRECTORY -c FILE…), "
    "or a .src.rpm.  What is in git is built of a tag."
)


@frozen
class SubmittedPackage:
    """
    *main*: the name of the .dsc or source RPM in the archive; "" if a source RPM was submitted without an archive.
    *unused*: the files of the archive that do not belong to the package.  *description*: the text of the .dsc, with its
    signature; empty for a source RPM.
    """

    package: SourcePackage
    main: str
    unused: tuple[str, ...] = ()
    description: bytes = b""


def examine(file: IO[bytes]) -> SubmittedPackage:
    """
    The package in *file*, which is open for reading at its beginning.  Everything is read once and checked against the
    digests that the package lists.  `InputError` says what is missing, damaged or too much.
    """
    beginning = file.read(_LONGEST_BEGINNING)
    file.seek(0)
    if beginning.startswith(LEAD_MAGIC):
        return SubmittedPackage(read_srpm(file), "")
    if beginning.startswith(_DSC_BEGINNINGS):
        raise InputError("That is a .dsc without its files.  Submit them together: tar -c NAME_VERSION* | …")
    with open_archive(file, BOUNDS) as archive:
        return _in_archive(archive)


def _in_archive(archive: Archive) -> SubmittedPackage:
    found: dict[str, tuple[int, str]] = {}
    packages: dict[str, SourcePackage] = {}
    texts: dict[str, bytes] = {}
    for member in archive.members():
        if member.isdir():
            continue
        name = member.name.removeprefix("./")
        _check_place(name, is_file=member.isreg())
        if member.issparse():
            # A header of 512 bytes can describe one that takes for ever to read.
            raise InputError(f"The archive has {name!r:.200} as a sparse file.  Make it without tar's option --sparse.")
        if name in found:
            raise InputError(f"The archive has {name!r:.200} twice.")
        contents = archive.contents(member)
        if name.endswith(_SRPM):
            packages[name] = read_srpm(contents)
            found[name] = (member.size, "")
        elif name.endswith(_DSC):
            if member.size > LARGEST_DSC:
                raise InputError(f"{name!r:.200} has {member.size} bytes; a .dsc has at most {LARGEST_DSC}.")
            texts[name] = contents.read()
            packages[name] = read_dsc(texts[name])
            found[name] = (member.size, "")
        else:
            found[name] = (member.size, _sha256(contents))
    main, package = _only(packages)
    _check_files(main, package, found)
    unused = tuple(sorted(found.keys() - package.files.keys() - {main}))
    return SubmittedPackage(package, main, unused, texts.get(main, b""))


def _check_place(name: str, *, is_file: bool) -> None:
    if not is_file:
        raise InputError(f"The archive has {name!r:.200}, which is no file.  {_WANTED}")
    if name.startswith("."):
        raise InputError(f"The archive has {name!r:.200}, which is no name of a file of a source package.")
    if "/" in name:
        raise InputError(f"The archive has {name!r:.200} in a directory.  {_WANTED}")


def _only(packages: dict[str, SourcePackage]) -> tuple[str, SourcePackage]:
    if not packages:
        raise InputError(f"The archive has no source package: neither a .dsc nor a .src.rpm.  {_WANTED}")
    if len(packages) > 1:
        raise InputError(
            f"The archive has {_names(packages)}.  Submit one source package at a time, or a chain of them with: "
            "buildbot-lite package build"
        )
    return next(iter(packages.items()))


def _check_files(main: str, package: SourcePackage, found: dict[str, tuple[int, str]]) -> None:
    missing = [name for name in package.files if name not in found]
    if missing:
        raise InputError(f"{main} lists {_names(missing)}, missing in the archive.")
    for listed in package.files.values():
        length, sha256 = found[listed.name]
        if length != listed.length:
            raise InputError(f"{listed.name} has {length} bytes, but {main} says {listed.length}.")
        if sha256 != listed.sha256:
            raise InputError(f"{listed.name} does not have the SHA-256 digest that {main} says.")


def _names(names: Iterable[str]) -> str:
    names = sorted(names)
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(f"{name!r:.200}" for name in names[:MOST_NAMED]) + more


def _sha256(contents: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while piece := contents.read(_PIECE):
        digest.update(piece)
    return digest.hexdigest()
