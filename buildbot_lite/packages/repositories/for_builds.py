"""
The parts of a target's repository that are sent to a slave: the index, and the packages that a build needs.

::

    repos/NAME/build ──► indexes/SNAPSHOT.tar ──► slave: files/repositories/NAME
            '─────────── packages, by name ────────────'

The index is sent as an archive of a few files.  Archives of earlier snapshots stay for a day, since a build that a
restart of the master interrupted goes on with the one that it began with.
"""

import hashlib
import io
import os
import tarfile
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from threading import Lock
from weakref import WeakValueDictionary

from attrs import frozen

from ...errors import InputError
from ...storage.files import file_error, write_whole
from .debian_metadata import deb_version
from .next_snapshot import KEPT_FOR
from .package_versions import versions_in
from .rpm_metadata import rpm_version
from .snapshots import (
    BUILD,
    PackageFile,
    Snapshot,
    SnapshotDirectory,
    is_name_of_snapshot,
    make_public_directory,
    named,
    package_of,
)
from .versions import superseded

REPOSITORIES = "repositories"
"""The directory of the farm's repositories, in the directory of a build."""
MOST_SENT = 2000
"""Packages that are sent to one build."""
MOST_NAMES = 1000
"""Names of packages that win over the distribution's in one root."""
_INDEXES = "indexes"
# The builds of a job begin together, each asks in a thread of its own, and the first one writes the index.  By the path
# of the repository, for as long as somebody uses the lock.
_LOCKS: WeakValueDictionary[str, Lock] = WeakValueDictionary()
_FINDING = Lock()


