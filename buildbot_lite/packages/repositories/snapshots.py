"""
Snapshots of a repository: directories that are complete before clients see them.

::

    .NAME.part/ ──rename──► NAME/ (prepared) ──symlink renamed──► current ──next one──► previous ──► removed
                              '── a later one is prepared: removed

The name of an incomplete snapshot begins with a dot, and the next writer removes it.  A prepared snapshot may wait for
its signatures for days.  It stays valid while the snapshot from which it was made is the current one.  The previous
snapshot stays until the next but one is published, for a server that opened its directory before the symlink changed.
"""

import fcntl
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from attrs import evolve, field, frozen

from ...errors import BuildbotLiteError, InputError
from ...storage.files import remove, sync_directory, write_whole

BUILD = "build"
PUBLIC = "public"
KINDS = (BUILD, PUBLIC)

PUBLIC_DIRECTORY, PUBLIC_FILE = 0o755, 0o644
TREE, STATE, RECORD = "tree", "state", "snapshot.json"

_NAME = re.compile(rf"(?P<kind>{'|'.join(KINDS)})-(?P<number>[0-9]{{1,12}})-[0-9a-f]{{8}}\Z")


class RepositoryBusyError(BuildbotLiteError):
    """
    Another program changes this repository.  Wait until it has ended.
    """


class StaleSnapshotError(InputError):
    """
    The repository has changed since this was prepared for signing.  Sign again.
    """


@frozen
class PackageFile:
    """
    A package file in a snapshot.  *size*: bytes.
    """

    size: int
    sha256: str


@frozen(kw_only=True)
class Snapshot:
    """
    One snapshot.

    *packages*: those in its index, by file name.  *lasting*: further paths in its tree whose contents never change,
    because their names are made of them.  *kept*: paths in its tree that belong to earlier snapshots, with the time
    (seconds since the epoch) at which these were superseded; None when this snapshot supersedes them.  *follows*: the
    name of the snapshot from which it was made, or "".  *sources*, *versions*: by file name, the source package and the
    version of each package.  *published*: when, or None.
    """

    name: str
    follows: str
    packages: Mapping[str, PackageFile]
    lasting: tuple[str, ...] = ()
    kept: Mapping[str, float | None] = field(factory=dict)
    sources: Mapping[str, str] = field(factory=dict)
    versions: Mapping[str, str] = field(factory=dict)
    published: float | None = None

    @property
    def kind(self) -> str:
        """
        One of `KINDS`.
        """
        return self.name.partition("-")[0]

    @property
    def number(self) -> int:
        """
        The number of the snapshot; later snapshots of a repository have larger numbers.
        """
        return int(self.name.split("-")[1])


