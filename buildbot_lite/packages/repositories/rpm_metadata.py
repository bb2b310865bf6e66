"""
What dnf reads: ``repodata``, made by createrepo_c.

::

    packages/NAME-VERSION-RELEASE.ARCH.rpm
    repodata/repomd.xml                        signed: repomd.xml.asc
    repodata/DIGEST-primary.xml.gz …           also those of earlier snapshots

createrepo_c reads the new packages alone; what it knows of the others is in the metadata of the snapshot before
(``--update``), which it takes for a package file with the same name, size and time.
"""

import gzip
import os
import re
from collections.abc import Sequence

from ...child_programs import ProgramError
from ...errors import InputError
from ...storage.files import sync_directory
from ..rpm_header import read_header, read_lead
from .repository import Making
from .snapshots import PUBLIC_DIRECTORY, PUBLIC_FILE
from .tools import output_of_tool

_NAME, _VERSION, _RELEASE, _ARCH, _SOURCERPM = 1000, 1001, 1002, 1022, 1044
_REPOMD = "repodata/repomd.xml"
_LIST = "packages.list"
_COUNT = re.compile(rb'<metadata [^>]*packages="(?P<count>[0-9]{1,9})"')
_BEGINNING = 4096


class RpmMetadata:
    """
    Metadata for dnf, yum and zypper.
    """

    directory = "packages"
    to_sign = (_REPOMD,)
    signatures = (f"{_REPOMD}.asc",)

    def make(self, making: Making) -> Sequence[str]:
        for name in making.new:
            _check(name, os.path.join(making.tree, self.directory, name))
        listed = os.path.join(making.state, _LIST)
        with open(listed, "w", encoding="utf-8") as file:
            file.writelines(f"{self.directory}/{name}\n" for name in sorted(making.packages))
        before = ["--update", "--update-md-path", making.before_tree] if making.before_tree else []
        words = ["createrepo_c", "--quiet", "--no-database", "--unique-md-filenames", *before, "--pkglist", listed, "."]
        output_of_tool(words, making.tree, "The metadata of the repository could not be made", making.unwanted)
        os.unlink(listed)
        return self._checked(making)

    def _checked(self, making: Making) -> Sequence[str]:
        """
        The metadata with unique names, synced to the disk.
        """
        directory = os.path.join(making.tree, "repodata")
        os.chmod(directory, PUBLIC_DIRECTORY)
        names = os.listdir(directory)
        for name in names:
            descriptor = os.open(os.path.join(directory, name), os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fchmod(descriptor, PUBLIC_FILE)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        sync_directory(directory)
        # createrepo_c leaves out packages that it cannot read, and succeeds.
        primary = next((name for name in names if name.endswith("-primary.xml.gz")), "")
        if not primary or _count(os.path.join(directory, primary)) != len(making.packages):
            raise ProgramError(
                "The metadata of the repository could not be made: createrepo_c could not read a package."
            )
        return [f"repodata/{name}" for name in names if not name.startswith("repomd.xml")]


def _count(path: str) -> int:
    with gzip.open(path) as file:
        match = _COUNT.search(file.read(_BEGINNING))
    return int(match["count"]) if match else -1


def _check(name: str, path: str) -> None:
    with open(path, "rb") as file:
        read_lead(file)
        read_header(file, padded=True)
        header = read_header(file)
    package = "-".join(header.text(each) for each in (_NAME, _VERSION, _RELEASE))
    architecture = header.text(_ARCH) if header.text(_SOURCERPM) else "src"
    if name != f"{package}.{architecture}.rpm":
        raise InputError(f"{name} is the package {package} for {architecture}, so its name is wrong.")
