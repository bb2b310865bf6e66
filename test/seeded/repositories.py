"""
Public repositories of the targets of a made-up farm, as their writers leave them, with files that are no packages.
"""

import hashlib
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

from buildbot_lite.packages.keys.openpgp import armored_keys
from buildbot_lite.packages.repositories.snapshots import PUBLIC, PackageFile, Snapshot, SnapshotDirectory

from .targets import DEBIAN, FEDORA

_BODY = b"\x04" + bytes(range(40))
_KEY = armored_keys(bytes([0x98, len(_BODY)]) + _BODY).decode()
_INDEXES = {
    DEBIAN: (f"dists/{DEBIAN}/Release", f"dists/{DEBIAN}/InRelease", f"dists/{DEBIAN}/main/binary-amd64/Packages"),
    FEDORA: ("repodata/repomd.xml",),
}
_OF_SOURCE = {"hello": ("hello", "hello-doc"), "zlib": ("zlib1g", "zlib1g-dev")}
"""Binary packages of a source package, if they are not one of its own name."""


def places(directory: Path) -> Mapping[str, Mapping[str, str]]:
    """
    What the master says of the repositories in *directory*.
    """
    return {
        "repositories": {target: str(directory / "repos" / target) for target in (DEBIAN, FEDORA)},
        "keys": {DEBIAN: _KEY},
    }


def make_repositories(directory: Path, database: Path) -> None:
    """
    Make the repositories below *directory*, with the finished jobs in *database*: signed for Debian, unsigned for
    Fedora.
    """
    with closing(sqlite3.connect(database)) as records:
        for target, indexes in _INDEXES.items():
            _make(SnapshotDirectory(str(directory / "repos" / target)), indexes, dict(_packages(records, target)))


def _make(snapshots: SnapshotDirectory, indexes: tuple[str, ...], sources: Mapping[str, tuple[str, str]]) -> None:
    packages = {}
    with snapshots.locked():
        name = snapshots.new_name(PUBLIC)
        with snapshots.making(name) as part:
            for place, file in enumerate(sources):
                content = file.encode() * (200 * (place % 17 + 1))
                packages[file] = PackageFile(len(content), hashlib.sha256(content).hexdigest())
                _write(Path(part, "tree", "pool" if file.endswith(".deb") else "packages", file), content)
            for index in indexes:
                _write(Path(part, "tree", index), b"an index\n")
            snapshot = Snapshot(
                name=name,
                follows="",
                packages=packages,
                sources={file: source for file, (source, _) in sources.items()},
                versions={file: version for file, (_, version) in sources.items()},
            )
            snapshots.complete(snapshot)
        snapshots.publish(snapshot, 1_795_990_000.0)


def _packages(records: sqlite3.Connection, target: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """
    The names of the files of packages, each with its source and its version.
    """
    jobs = records.execute(
        "SELECT name, version FROM package_jobs WHERE target = ? AND state = 'finished' AND scratch = 0", (target,)
    )
    for name, version in jobs:
        if not version.isascii() or " " in version or "/" in name + version or not name.isalnum():
            continue  # a hostile one: no package has such a name
        for package in _OF_SOURCE.get(name, (name,)):
            plain = version.partition(":")[2] or version
            if target == FEDORA:
                yield f"{package}-{plain}.x86_64.rpm", (name, f"0:{version}")
            elif package.endswith("-doc"):
                yield f"{package}_{plain}_all.deb", (name, version)
            else:
                for architecture in ("amd64", "i386"):
                    yield f"{package}_{plain}_{architecture}.deb", (name, version)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
