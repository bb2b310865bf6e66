"""
The packages that a build made, compared with its source package.

The files come from a slave.  A slave is trusted to build the packages of the source that it was given, and no others.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import IO

from attrs import frozen

from ...errors import FileError, InputError, sentence
from .built_deb import Contents, check_lists, describe_deb
from .built_rpm import describe_rpm
from .package_description import Description, DescriptionReader
from .source_package import DEB, RPM, SourcePackage

MOST_BUILT = 10_000
"""Packages of one build; the largest of Fedora make about 6,000."""
_PIECE = 1 << 20


@frozen
class BuiltPackage:
    """
    One package that a build made.  *path*: of its file.  *length*: bytes.  *version*: with the release, without the
    epoch.  *source_version*: that of the source package as it was built, in the same form.
    """

    path: Path
    length: int
    sha256: str
    name: str
    epoch: str
    version: str
    architecture: str
    source_version: str


_READERS: Mapping[str, tuple[tuple[str, ...], DescriptionReader]] = {
    DEB: ((".deb", ".udeb"), describe_deb),
    RPM: ((".rpm",), describe_rpm),
}
"""Family → the endings of its packages' names, and what reads them."""


def built_packages(directory: Path, source: SourcePackage, architecture: str, suffix: str = "") -> list[BuiltPackage]:
    """
    The packages in *directory*, by the names of their files.

    *source*: what was built.  *architecture*: for which, in the words of the plan.  *suffix*: what the target appends
    to the version (Debian), or has as the value of ``%dist`` (RPM).  Other files in *directory* are left alone.
    `InputError` says in one sentence what is damaged, is of another source, version or architecture, is there twice, or
    that nothing was made; `FileError` when something cannot be read.  Reads everything, so call it in a thread.
    """
    endings, read = _READERS[source.family]
    foreign = tuple(ending for family, (ends, _) in _READERS.items() if family != source.family for ending in ends)
    for name in sorted(os.listdir(directory)):
        # The farm cannot read such a file, so nobody shall sign it.
        if name.endswith(foreign):
            raise InputError(f"The build for {architecture} made {name!r:.200}, which is no package of this target.")
    names = [name for name in sorted(os.listdir(directory)) if name.endswith(endings)]
    if len(names) > MOST_BUILT:
        raise InputError(f"The build for {architecture} has {len(names)} packages; at most {MOST_BUILT} are allowed.")
    found: dict[tuple[str, str], BuiltPackage] = {}
    for name in names:
        built = _read(directory / name, partial(read, source=source, architecture=architecture, suffix=suffix))
        other = found.setdefault((built.name, built.architecture), built)
        if other is not built:
            raise InputError(f"{other.path.name} and {name} are the same package, {built.name}.")
    if not found:
        raise InputError(f"The build of {source} for {architecture} made no package.")
    if source.family == DEB:
        files = {each.path.name: Contents(each.length, each.sha256) for each in found.values()}
        check_lists(directory, files, source=source, architecture=architecture, suffix=suffix)
    return list(found.values())


def _read(path: Path, describe: Callable[[IO[bytes], str], Description]) -> BuiltPackage:
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise InputError(f"{path.name!r:.200} is no file.")
            said = describe(file, path.name)
            file.seek(0)
            digest = hashlib.sha256()
            while piece := file.read(_PIECE):
                digest.update(piece)
            length = file.tell()
    except OSError as error:
        raise FileError(sentence(error)) from None
    return BuiltPackage(
        path, length, digest.hexdigest(), said.name, said.epoch, said.version, said.architecture, said.source_version
    )
