"""
A repository of one target: its packages, and the change from one snapshot to the next.

All methods block, because of the disk and the programs that write metadata: call them in a thread.
"""

import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from threading import Event

from ...errors import InputError
from ...storage.files import file_error, write_whole
from ..formats.source_package import checked_file
from .metadata import Making, Metadata
from .package_files import link_all, link_or_copy, measured
from .package_versions import versions_in
from .snapshots import (
    KINDS,
    PUBLIC,
    PUBLIC_FILE,
    STATE,
    TREE,
    PackageFile,
    Snapshot,
    SnapshotDirectory,
    StaleSnapshotError,
    make_public_directory,
    package_of,
)
from .versions import superseded

KEPT = 86400.0
"""Seconds for which files of an earlier index stay, for clients that have read it."""
MOST_KEPT = 20_000
"""Files of earlier snapshots that are kept.  If there are more, the ones superseded first are removed earlier."""
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
        self._versions = versions
        self._now = now
        self._unwanted = unwanted or Event()

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
                self._publish(self._prepare(kind, files, (), source), {})

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
        try:
            return set(superseded(current.packages, self._versions_in(current, self.snapshots.tree(current)), most))
        except OSError as error:
            raise file_error(error, f"repository {self.directory}", cannot="be read") from error

    def _versions_in(self, snapshot: Snapshot, tree: str) -> Callable[[str], str]:
        return versions_in(snapshot, os.path.join(tree, self._metadata.directory), self._metadata.version)

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

    def _prepare(self, kind: str, files: Collection[str], without: Collection[str], source: str = "") -> Snapshot:
        current = self.snapshots.current(kind)
        sources = self._with_sources(files, source)
        name = self.snapshots.new_name(kind)
        with self.snapshots.making(name) as part:
            tree = os.path.join(part, TREE)
            before_tree = self.snapshots.tree(current) if current else None
            packages = _remaining(current, without)
            kept = self._kept(current)
            directory = self._metadata.directory
            make_public_directory(os.path.join(tree, directory))
            inherited = [path for path in kept if path.startswith(f"{directory}/")]
            link_all(inherited, before_tree, tree)
            new = [os.path.basename(file) for file in files if self._take(file, tree, packages, kept)]
            versions = {each: self._metadata.version(os.path.join(tree, directory, each)) for each in new}
            if current is not None:
                known = self._versions_in(current, tree)
                versions |= {each: known(each) for each in packages if each not in versions}
            if kind == PUBLIC and self._versions is not None:
                entering = {os.path.basename(file) for file in files}
                for each in _old_versions(packages, entering, versions, self._versions):
                    del packages[each]
            before = self.snapshots.path(current.name, STATE) if current else None
            making = Making(tree, os.path.join(part, STATE), before, before_tree, packages, new, self._unwanted)
            lasting = tuple(self._metadata.make(making))
            link_all(kept.keys() - inherited, before_tree, tree)
            own = {*lasting, *(f"{directory}/{each}" for each in packages)}
            snapshot = Snapshot(
                name=name,
                follows=current.name if current else "",
                packages=packages,
                lasting=lasting,
                kept={path: since for path, since in kept.items() if path not in own},
                sources={each: sources[each] for each in packages if each in sources},
                versions={each: versions[each] for each in packages},
            )
            self.snapshots.complete(snapshot)
        return snapshot

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

    def _take(self, file: str, tree: str, packages: dict[str, PackageFile], kept: Mapping[str, float | None]) -> bool:
        """
        Add the package *file* to *tree* and to *packages*; False when it is already there.
        """
        name = checked_file(os.path.basename(file))
        found = measured(file)
        if name in packages:
            if packages[name] != found:
                raise InputError(f"{name} is in the repository already, with other contents: raise its version.")
            return False
        target = os.path.join(tree, self._metadata.directory, name)
        if f"{self._metadata.directory}/{name}" in kept:
            if measured(target) != found:
                raise InputError(
                    f"{name} was in the repository a short time ago, with other contents: raise its version."
                )
        else:
            link_or_copy(file, target)
        packages[name] = found
        return True

    def _kept(self, current: Snapshot | None) -> Mapping[str, float | None]:
        """
        The paths that the next tree keeps for clients that have read earlier indexes, including the current one.
        """
        if current is None:
            return {}
        since = self._now() - KEPT
        kept: dict[str, float | None] = {}
        for path, since_then in current.kept.items():
            left = current.published if since_then is None else since_then
            if left is not None and left > since:
                kept[path] = left
        newest = sorted(kept.items(), key=lambda each: each[1] or 0.0, reverse=True)[:MOST_KEPT]
        own = (*current.lasting, *(f"{self._metadata.directory}/{each}" for each in current.packages))
        return {**dict(newest), **dict.fromkeys(own)}

    @contextmanager
    def _changing(self) -> Iterator[None]:
        try:
            with self.snapshots.locked():
                yield
        except OSError as error:
            raise file_error(error, f"repository {self.directory}", cannot="be changed") from error


def _remaining(current: Snapshot | None, without: Collection[str]) -> dict[str, PackageFile]:
    packages = dict(current.packages) if current else {}
    for each in without:
        if packages.pop(each, None) is None:
            raise InputError(f"{each!r:.300} is not in the repository.")
    return packages


def _old_versions(
    packages: Collection[str], entering: Collection[str], versions: Mapping[str, str], most: int
) -> Collection[str]:
    """
    Those of *packages* that go because of newer versions among *entering*.

    An added package stays until the next version of it is added, even if its own is old: somebody wanted it to be
    there, and jobs in a chain may wait to see it.
    """
    names = set(map(package_of, entering))
    of_these = [each for each in packages if package_of(each) in names]
    return set(superseded(of_these, versions.__getitem__, most)) - set(entering)


def _kind(name: str) -> str:
    return name.partition("-")[0]
