"""
Source packages on the maintainer's machine: which files belong together, and the file that is submitted for them.
"""

import os
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from typing import IO

from ...errors import FileError, InputError, sentence
from ...packages.formats.debian_source import LARGEST_DSC, read_dsc
from ...packages.formats.submitted_package import SubmittedPackage, examine
from ...storage.inputs import LARGEST_INPUT

_PIECE = 1 << 20
_DSC, _SRPM = ".dsc", ".src.rpm"


def packages_of(paths: Sequence[str]) -> list[list[str]]:
    """
    *paths*, those of each source package together, the packages in the order in which they are named.  A .dsc has the
    files that it lists; without a .dsc, each path is a package.  `InputError` when a file belongs to none of several.
    """
    unique = list({os.path.realpath(path): path for path in reversed(paths)}.values())[::-1]
    listed = {path: _listed(path) for path in unique if path.endswith(_DSC)}
    packages = {path: [path] for path in unique if path in listed or not listed or path.endswith(_SRPM)}
    for path in unique:
        if path not in packages:
            packages[_owner(path, listed, packages)].append(path)
    return list(packages.values())


def _owner(path: str, listed: Mapping[str, Sequence[str]], packages: Mapping[str, Sequence[str]]) -> str:
    owner = next((dsc for dsc, names in listed.items() if os.path.basename(path) in names), None)
    if owner is None and len(packages) > 1:
        raise InputError(f"{path!r:.200} belongs to none of these packages: no .dsc lists it.")
    return next(iter(packages)) if owner is None else owner


def submittable(paths: Sequence[str]) -> IO[bytes]:
    """
    The file to submit for *paths*: one that is an archive or a source RPM itself; or a new archive of a .dsc, the files
    that it lists, and other files.  `InputError`, `FileError`.
    """
    if len(paths) == 1 and not paths[0].endswith(_DSC):
        return _seekable(_opened(paths[0]))
    files = {os.path.realpath(path): path for path in paths}
    for path in paths:
        if path.endswith(_DSC):
            beside = [os.path.join(os.path.dirname(path), name) for name in _listed(path)]
            files.update({os.path.realpath(each): each for each in beside})
    target: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    with tarfile.open(fileobj=target, mode="w") as archive:
        for path in files.values():
            with _opened_file(path) as file:
                member = tarfile.TarInfo(os.path.basename(path))
                member.size = os.fstat(file.fileno()).st_size
                archive.addfile(member, file)
    return target


def examine_again(file: IO[bytes]) -> SubmittedPackage:
    """
    The package in *file*, from its beginning, as the master will find it.
    """
    file.seek(0)
    # Examining an archive closes the file that it reads.
    with os.fdopen(os.dup(file.fileno()), "rb") as again:
        return examine(again)


def _listed(path: str) -> Sequence[str]:
    with _opened_file(path) as dsc:
        return tuple(read_dsc(dsc.read(LARGEST_DSC)).files)


def _opened(path: str) -> IO[bytes]:
    try:
        return open(path, "rb")
    except OSError as error:
        raise FileError(sentence(error)) from None


def _opened_file(path: str) -> IO[bytes]:
    # A .dsc and what it lists is read more than once, and to open a pipe is to wait for its writer.
    if os.path.exists(path) and not os.path.isfile(path):
        raise FileError(f"{path!r:.200} is no file.")
    return _opened(path)


def _seekable(file: IO[bytes]) -> IO[bytes]:
    """
    *file*, or what a pipe contains, which is read once only.  `InputError` when that is more than is ever taken.
    """
    if file.seekable():
        return file
    target: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    with file:
        while piece := file.read(_PIECE):
            target.write(piece)
            if target.tell() > LARGEST_INPUT:
                target.close()
                raise InputError(f"The package has more than {LARGEST_INPUT} bytes.")
    return target
