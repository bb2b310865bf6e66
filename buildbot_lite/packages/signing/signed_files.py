"""
The files of one target's signatures: those that have arrived, signed packages, the signatures of a snapshot's index.

::

    <directory>/signatures/<id>                        of packages, until they are in the repository
    <directory>/signed/<job>/<architecture>/<package>  copies with their signatures, from which a snapshot is made
    <directory>/index/<snapshot>/<file>                InRelease, Release.gpg or repomd.xml.asc, until it is public

All methods take long: call them in a thread.
"""

import os
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from glob import escape as glob_escape
from glob import glob
from typing import Protocol

from attrs import evolve, frozen

from ...errors import InputError, RefusedError
from ...storage.files import make_directory, write_whole
from ..results import JobResults, ResultFile
from .openpgp import read_signature
from .rpm_signature import header_to_sign, write_signed
from .signature_store import SignatureStore, id_of
from .verification import TargetKey
from .wanted_signatures import (
    ToSign,
    checked_files,
    digest_of_file,
    is_signed_itself,
    of_index,
    of_package,
)

PUBLIC = "public"
"""The kind of snapshot that is signed."""


class Snapshots(Protocol):
    """
    The repository of a target, as `repositories.repository.Repository` is one.
    """

    def prepare(self, kind: str, files: Collection[str]) -> str:
        """
        Make a snapshot with *files* added, which nobody sees yet; returns its name.
        """

    def to_sign(self, name: str) -> Mapping[str, bytes]:
        """
        Its index by file name; `InputError` when another one took its place.
        """

    def publish(self, name: str, signatures: Mapping[str, bytes] | None = None) -> None:
        """
        Let clients see it, with *signatures* by file name.
        """


def published(results: JobResults) -> Sequence[ResultFile]:
    """
    The packages of *results* that go into a repository: not those for the installer of Debian.  A noarch package that
    several builds made, which was found to be the same in all of them, is that of the first one.
    """
    by_name = {file.name: file for file in reversed(results.packages) if file.name.endswith((".deb", ".rpm"))}
    return sorted(by_name.values(), key=lambda file: (file.architecture, file.name))


@frozen
class SignedFiles:
    """
    In *directory*.  *key*, *snapshots*: return the target's public key and its repository, as the configuration in
    force says.
    """

    directory: str
    key: Callable[[], TargetKey]
    snapshots: Callable[[], Snapshots]

    def wanted(self, results: JobResults) -> Sequence[ToSign]:
        """
        The signatures that the packages of *results* need.
        """
        return [of_package(results, file) for file in published(results) if is_signed_itself(file)]

    def missing(self, wanted: Sequence[ToSign]) -> Sequence[ToSign]:
        """
        Those of *wanted* that have not arrived.
        """
        return [each for each in wanted if self._store.get(each.id) is None]

    def size(self, results: JobResults) -> int:
        """
        Bytes of all packages.
        """
        return sum(os.path.getsize(results.path(file)) for file in published(results))

    def keep(self, signatures: Sequence[tuple[ToSign, bytes]]) -> None:
        """
        Check each signature, and keep it.
        """
        key = self.key()
        for each, signature in signatures:
            key.check_signature(each.read(), signature, each.name)
            self._store.put(each.id, signature)

    def prepare(self, results: Mapping[int, JobResults]) -> tuple[str, Sequence[ToSign]]:
        """
        A snapshot with the signed packages of *results*, by job: its name, and the signatures that its index needs.
        """
        signed = [self._with_signatures(job, each) for job, each in results.items()]
        files = [(each.path(file), file) for each in signed for file in published(each)]
        self.key().check_packages([path for path, file in files if is_signed_itself(file)])
        snapshots = self.snapshots()
        name = snapshots.prepare(PUBLIC, [path for path, _ in files])
        indexes = snapshots.to_sign(name)
        return name, [each for index, contents in indexes.items() for each in of_index(index, contents)]

    def is_prepared(self, snapshot: str) -> bool:
        """
        Whether *snapshot* can still be published.
        """
        try:
            return bool(self.snapshots().to_sign(snapshot))
        except InputError:
            return False

    def sign_index(self, snapshot: str, signatures: Mapping[str, bytes]) -> None:
        """
        Check the *signatures* of the index of *snapshot*, by id, and keep the files that are made of them.
        """
        key = self.key()
        files: dict[str, bytes] = {}
        for name, contents in self.snapshots().to_sign(snapshot).items():
            files.update(checked_files(name, contents, signatures, key))
        directory = os.path.join(self.directory, "index", snapshot)
        shutil.rmtree(os.path.join(self.directory, "index"), ignore_errors=True)
        make_directory(directory)
        for name, contents in files.items():
            write_whole(os.path.join(directory, name), contents)

    def publish(self, snapshot: str) -> None:
        """
        Let clients see *snapshot*, whose index is signed.  `InputError` when another one took its place.
        """
        directory = os.path.join(self.directory, "index", snapshot)
        signatures = {}
        for name in os.listdir(directory) if os.path.isdir(directory) else ():
            if not name.startswith("."):
                with open(os.path.join(directory, name), "rb") as file:
                    signatures[name] = file.read()
        self.snapshots().publish(snapshot, signatures)

    def forget(self, job: int) -> None:
        """
        Remove what is kept for *job*, which is public.
        """
        for path in glob(os.path.join(glob_escape(self._place(job)), "*", "*.rpm")):
            with suppress(InputError), open(path, "rb") as file:
                self._store.remove(id_of(header_to_sign(file), text=False))
        shutil.rmtree(self._place(job), ignore_errors=True)

    def tidy(self, waiting: Mapping[int, Sequence[ToSign]]) -> None:
        """
        Remove what is kept for jobs that do not wait any more.  *waiting*: all that do, with what they need.
        """
        self._store.keep_only({each.id for wanted in waiting.values() for each in wanted})
        signed = os.path.join(self.directory, "signed")
        for name in os.listdir(signed) if os.path.isdir(signed) else ():
            if name not in map(str, waiting):
                shutil.rmtree(os.path.join(signed, name), ignore_errors=True)

    def _with_signatures(self, job: int, results: JobResults) -> JobResults:
        """
        *results* with signed copies of packages; those of Debian are as they were, since their index is signed.
        """
        packages = published(results)
        if not any(is_signed_itself(file) for file in packages):
            return results
        shutil.rmtree(self._place(job), ignore_errors=True)
        files = []
        for file in packages:
            signature = self._store.get(of_package(results, file).id)
            if signature is None:
                raise RefusedError(f"{file.name} of job {job} is not signed yet.  Run package sign again.")
            directory = os.path.join(self._place(job), file.architecture)
            make_directory(directory)
            target = os.path.join(directory, file.name)
            write_signed(results.path(file), read_signature(signature), target)
            files.append(evolve(file, sha256=digest_of_file(target)))
        return evolve(results, directory=self._place(job), files=tuple(files))

    def _place(self, job: int) -> str:
        return os.path.join(self.directory, "signed", str(job))

    @property
    def _store(self) -> SignatureStore:
        return SignatureStore(os.path.join(self.directory, "signatures"))