class SnapshotDirectory:
    """
    The snapshots in *directory*, that of a repository.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._snapshots = os.path.join(directory, "snapshots")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """
        Lock the repository against other writers, in all processes and threads; `RepositoryBusyError` at once when
        there is another writer.  Removes incomplete snapshots of earlier writers.
        """
        for each in (self.directory, self._snapshots):
            make_public_directory(each)
        path = os.path.join(self.directory, "lock")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RepositoryBusyError(
                    f"Another program changes the {named(self.directory)}.  Wait until it has ended."
                ) from None
            self._sweep()
            yield
        finally:
            os.close(descriptor)

    def current(self, kind: str) -> Snapshot | None:
        """
        The snapshot that clients see.
        """
        try:
            target = os.readlink(os.path.join(self.directory, kind))
        except FileNotFoundError:
            return None
        return self.read(target.split(os.sep)[1])

    def prepared(self, kind: str) -> Snapshot | None:
        """
        The newest snapshot that was made from the current one, and is not published.
        """
        current = self.current(kind)
        newest = max(self._of_kind(kind), key=_number, default="")
        if not newest or (current is not None and newest == current.name):
            return None
        found = self.read(newest)
        return found if found.follows == (current.name if current else "") else None

    def read(self, name: str) -> Snapshot:
        """
        The record of the snapshot *name*; `StaleSnapshotError` when it is gone.
        """
        if not _NAME.match(name):
            raise InputError(f"{name!r:.100} is no name of a snapshot.")
        try:
            with open(self.path(name, RECORD), "rb") as file:
                return _snapshot(json.load(file))
        except FileNotFoundError:
            raise StaleSnapshotError from None

    def path(self, name: str, *more: str) -> str:
        """
        The path of *more* in the snapshot *name*.
        """
        return os.path.join(self._snapshots, name, *more)

    def tree(self, snapshot: Snapshot) -> str:
        """
        The directory that clients see.
        """
        return self.path(snapshot.name, TREE)

    def new_name(self, kind: str) -> str:
        """
        A new name for a snapshot of *kind*, which no snapshot has had before.
        """
        number = max((_number(each) for other in KINDS for each in self._of_kind(other)), default=0) + 1
        return f"{kind}-{number}-{secrets.token_hex(4)}"

    @contextmanager
    def making(self, name: str) -> Iterator[str]:
        """
        A new directory with ``tree`` and ``state`` in it, to be filled and passed to `complete`; removed when the block
        fails.
        """
        part = self._part(name)
        try:
            for each in (part, os.path.join(part, TREE), os.path.join(part, STATE)):
                make_public_directory(each)
            yield part
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise

    def complete(self, snapshot: Snapshot) -> None:
        """
        Give a complete snapshot its name.  It replaces all other prepared snapshots.
        """
        part = self._part(snapshot.name)
        write_whole(os.path.join(part, RECORD), _text(snapshot))
        _sync_directories(part)
        os.rename(part, self.path(snapshot.name))
        sync_directory(self._snapshots)
        current = self.current(snapshot.kind)
        for each in self._of_kind(snapshot.kind):
            if each != snapshot.name and (current is None or _number(each) > current.number):
                self.discard(each)

    def publish(self, snapshot: Snapshot, now: float) -> None:
        """
        Let clients see it.
        """
        write_whole(self.path(snapshot.name, RECORD), _text(evolve(snapshot, published=now)))
        sync_directory(self.tree(snapshot))
        link = os.path.join(self.directory, snapshot.kind)
        beside = os.path.join(self.directory, f".{snapshot.kind}.new")
        remove(beside)
        os.symlink(os.path.join("snapshots", snapshot.name, TREE), beside)
        os.rename(beside, link)
        sync_directory(self.directory)
        for each in self._of_kind(snapshot.kind):
            if each not in (snapshot.name, snapshot.follows) and _number(each) < snapshot.number:
                self.discard(each)

    def discard(self, name: str) -> None:
        """
        Remove the snapshot *name*.
        """
        gone = self._part(name)
        shutil.rmtree(gone, ignore_errors=True)
        # Rename it first, so that a snapshot with its proper name is always complete.
        with suppress(FileNotFoundError):
            os.rename(self.path(name), gone)
        shutil.rmtree(gone, ignore_errors=True)

    def _sweep(self) -> None:
        for each in os.listdir(self._snapshots):
            if each.startswith("."):
                shutil.rmtree(os.path.join(self._snapshots, each), ignore_errors=True)

    def _of_kind(self, kind: str) -> list[str]:
        try:
            names = os.listdir(self._snapshots)
        except FileNotFoundError:
            return []
        return [name for name in names if (match := _NAME.match(name)) and match["kind"] == kind]

    def _part(self, name: str) -> str:
        return os.path.join(self._snapshots, f".{name}.part")


def is_name_of_snapshot(name: str, kind: str) -> bool:
    """
    Whether *name* is one that a snapshot of *kind* may have.
    """
    found = _NAME.match(name)
    return found is not None and found["kind"] == kind


def named(directory: str) -> str:
    """
    What a sentence calls the repository in *directory*: submitters see it, and the path is the master's own.
    """
    return f"repository {os.path.basename(os.path.normpath(directory))}"


def package_of(file: str) -> str:
    """
    The name of the package in the file called *file*, ``NAME_VERSION_ARCH.deb`` or ``NAME-VERSION-RELEASE.ARCH.rpm``.
    """
    return file.partition("_")[0] if file.endswith(".deb") else file.rsplit("-", 2)[0]


def architecture_of(file: str) -> str:
    """
    The architecture of the package in the file called *file*, as for `package_of`.
    """
    return file.removesuffix(".deb").rpartition("_")[2] if file.endswith(".deb") else file.rsplit(".", 2)[-2]


def make_public_directory(path: str) -> None:
    """
    Make the directory *path*, and its missing parents, readable by all: by the user of a web server, and by apt's.
    """
    if os.path.isdir(path):
        return
    above = os.path.dirname(os.path.abspath(path))
    make_public_directory(above)
    with suppress(FileExistsError):
        os.mkdir(path)
        # Whatever the umask.
        os.chmod(path, PUBLIC_DIRECTORY)
        sync_directory(above)


def _sync_directories(top: str) -> None:
    for directory, _, _ in os.walk(top):
        sync_directory(directory)


def _number(name: str) -> int:
    return int(name.split("-")[1])


def _text(snapshot: Snapshot) -> bytes:
    value = {
        "name": snapshot.name,
        "follows": snapshot.follows,
        "packages": {name: [each.size, each.sha256] for name, each in snapshot.packages.items()},
        "lasting": snapshot.lasting,
        "kept": snapshot.kept,
        "sources": snapshot.sources,
        "versions": snapshot.versions,
        "published": snapshot.published,
    }
    return json.dumps(value).encode()


def _snapshot(value: Any) -> Snapshot:
    packages = {name: PackageFile(*each) for name, each in value["packages"].items()}
    return Snapshot(**{**value, "packages": packages, "lasting": tuple(value["lasting"])})