@frozen
class BuildRepository:
    """
    The repository *kind* in the directory *place* of the master, for builds.  *packages*: the directory of package
    files in its tree.  All methods block.
    """

    place: str
    packages: str
    kind: str = BUILD

    def index(self, earlier: str = "") -> Mapping[str, str | int]:
        """
        The current index: the *path* of its archive, with *size*, *sha256*, and the name of its *snapshot*; {} when
        there are no packages yet.  *earlier*: the name of an earlier snapshot, whose index it is instead if that and
        all its packages are still there.
        """
        try:
            current = SnapshotDirectory(self.place).current(self.kind)
            if current is None:
                return {}
            snapshot, path = earlier, self._archive_path(earlier)
            if not self._is_kept(earlier):
                snapshot, path = current.name, self._archive_path(current.name)
                with _lock_of(self.place):
                    self._keep(current, path)
            with open(path, "rb") as file:
                contents = file.read()
        except OSError as error:
            raise file_error(error, named(self.place), cannot="be read") from error
        digest = hashlib.sha256(contents).hexdigest()
        return {"path": path, "size": len(contents), "sha256": digest, "snapshot": snapshot}

    def _archive_path(self, snapshot: str) -> str:
        return os.path.join(self.place, _INDEXES, f"{snapshot}.tar")

    def _names_path(self, snapshot: str) -> str:
        return os.path.join(self.place, _INDEXES, f"{snapshot}.packages")

    def _keep(self, current: Snapshot, path: str) -> None:
        names = self._names_path(current.name)
        if os.path.exists(path) and os.path.exists(names):
            # Its time is the last one at which its snapshot was known to be current, for `_is_kept`.
            os.utime(path)
            os.utime(names)
            return
        make_public_directory(os.path.dirname(path))
        self._remove_old(os.path.dirname(path))
        write_whole(names, "".join(f"{name}\n" for name in current.packages).encode())
        write_whole(path, self._archive(current))

    def _is_kept(self, snapshot: str) -> bool:
        """
        Whether the index of *snapshot* is there and not older than `KEPT_FOR`, and all its packages are there.
        """
        if not is_name_of_snapshot(snapshot, self.kind):
            return False
        try:
            if os.stat(self._archive_path(snapshot)).st_mtime <= time.time() - KEPT_FOR:
                return False
            with open(self._names_path(snapshot), encoding="utf-8") as file:
                return all(os.path.exists(self._path(line.removesuffix("\n"))) for line in file)
        except FileNotFoundError:
            return False

    def chosen(self, names: Collection[str]) -> Mapping[str, tuple[str, int, str]]:
        """
        The packages called *names*, also those of an earlier snapshot: file name → path, size and digest.  `InputError`
        when there are too many.
        """
        found = {**self._earlier(names), **self._packages(lambda name: name in names)}
        if len(found) > MOST_SENT:
            raise InputError(f"{len(found)} packages of the repository; at most {MOST_SENT} are sent to a build.")
        return found

    def latest(self, also: Collection[str] = ()) -> tuple[Mapping[str, tuple[str, int, str]], int]:
        """
        The latest version of each package and the packages called *also*, in the form of `chosen`: at most `MOST_SENT`,
        first those in *also*, then the ones added last; and the number of packages left out.
        """
        current = SnapshotDirectory(self.place).current(self.kind)
        old = set() if current is None else self._old(current)
        now = self._packages(lambda name: name not in old or name in also)
        found = [*now.items(), *(each for each in self._earlier(also).items() if each[0] not in now)]
        found.sort(key=lambda each: each[0] in also)
        return dict(found[-MOST_SENT:]), max(0, len(found) - MOST_SENT)

    def _old(self, snapshot: Snapshot) -> set[str]:
        directory = os.path.join(SnapshotDirectory(self.place).tree(snapshot), self.packages)
        try:
            return set(superseded(snapshot.packages, versions_in(snapshot, directory, _version), 1))
        except OSError as error:
            raise file_error(error, named(self.place), cannot="be read") from error

    def _packages(self, wanted: Callable[[str], bool]) -> dict[str, tuple[str, int, str]]:
        current = SnapshotDirectory(self.place).current(self.kind)
        packages: Mapping[str, PackageFile] = current.packages if current else {}
        return {name: (self._path(name), each.size, each.sha256) for name, each in packages.items() if wanted(name)}

    def _earlier(self, names: Collection[str]) -> dict[str, tuple[str, int, str]]:
        """
        The packages called *names* that only earlier snapshots had, and that are still there.
        """
        current = SnapshotDirectory(self.place).current(self.kind)
        if current is None:
            return {}
        kept = [name for name in names if f"{self.packages}/{name}" in current.kept]
        return {name: self._read(name) for name in kept[:MOST_SENT]}

    def _read(self, name: str) -> tuple[str, int, str]:
        path = self._path(name)
        try:
            with open(path, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                return path, os.fstat(file.fileno()).st_size, digest
        except OSError as error:
            raise file_error(error, named(self.place), cannot="be read") from error

    def made_of(self, sources: Collection[str]) -> Mapping[str, str]:
        """
        The names of the packages made of one of *sources*, each with its source.  `InputError` when there are too many.
        """
        current = SnapshotDirectory(self.place).current(self.kind)
        made = (
            {} if current is None else {package_of(name): of for name, of in current.sources.items() if of in sources}
        )
        if len(made) > MOST_NAMES:
            raise InputError(
                f"The packages before it in its chain have {len(made)} names; at most {MOST_NAMES} are allowed."
            )
        return made

    def _path(self, name: str) -> str:
        # The path leads through the symlink, so that it stays valid when this snapshot is removed.
        return os.path.join(self.place, self.kind, self.packages, name)

    def _archive(self, snapshot: Snapshot) -> bytes:
        tree = SnapshotDirectory(self.place).tree(snapshot)
        target = io.BytesIO()
        with tarfile.open(fileobj=target, mode="w", dereference=True) as archive:
            for directory, directories, files in os.walk(tree):
                directories.sort()
                if directory == tree and self.packages in directories:
                    directories.remove(self.packages)
                for name in sorted(files):
                    path = os.path.relpath(os.path.join(directory, name), tree)
                    # apt reads Packages.gz.
                    if path not in snapshot.kept and name != "Packages":
                        archive.add(os.path.join(tree, path), path, filter=_plain)
        return target.getvalue()

    def _remove_old(self, directory: str) -> None:
        for name in os.listdir(directory):
            path = os.path.join(directory, name)
            with suppress(FileNotFoundError):
                if os.stat(path).st_mtime < time.time() - KEPT_FOR:
                    os.unlink(path)


def _lock_of(place: str) -> Lock:
    with _FINDING:
        lock = _LOCKS.get(key := os.path.abspath(place))
        if lock is None:
            lock = _LOCKS[key] = Lock()
        return lock


def _version(path: str) -> str:
    return rpm_version(path) if path.endswith(".rpm") else deb_version(path)


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member
