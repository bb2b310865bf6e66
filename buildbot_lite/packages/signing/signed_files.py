"""
The files for the signatures of one target: signatures that have arrived, signed packages, and signatures of an index.

::

    <directory>/signatures/<id>                        of packages, until they are in the repository
    <directory>/signed/<job>/<architecture>/<package>  copies with their signatures, from which a snapshot is made
    <directory>/index/<snapshot>/<id>                  of its index, until the next one is signed

All methods block: call them in a thread.
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
from ...storage.files import make_directory
from ..keys.openpgp import BINARY, TEXT, read_signature
from ..keys.signature_ids import id_of
from ..keys.verification import TargetKey
from ..records.results import JobResults, ResultFile
from .rpm_signature import header_to_sign, write_signed
from .signature_store import SignatureStore
from .wanted_signatures import (
    ToSign,
    checked_files,
    digest_of_file,
    is_signed_itself,
    of_index,
    of_package,
)

PUBLIC = "public"
"""The kind of repository that is signed."""


class Snapshots(Protocol):
    """
    The repository of a target, as `repositories.repository.Repository` is one.
    """

    def prepare(self, kind: str, files: Collection[str]) -> str:
        """
        Make a snapshot with *files* added, which clients do not see yet; returns its name.
        """

    def to_sign(self, name: str) -> Mapping[str, bytes]:
        """
        The index of a prepared snapshot, by file name; `InputError` when another snapshot has replaced it.
        """

    def publish(self, name: str, signatures: Mapping[str, bytes] | None = None) -> None:
        """
        Let clients see it, with *signatures* by file name.
        """


def published(results: JobResults) -> Sequence[ResultFile]:
    """
    The packages of *results* that enter a repository: all except those for the installer of Debian.  Of a noarch
    package that several builds made (and that was found to be the same in all), the one of the first build.
    """
    by_name = {file.name: file for file in reversed(results.packages) if file.name.endswith((".deb", ".rpm"))}
    return sorted(by_name.values(), key=lambda file: (file.architecture, file.name))


@frozen
class SignedFiles:
    """
    The files in *directory*.  *key*, *snapshots*: return the target's public key and its repository, by the
    configuration in force.
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

    def sizes(self, results: JobResults) -> Sequence[tuple[ResultFile, int]]:
        """
        All packages that become public, each with its size in bytes.
        """
        return [(file, os.path.getsize(results.path(file))) for file in published(results)]

    def keep(self, signatures: Sequence[tuple[ToSign, bytes]]) -> None:
        """
        Check each signature, and keep it.
        """
        key = self.key()
        for each, signature in signatures:
            _check(key, each, signature)
            self._store.put(each.id, signature)

    def signed(self, job: int, results: JobResults) -> JobResults:
        """
        *results* of *job* with their signatures, which rpm accepts.  `InputError` when rpm refuses a package;
        `RefusedError` when a signature is missing or no longer good.  A signature that is no longer good is removed, so
        that it is wanted again.
        """
        try:
            signed = self._with_signatures(job, results)
            self.key().check_packages([signed.path(file) for file in published(signed) if is_signed_itself(file)])
        except InputError:
            if dropped := self._without_bad(results):
                raise RefusedError(
                    f"The signature of {dropped} of job {job} is not good any more.  Run package sign again."
                ) from None
            raise
        return signed

    def _without_bad(self, results: JobResults) -> str:
        """
        Remove the signatures of *results* that are no longer good; returns the name of a package that had one, or "".
        """
        key, dropped = self.key(), ""
        for each in self.wanted(results):
            signature = self._store.get(each.id)
            try:
                if signature is not None:
                    _check(key, each, signature)
            except InputError:
                self._store.remove(each.id)
                dropped = each.name
        return dropped

    def prepare(self, signed: Collection[JobResults]) -> tuple[str, Sequence[ToSign]]:
        """
        Make a snapshot with the packages of *signed*; returns its name, and the signatures that its index needs.
        """
        snapshots = self.snapshots()
        name = snapshots.prepare(PUBLIC, [each.path(file) for each in signed for file in published(each)])
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
        Check the *signatures* of the index of *snapshot*, by id, and keep them.
        """
        self._index_files(self.snapshots().to_sign(snapshot), signatures)
        shutil.rmtree(os.path.join(self.directory, "index"), ignore_errors=True)
        store = self._index_store(snapshot)
        for id, signature in signatures.items():
            store.put(id, signature)

    def publish(self, snapshot: str) -> None:
        """
        Let clients see *snapshot*, whose index is signed.  The signatures are checked again.  `InputError` when one is
        missing or no longer good, or when another snapshot has replaced this one.
        """
        # Does nothing when the snapshot is public already.
        signatures = self._kept_files(snapshot) if self.is_prepared(snapshot) else None
        self.snapshots().publish(snapshot, signatures)

    def is_signed(self, snapshot: str) -> bool:
        """
        Whether *snapshot* can be published and is not public yet.
        """
        try:
            return bool(self._kept_files(snapshot))
        except InputError:
            return False

    def _kept_files(self, snapshot: str) -> Mapping[str, bytes]:
        indexes, store = self.snapshots().to_sign(snapshot), self._index_store(snapshot)
        wanted = [each for name, contents in indexes.items() for each in of_index(name, contents)]
        kept = {each.id: signature for each in wanted if (signature := store.get(each.id)) is not None}
        return self._index_files(indexes, kept)

    def _index_files(self, indexes: Mapping[str, bytes], signatures: Mapping[str, bytes]) -> Mapping[str, bytes]:
        key = self.key()
        files: dict[str, bytes] = {}
        for name, contents in indexes.items():
            files.update(checked_files(name, contents, signatures, key))
        return files

    def _index_store(self, snapshot: str) -> SignatureStore:
        return SignatureStore(os.path.join(self.directory, "index", snapshot))

    def forget(self, job: int) -> None:
        """
        Remove the files for *job*, which is public.
        """
        for path in glob(os.path.join(glob_escape(self._place(job)), "*", "*.rpm")):
            with suppress(InputError), open(path, "rb") as file:
                self._store.remove(id_of(header_to_sign(file), text=False))
        shutil.rmtree(self._place(job), ignore_errors=True)

    def tidy(self, waiting: Mapping[int, Sequence[ToSign]]) -> None:
        """
        Remove the files for jobs that no longer wait.  *waiting*: the jobs that wait, with the signatures that they
        need.
        """
        self._store.keep_only({each.id for wanted in waiting.values() for each in wanted})
        signed = os.path.join(self.directory, "signed")
        for name in os.listdir(signed) if os.path.isdir(signed) else ():
            if name not in map(str, waiting):
                shutil.rmtree(os.path.join(signed, name), ignore_errors=True)

    def _with_signatures(self, job: int, results: JobResults) -> JobResults:
        """
        *results* with signed copies of RPM packages.  Debian packages stay unchanged, because only their index is
        signed.
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


def _check(key: TargetKey, each: ToSign, signature: bytes) -> None:
    if key.check_signature(each.contents(), signature, each.name).kind != (TEXT if each.text else BINARY):
        raise InputError(f"The signature of {each.name} is of the wrong kind, of text or of bytes.")
