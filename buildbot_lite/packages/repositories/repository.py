"""
A repository of one target: its packages, and which snapshot of them clients see.  `next_snapshot` makes snapshots.

All methods block, because of the disk and the programs that write metadata: call them in a thread.
"""

import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from threading import Event

from ...errors import FileError, InputError
from ...storage.files import file_error, write_whole
from .metadata import Metadata
from .next_snapshot import SnapshotMaker
from .package_files import measured
from .package_versions import versions_in
from .snapshots import (
    KINDS,
    PUBLIC_FILE,
    PackageFile,
    Snapshot,
    SnapshotDirectory,
    StaleSnapshotError,
    named,
    package_of,
)
from .versions import superseded

LARGEST_SIGNATURE = 1 << 20


class PackageRepository:
    """
    The repository in *directory*, with *metadata* of one kind.  *versions*: how many versions of a package *public*
    has, the latest ones, after one was added, and the added one; None: all.  *now*: returns seconds since 1970.
    *unwanted*: set it when the master stops, to end running programs.
    """

    def __init__(
        self,
        directory: str,
        metadata: Metadata,
        *,
        versions: int | None = None,
        now: Callable[[], float] = time.time,
        unwanted: Event | None = None,
    ) -> None:
        self.directory = directory
        self.snapshots = SnapshotDirectory(directory)
        self._metadata = metadata
        self._now = now
        self._maker = SnapshotMaker(
            snapshots=self.snapshots,
            metadata=metadata,
            most_versions=versions,
            now=now,
            unwanted=unwanted or Event(),
        )

    def start(self) -> None:
        """
        Remove incomplete snapshots that a killed writer left.
        """
        with self._changing():
            pass

    def packages(self, kind: str) -> Mapping[str, PackageFile]:
        """
        The packages that clients see, by file name, in the order in which they were added.
        """
        current = self.snapshots.current(kind)
        return current.packages if current else {}

    def package_paths(self, kind: str) -> Mapping[str, str]:
        """
        The paths of the packages that clients see, by file name.
        """
        current = self.snapshots.current(kind)
        if current is None:
            return {}
        top = os.path.join(self.snapshots.tree(current), self._metadata.directory)
        return {name: os.path.join(top, name) for name in current.packages}

    def prepare(self, kind: str, files: Collection[str], *, without: Collection[str] = ()) -> str:
        """
        Make a snapshot of the current packages and of *files* (paths), except the packages called *without*.  Returns
        its name, for `to_sign` and `publish`.  It becomes stale when a later snapshot of this *kind* is prepared or
        published.

        `InputError` when a file is no package, or when the repository or *files* has another package of the same name
        with other contents; `FileError`, `ProgramError`.  Clients do not see it yet.
        """
        with self._changing():
            return self._prepare(kind, files, without).name

    def to_sign(self, name: str) -> Mapping[str, bytes]:
        """
        The metadata of the prepared snapshot *name* that are to be signed, by file name.  `StaleSnapshotError`.
        """
        snapshot = self._prepared(name)
        found = {}
        for path in self._metadata.to_sign:
            with open(os.path.join(self.snapshots.tree(snapshot), path), "rb") as file:
                found[os.path.basename(path)] = file.read()
        return found

    def publish(self, name: str, signatures: Mapping[str, bytes] | None = None) -> None:
        """
        Let clients see the prepared snapshot *name*, with *signatures* by file name: those of `to_sign`, which the
        caller has verified.  Does nothing when it is the current one already.  `StaleSnapshotError`.
        """
        with self._changing():
            current = self.snapshots.current(_kind(name))
            if current is None or current.name != name:
                self._publish(self._prepared(name), signatures or {})

    def add(self, kind: str, files: Collection[str], source: str = "") -> None:
        """
        Add *files*, which are packages of *source*, and let clients see them, without signatures.  Does nothing when
        all of them are there.  `InputError` as for `prepare`, and when a package of such a name belongs to another
        source.
        """
        with self._changing():
            there = self.packages(kind)
            if any(there.get(os.path.basename(file)) != measured(file) for file in files):
                self._publish(self._prepare(kind, files, source=source), {})

    def remove(self, kind: str, names: Collection[str]) -> None:
        """
        Remove the packages called *names*, without signatures.
        """
        with self._changing():
            self._publish(self._prepare(kind, (), names), {})

    def superseded(self, kind: str, most: int) -> Collection[str]:
        """
        The packages that are not among the latest *most* versions of their names.  `FileError`.
        """
        current = self.snapshots.current(kind)
        if current is None:
            return set()
        directory = os.path.join(self.snapshots.tree(current), self._metadata.directory)
        try:
            return set(superseded(current.packages, versions_in(current, directory, self._metadata.version), most))
        except OSError as error:
            raise file_error(error, named(self.directory), cannot="be read") from error

    def all_names(self) -> Collection[str]:
        """
        The file names of the packages of all snapshots that clients see, or will see.
        """
        snapshots = [found(kind) for kind in KINDS for found in (self.snapshots.current, self.snapshots.prepared)]
        return {name for snapshot in snapshots if snapshot is not None for name in snapshot.packages}

    def sources(self) -> Mapping[str, str]:
        """
        The source package of each package in both repositories, by file name; packages whose source is unknown are left
        out.
        """
        snapshots = filter(None, map(self.snapshots.current, KINDS))
        return {name: source for snapshot in snapshots for name, source in snapshot.sources.items()}

    def _prepared(self, name: str) -> Snapshot:
        found = self.snapshots.prepared(_kind(name))
        if found is None or found.name != name:
            raise StaleSnapshotError
        return found

    def _publish(self, snapshot: Snapshot, signatures: Mapping[str, bytes]) -> None:
        places = {os.path.basename(path): path for path in self._metadata.signatures}
        for name, contents in signatures.items():
            if name not in places or len(contents) > LARGEST_SIGNATURE:
                raise InputError(f"{name!r:.100} with {len(contents)} bytes is no signature of this repository.")
            write_whole(os.path.join(self.snapshots.tree(snapshot), places[name]), contents, mode=PUBLIC_FILE)
        self._date(snapshot)
        self.snapshots.publish(snapshot, self._now())

    def _date(self, snapshot: Snapshot) -> None:
        """
        Give the files later times than before, because web servers compare times in seconds to see whether a file has
        changed.
        """
        before = self.snapshots.current(snapshot.kind)
        for path in (*self._metadata.to_sign, *self._metadata.signatures):
            place = os.path.join(self.snapshots.tree(snapshot), path)
            if os.path.exists(place):
                earlier = [os.path.join(self.snapshots.tree(before), path)] if before else []
                least = max((os.stat(each).st_mtime + 1 for each in earlier if os.path.exists(each)), default=0.0)
                seconds = int(max(os.stat(place).st_mtime, least))
                os.utime(place, (seconds, seconds))

    def _prepare(self, kind: str, files: Collection[str], without: Collection[str] = (), source: str = "") -> Snapshot:
        return self._maker.make(kind, files, without, self._with_sources(files, source))

    def _with_sources(self, files: Collection[str], source: str) -> Mapping[str, str]:
        """
        All `sources`, with those of *files* added; `InputError` when a package of that name belongs to another source.
        """
        known = self.sources()
        owners = {package_of(name): of for name, of in known.items()}
        names = [os.path.basename(file) for file in files]
        for name in names if source else ():
            owner = owners.get(package_of(name), source)
            if owner != source:
                raise InputError(
                    f"{name} is made by {source}, but the repository has {package_of(name)} from {owner}: give the "
                    "package another name."
                )
        return {**known, **dict.fromkeys(names, source)} if source else known

    @contextmanager
    def _changing(self) -> Iterator[None]:
        try:
            with self.snapshots.locked():
                yield
        except (OSError, FileError) as error:
            # Of a file in a snapshot, nobody but the master knows the path.
            cause = error.__cause__ if isinstance(error, FileError) else error
            if not isinstance(cause, OSError):
                raise
            raise file_error(cause, named(self.directory), cannot="be changed") from error


def _kind(name: str) -> str:
    return name.partition("-")[0]
