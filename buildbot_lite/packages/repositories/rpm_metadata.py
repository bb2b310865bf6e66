"""
The metadata that dnf reads: ``repodata``, made by createrepo_c.

::

    packages/NAME-VERSION-RELEASE.ARCH.rpm
    repodata/repomd.xml                        signed: repomd.xml.asc
    repodata/DIGEST-primary.xml.gz …           also those of earlier snapshots

createrepo_c reads only the new packages.  For package files with the same name, size and time as before, it copies the
metadata of the snapshot before (``--update``).
"""

import os
import shutil
from collections.abc import Mapping, Sequence

from attrs import evolve

from ...child_programs import ProgramError
from ...errors import InputError
from ...storage.files import sync_directory
from ..rpm_file import ARCH, NAME, RELEASE, SOURCE_RPM, VERSION, epoch_of, read_unchecked
from .primary_metadata import IndexedPackage, read_primary
from .repository import Making
from .snapshots import PUBLIC_DIRECTORY, PUBLIC_FILE
from .tools import blamed, output_of_tool

_REPOMD = "repodata/repomd.xml"
_LIST = "packages.list"
_ALONE = "alone"
_FAILED = "The metadata of the repository could not be made"


class RpmMetadata:
    """
    Metadata for dnf, yum and zypper.
    """

    directory = "packages"
    to_sign = (_REPOMD,)
    signatures = (f"{_REPOMD}.asc",)

    def version(self, path: str) -> str:
        return rpm_version(path)

    def make(self, making: Making) -> Sequence[str]:
        new = {name: _described(os.path.join(making.tree, self.directory, name)) for name in making.new}
        for name, package in new.items():
            without_epoch = package.version.partition(":")[2]
            if name != f"{package.name}-{without_epoch}.{package.architecture}.rpm":
                raise InputError(f"{name} is the package {package}, so its name is wrong.")
        before = ["--update", "--update-md-path", making.before_tree] if making.before_tree else []
        try:
            self._run(making, sorted(making.packages), before)
        except ProgramError as error:
            raise blamed(
                error, making.new, lambda names: self._run_alone(making, names), making.state, making.unwanted
            ) from None
        return self._checked(making, new)

    def _run(self, making: Making, names: Sequence[str], options: Sequence[str]) -> None:
        listed = os.path.join(making.state, _LIST)
        with open(listed, "w", encoding="utf-8") as file:
            file.writelines(f"{self.directory}/{name}\n" for name in names)
        words = [
            "createrepo_c",
            "--quiet",
            "--no-database",
            "--unique-md-filenames",
            *options,
            "--pkglist",
            listed,
            ".",
        ]
        output_of_tool(words, making.tree, _FAILED, making.unwanted)
        os.unlink(listed)

    def _run_alone(self, making: Making, names: Sequence[str]) -> None:
        directory = os.path.join(making.state, _ALONE)
        os.makedirs(directory)
        try:
            self._run(making, names, ["--outputdir", directory])
        finally:
            shutil.rmtree(directory)

    def _checked(self, making: Making, new: Mapping[str, IndexedPackage]) -> Sequence[str]:
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
        primary = next((name for name in names if name.endswith("-primary.xml.gz")), "")
        if not primary:
            raise ProgramError(f"{_FAILED}: createrepo_c wrote no list of packages.")
        self._compare(making, new, read_primary(os.path.join(directory, primary)))
        return [f"repodata/{name}" for name in names if not name.startswith("repomd.xml")]

    def _compare(
        self, making: Making, new: Mapping[str, IndexedPackage], indexed: Mapping[str, IndexedPackage]
    ) -> None:
        """
        Compare the packages that clients will see with those that the farm has read, because programs read damaged
        packages in different ways.
        """
        for name, file in making.packages.items():
            found = indexed.get(f"{self.directory}/{name}")
            if name in new:
                # createrepo_c leaves out packages that it cannot read, and succeeds.
                if found is None:
                    raise InputError(f"{name} is a package that createrepo_c cannot read, so it is not published.")
                if found != evolve(new[name], sha256=file.sha256):
                    raise InputError(f"{name} is another package for createrepo_c than for the farm: {found}.")
            elif found is None or found.sha256 != file.sha256:
                raise ProgramError(f"{_FAILED}: createrepo_c does not read {name} as before.")
        if len(indexed) != len(making.packages):
            raise ProgramError(f"{_FAILED}: createrepo_c lists packages that are not in the repository.")


def rpm_version(path: str) -> str:
    """
    The version of the RPM package *path*, "EPOCH:VERSION-RELEASE".  `InputError` when it is no package.
    """
    return _described(path).version


def _described(path: str) -> IndexedPackage:
    """
    The package in the file *path*, without its digest.
    """
    with open(path, "rb") as file:
        header = read_unchecked(file)
    return IndexedPackage(
        header.text(NAME),
        f"{epoch_of(header) or '0'}:{header.text(VERSION)}-{header.text(RELEASE)}",
        header.text(ARCH) if header.text(SOURCE_RPM) else "src",
        "",
    )
