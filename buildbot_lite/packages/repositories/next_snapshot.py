"""
The next snapshot of a repository: the packages of the current one without some of them, and with new ones.

::

    tree of the current one ──hard links──► tree           what stays, and what clients of the current index may fetch
    new package files ──links or copies──► tree
    all packages ──Metadata.make──► tree, state            what apt and dnf read
"""

import os
from collections.abc import Callable, Collection, Mapping
from threading import Event

from attrs import frozen

from ...errors import InputError
from ..formats.source_package import checked_file
from .metadata import Making, Metadata
from .package_files import link_all, link_or_copy, measured
from .package_versions import versions_in
from .snapshots import (
    PUBLIC,
    STATE,
    TREE,
    PackageFile,
    Snapshot,
    SnapshotDirectory,
    make_public_directory,
    package_of,
)
from .versions import superseded

KEPT_FOR = 86400.0
"""Seconds for which files of an earlier index stay, for clients that have read it."""
MOST_KEPT = 20_000
"""Files of earlier snapshots that are kept.  If there are more, the ones superseded first are removed earlier."""


@frozen(kw_only=True)
class SnapshotMaker:
    """
    Makes the snapshots in *snapshots*; the other attributes are those of `PackageRepository`.
    """

    snapshots: SnapshotDirectory
    metadata: Metadata
    most_versions: int | None
    now: Callable[[], float]
    unwanted: Event

    def make(self, kind: str, files: Collection[str], without: Collection[str], sources: Mapping[str, str]) -> Snapshot:
        """
        The snapshot that follows the current one of *kind*, complete, and prepared to be published.  *files*,
        *without* and errors are as for `PackageRepository.prepare`.  *sources*: the source of each package, by file
        name.
        """
        current = self.snapshots.current(kind)
        name = self.snapshots.new_name(kind)
        with self.snapshots.making(name) as part:
            tree, state = os.path.join(part, TREE), os.path.join(part, STATE)
            before_tree = self.snapshots.tree(current) if current else None
            packages, kept = _remaining(current, without), self._kept(current)
            directory = self.metadata.directory
            make_public_directory(os.path.join(tree, directory))
            inherited = [path for path in kept if path.startswith(f"{directory}/")]
            link_all(inherited, before_tree, tree)
            new = [os.path.basename(file) for file in files if self._take(file, tree, packages, kept)]
            versions = self._versions(current, tree, packages, new)
            if kind == PUBLIC and self.most_versions is not None:
                _remove_old(packages, set(map(os.path.basename, files)), versions, self.most_versions)
            before = self.snapshots.path(current.name, STATE) if current else None
            lasting = tuple(self.metadata.make(Making(tree, state, before, before_tree, packages, new, self.unwanted)))
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
        target = os.path.join(tree, self.metadata.directory, name)
        if f"{self.metadata.directory}/{name}" in kept:
            if measured(target) != found:
                raise InputError(
                    f"{name} was in the repository a short time ago, with other contents: raise its version."
                )
        else:
            link_or_copy(file, target)
        packages[name] = found
        return True

    def _versions(
        self, current: Snapshot | None, tree: str, packages: Collection[str], new: Collection[str]
    ) -> dict[str, str]:
        """
        The versions of *packages*, whose files are in *tree*: *new* ones are read.
        """
        directory = os.path.join(tree, self.metadata.directory)
        versions = {each: self.metadata.version(os.path.join(directory, each)) for each in new}
        if current is not None:
            known = versions_in(current, directory, self.metadata.version)
            versions |= {each: known(each) for each in packages if each not in versions}
        return versions

    def _kept(self, current: Snapshot | None) -> Mapping[str, float | None]:
        """
        The paths that the next tree keeps for clients that have read earlier indexes, including the current one.
        """
        if current is None:
            return {}
        since = self.now() - KEPT_FOR
        kept: dict[str, float | None] = {}
        for path, since_then in current.kept.items():
            left = current.published if since_then is None else since_then
            if left is not None and left > since:
                kept[path] = left
        newest = sorted(kept.items(), key=lambda each: each[1] or 0.0, reverse=True)[:MOST_KEPT]
        own = (*current.lasting, *(f"{self.metadata.directory}/{each}" for each in current.packages))
        return {**dict(newest), **dict.fromkeys(own)}


def _remaining(current: Snapshot | None, without: Collection[str]) -> dict[str, PackageFile]:
    packages = dict(current.packages) if current else {}
    for each in without:
        if packages.pop(each, None) is None:
            raise InputError(f"{each!r:.300} is not in the repository.")
    return packages


def _remove_old(
    packages: dict[str, PackageFile], entering: Collection[str], versions: Mapping[str, str], most: int
) -> None:
    """
    Remove those of *packages* that go because of newer versions among *entering*.

    An added package stays until the next version of it is added, even if its own is old: somebody wanted it to be
    there, and jobs in a chain may wait to see it.
    """
    names = set(map(package_of, entering))
    of_these = [each for each in packages if package_of(each) in names]
    for each in set(superseded(of_these, versions.__getitem__, most)) - set(entering):
        del packages[each]
