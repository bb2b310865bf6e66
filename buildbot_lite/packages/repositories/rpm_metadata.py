"""
The metadata that dnf reads: ``repodata``, as createrepo_c makes it.

::

    packages/NAME-VERSION-RELEASE.ARCH.rpm
    repodata/repomd.xml                        signed: repomd.xml.asc
    repodata/DIGEST-primary.xml.gz …           also those of earlier snapshots

createrepo_c reads only the new packages.  What it wrote about the others is copied from the lists of the snapshot
before, because a package file never changes.
"""

import os
import shutil
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from attrs import evolve

from ...child_programs import ProgramError
from ...errors import InputError
from ...storage.files import sync_directory, write_whole
from ..formats.rpm_file import ARCH, NAME, RELEASE, SOURCE_RPM, VERSION, epoch_of, read_unchecked
from .created_lists import LISTS, CreatedLists
from .joined_lists import JoinedLists, ListedPackage, ListFile, join_lists, read_lists
from .metadata import Making
from .primary_metadata import IndexedPackage
from .snapshots import PUBLIC_FILE, make_public_directory
from .tools import blamed, output_of_tool

_REPODATA = "repodata"
_REPOMD = f"{_REPODATA}/repomd.xml"
_RECORD = "lists.json"
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
        before, before_directory = _before(making)
        known = before.packages()
        kept = {name for name, file in making.packages.items() if name not in new and known.get(name) == file.sha256}
        unknown = [name for name in making.packages if name not in kept]
        directory = os.path.join(making.tree, _REPODATA)
        make_public_directory(directory)
        join = partial(join_lists, before, before_directory, kept, many=len(making.packages), directory=directory)
        if unknown or not before.frames:
            with self._created(making, unknown) as created:
                self._compare(making, new, unknown, created.indexed)
                lists = join(self._packages(making, created), created.frames())
        else:
            lists = join([], before.frames)
        write_whole(os.path.join(making.state, _RECORD), lists.to_json())
        write_whole(os.path.join(making.tree, _REPOMD), _repomd(lists.files), mode=PUBLIC_FILE)
        sync_directory(directory)
        return [f"{_REPODATA}/{each.name}" for each in lists.files]

    @contextmanager
    def _created(self, making: Making, names: Sequence[str]) -> Iterator[CreatedLists]:
        """
        The lists of the packages *names*, as createrepo_c writes them.  A new package whose lists cannot be read when
        this context uses them is blamed, as one with which createrepo_c fails is.
        """
        alone = os.path.join(making.state, _ALONE)

        def read(some: Sequence[str]) -> None:
            created = self._run(making, some, alone)
            created.frames()
            for _ in created.texts():
                pass

        try:
            yield self._run(making, names, alone)
        except ProgramError as error:
            raise blamed(error, making.new, read, making.state, making.unwanted) from None
        finally:
            shutil.rmtree(alone, ignore_errors=True)

    def _run(self, making: Making, names: Sequence[str], alone: str) -> CreatedLists:
        shutil.rmtree(alone, ignore_errors=True)
        os.makedirs(os.path.join(alone, self.directory))
        for name in names:
            os.link(os.path.join(making.tree, self.directory, name), os.path.join(alone, self.directory, name))
        words = ["createrepo_c", "--quiet", "--no-database", "--general-compress-type", "gz", "."]
        output_of_tool(words, alone, _FAILED, making.unwanted)
        return CreatedLists(os.path.join(alone, _REPODATA))

    def _packages(self, making: Making, created: CreatedLists) -> Iterator[tuple[str, ListedPackage, Sequence[bytes]]]:
        for location, texts in created.texts():
            name = os.path.basename(location)
            yield name, ListedPackage(making.packages[name].sha256, tuple(map(len, texts))), texts

    def _compare(
        self,
        making: Making,
        new: Mapping[str, IndexedPackage],
        names: Collection[str],
        indexed: Mapping[str, IndexedPackage],
    ) -> None:
        """
        Compare the packages *names* that clients will see with those that the farm has read, because programs read
        damaged packages in different ways.
        """
        for name in names:
            file = making.packages[name]
            found = indexed.get(f"{self.directory}/{name}")
            if name in new:
                # createrepo_c leaves out packages that it cannot read, and succeeds.
                if found is None:
                    raise InputError(f"{name} is a package that createrepo_c cannot read, so it is not published.")
                if found != evolve(new[name], sha256=file.sha256):
                    raise InputError(f"{name} is another package for createrepo_c than for the farm: {found}.")
            elif found is None or found.sha256 != file.sha256:
                raise ProgramError(f"{_FAILED}: createrepo_c does not read {name} as before.")
        if len(indexed) != len(names):
            raise ProgramError(f"{_FAILED}: createrepo_c lists packages that are not in the repository.")


def _before(making: Making) -> tuple[JoinedLists, str]:
    """
    The lists of the current snapshot, and their directory.
    """
    if making.before is None or making.before_tree is None:
        return JoinedLists(), ""
    directory = os.path.join(making.before_tree, _REPODATA)
    return read_lists(os.path.join(making.before, _RECORD), directory), directory


def _repomd(files: Sequence[ListFile]) -> bytes:
    """
    The index of the lists, as createrepo_c writes it.
    """
    now = int(time.time())
    rows = [
        f'  <data type="{kind}">\n'
        f'    <checksum type="sha256">{file.sha256}</checksum>\n'
        f'    <open-checksum type="sha256">{file.open_sha256}</open-checksum>\n'
        f'    <location href="{_REPODATA}/{file.name}"/>\n'
        f"    <timestamp>{now}</timestamp>\n"
        f"    <size>{file.size}</size>\n"
        f"    <open-size>{file.open_size}</open-size>\n"
        f"  </data>\n"
        for kind, file in zip(LISTS, files, strict=True)
    ]
    head = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<repomd xmlns="http://linux.duke.edu/metadata/repo" '
        f'xmlns:rpm="http://linux.duke.edu/metadata/rpm">\n  <revision>{now}</revision>\n'
    )
    return f"{head}{''.join(rows)}</repomd>\n".encode()


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
