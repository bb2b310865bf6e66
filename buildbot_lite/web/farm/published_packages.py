"""
The packages that a target's public repository has, as the record of the published snapshot lists them.

::

    DIRECTORY/public ──► snapshots/public-N-…/tree      what apt and dnf see
                                       '── snapshot.json: each file with its size, its version and its source

Nothing but the symlink says that a snapshot is published, and its record does not change afterwards; so what was read
holds until the symlink leads elsewhere.
"""

import json
import os
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Sequence

from attrs import field, frozen
from twisted.internet.defer import Deferred, DeferredLock

from ...deferreds import SharedWork
from ...errors import NotFoundError, StorageError
from ...packages.repositories.snapshots import RECORD, architecture_of, package_of
from .public_files import public_snapshot

LARGEST_RECORD = 4 << 20
"""Bytes of a record that is read: about 10,000 packages, which take 20 MB while they are read."""
MOST_KEPT = 8 << 20
"""Bytes of the records whose packages are kept in memory."""


@frozen
class PublishedFile:
    """
    A package for one *architecture*.  *path*: below the repository.  *size*: bytes.
    """

    architecture: str
    path: str
    size: int


@frozen
class PublishedVersion:
    """
    One *version* of a package.  *source*: the name of its source package, or "" if that is unknown.
    """

    name: str
    version: str
    source: str
    files: list[PublishedFile] = field(factory=list)


@frozen
class PackageList:
    """
    The packages of a repository: *versions* in the order of the names, the one that was added last first.  *size*:
    bytes of the record that lists them.
    """

    versions: Sequence[PublishedVersion]
    size: int

    def page(self, text: str, after: str, most: int) -> tuple[Sequence[PublishedVersion], str | None]:
        """
        Those with *text*, in lower case, in their names, beginning with the first name after *after*: at most *most*,
        or more if they are versions of one package; and the last name, if others follow.
        """
        found = [each for each in self.versions if text in each.name.lower()] if text else self.versions
        first = bisect_right(found, after, key=lambda each: each.name) if after else 0
        if first + most >= len(found):
            return found[first:], None
        last = found[first + most - 1].name
        end = bisect_right(found, last, key=lambda each: each.name)
        return found[first:end], last if end < len(found) else None


Read = Callable[[], PackageList | None]


class PublishedPackages:
    """
    The packages of repositories.  *in_thread*: runs a function in a thread; of those that read a record, one at a time.
    """

    def __init__(self, in_thread: Callable[[Read], Deferred[PackageList | None]]) -> None:
        self._in_thread = in_thread
        self._reading: SharedWork[str, PackageList | None] = SharedWork()
        self._one_at_a_time = DeferredLock()
        # Of each directory, its snapshot and what was found there, also if that is nothing.
        self._kept: OrderedDict[str, tuple[str, PackageList | None]] = OrderedDict()

    async def of(self, directory: str) -> PackageList | None:
        """
        The packages of the repository in *directory*; None if none is published, or if their list is too long.
        """
        snapshot = public_snapshot(directory)
        if snapshot is None:
            return None
        kept = self._kept.get(directory)
        if kept is not None and kept[0] == snapshot:
            self._kept.move_to_end(directory)
            return kept[1]
        return await self._reading.begun(snapshot, lambda: self._read(directory, snapshot)).wait()

    async def _read(self, directory: str, snapshot: str) -> PackageList | None:
        try:
            found = await self._one_at_a_time.run(self._in_thread, lambda: read_packages(snapshot))
        except OSError:
            # Perhaps only at this moment.
            return None
        self._kept[directory] = snapshot, found
        self._kept.move_to_end(directory)
        while sum(each.size for _, each in self._kept.values() if each is not None) > MOST_KEPT:
            self._kept.popitem(last=False)
        return found


def read_packages(snapshot: str) -> PackageList | None:
    """
    The packages in the directory *snapshot*; None if its record is too long, or cannot be understood.  `OSError` if it
    cannot be read.
    """
    with open(os.path.join(snapshot, RECORD), "rb") as file:
        data = file.read(LARGEST_RECORD + 1)
    if len(data) > LARGEST_RECORD:
        return None
    try:
        record = json.loads(data)
        found: dict[tuple[str, str], PublishedVersion] = {}
        for name, (size, _) in reversed(record["packages"].items()):
            package, version = package_of(name), record["versions"].get(name, "")
            place = "pool" if name.endswith(".deb") else "packages"
            one = found.setdefault(
                (package, version), PublishedVersion(package, version, record["sources"].get(name, ""))
            )
            one.files.append(PublishedFile(architecture_of(name), f"{place}/{name}", size))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, NotFoundError, StorageError):
        return None
    for one in found.values():
        one.files.sort(key=lambda each: each.architecture)
    return PackageList(sorted(found.values(), key=lambda each: each.name), len(data))
