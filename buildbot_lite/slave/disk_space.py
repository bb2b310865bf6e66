"""
Watches the space on a slave's disk, while the slave is attached to a master that requires some (``minspace``).

::

    welcome ──► enough ────────────────────────────────────────────── too little ──┐
      ▲    └──► too little ──idle──► remove the oldest unused directory ──► enough, or none is left
      │                                    ▲                   │                   │
      │                                    └── still too little┘                   │
      └──────────────────────────── attach again, with the present space ◄─────────┘

The directories directly in ``work`` that builders of this slave used before (`served`), and none uses any more, are
removed, one after the other, until there is enough space.  Each is renamed first: if its removal is interrupted, a
builder that gets this slave again does not find a part of its directory.  The rest of such a directory is removed after
the next welcome.

Nothing is removed while a command is held.  Never removed are links, files, mount points, directories that the master
never named, and those whose name begins with a dot, because builders may share them.
"""

import os
import re
import secrets
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from unicodedata import normalize

from attrs import frozen
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ..errors import FileError, StorageError, UnsafePathError
from ..model.display import printable
from ..model.hello import LONGEST_REMOVED, MOST_REMOVED
from ..model.names import path_bytes, path_text, relative_path
from .file_jobs import remove_job
from .nofollow import walk_down
from .safe_paths import SafePaths
from .served import ServedDirectories
from .transfer import TransferContext
from .transfer_files import os_sentence

INTERVAL = 60.0
"""Seconds between two measurements.  They are rare, so that a slave near its minspace seldom attaches again."""
LONGEST_REMOVAL = 3600.0
"""Seconds for the removal of one directory; then its rest is left until the next welcome."""
MOST_ENTRIES = 1000
"""Entries of ``work`` that are considered."""
MOST_DATES = 100
"""Entries of each of these directories whose dates are read."""
_REMOVED = re.compile(r"\.removed-[0-9a-f]{32}\Z")


class DiskSpace:
    """
    The disk of the slave's work directory.

    *served*: the directories that may be removed when they are unused.  *free*: returns the free bytes, None when they
    are unknown.  *idle*: returns whether no command is held or being prepared.
    """

    _log = Logger()

    def __init__(
        self,
        context: TransferContext,
        *,
        served: ServedDirectories,
        free: Callable[[], int | None],
        idle: Callable[[], bool],
    ) -> None:
        self._context = context
        self._served = served
        self._free = free
        self._idle = idle
        self._removed: tuple[str, ...] = ()

    @property
    def removed(self) -> tuple[str, ...]:
        """
        The names of the directories that were removed, for `Hello.removed`.
        """
        return self._removed

    async def watch(self, minspace: int, directories: Sequence[str] | None, reported: int) -> None:
        """
        Wait until the slave must report its free space again, because it has become less than *minspace* (bytes), or
        enough again, or directories were removed.  While it is less, remove unused directories.

        *directories*: those of builders and unfinished builds; None: unknown, so that none is removed.  *reported*: the
        free space that was reported last.
        """
        paths, before, low, tried = self._context.paths, self._removed, reported < minspace, set[str]()
        used = None if directories is None else used_names(paths, directories)
        known_names = self._known(used or ())
        for path in [] if used is None else interrupted(paths, used):
            await self._remove(path, path)
        while True:
            free = self._free()
            if free is not None and (free < minspace) != low:
                return
            may_remove = low and free is not None and self._idle()
            name = oldest_unused(paths, known_names - used, tried) if used is not None and may_remove else None
            if name is not None:
                tried.add(name)
                await self._rename_and_remove(name, minspace)
            elif self._removed != before:
                return
            else:
                await deferLater(self._context.clock, INTERVAL)

    def _known(self, used: Collection[str]) -> frozenset[str]:
        """
        All names that the master has ever used for directories, including *used*, which are stored.
        """
        try:
            self._served.note(used)
            return self._served.names()
        except (OSError, StorageError) as error:
            self._log.warn("no work directory is removed: {problem}", problem=str(error))
            return frozenset()

    async def _rename_and_remove(self, name: str, minspace: int) -> None:
        """
        Remove the directory *name*.  Errors are logged.
        """
        self._log.info(
            "less than {minspace} MiB (minspace) is free: removing work/{name}, which no builder of this slave uses",
            minspace=minspace >> 20,
            name=name,
        )
        temporary = f".removed-{secrets.token_hex(16)}"
        try:
            with _opened(self._context.paths) as work:
                os.rename(path_bytes(name), temporary, src_dir_fd=work, dst_dir_fd=work)
        except OSError as error:
            self._log.warn("work/{name} cannot be removed: {problem}", name=name, problem=os_sentence(error))
            return
        if await self._remove(temporary, name):
            self._removed = (*self._removed, printable(name, longest=LONGEST_REMOVED))[-MOST_REMOVED:]

    async def _remove(self, path: str, name: str) -> bool:
        job = remove_job(self._context.paths, path)
        try:
            await self._context.workers.start(job, seconds=LONGEST_REMOVAL).answer
        except (FileError, OSError) as error:
            self._log.warn(
                "work/{name} is not removed completely; the rest is removed later: {problem}",
                name=name,
                problem=os_sentence(error) if isinstance(error, OSError) else str(error),
            )
            return False
        self._log.info("removed work/{name}", name=name)
        return True


@frozen
class _Candidate:
    used: float
    name: str


def used_names(paths: SafePaths, directories: Iterable[str]) -> frozenset[str] | None:
    """
    The names, directly in ``work``, of the entries that contain the *directories* of builders, also through links, in
    a form for comparison; None if one of *directories* is invalid.
    """
    names = set()
    for directory in directories:
        try:
            path = relative_path(directory)
        except UnsafePathError:
            return None
        if path == ".":
            return None
        names.add(_comparable(path.split("/")[0]))
        with suppress(UnsafePathError):  # the path leads out of ``work``
            resolved = os.path.relpath(os.fsencode(paths.absolute(path)), os.fsencode(paths.root))
            names.add(_comparable(path_text(resolved.split(b"/")[0])))
    return frozenset(names)


def oldest_unused(paths: SafePaths, unused: Collection[str], tried: Collection[str]) -> str | None:
    """
    The directory directly in ``work`` that was changed the longest time ago, of those that are *unused* (names in the
    form of `used_names`) and were not *tried* before; None if there is none.
    """
    candidates = [
        _Candidate(_last_change(path_bytes(name), work), name)
        for work, name in _directories(paths)
        if not name.startswith(".") and _comparable(name) in unused and name not in tried
    ]
    return min(candidates, key=lambda each: (each.used, each.name)).name if candidates else None


def interrupted(paths: SafePaths, used: frozenset[str]) -> list[str]:
    """
    The directories whose removal was interrupted.
    """
    return sorted(name for _, name in _directories(paths) if _REMOVED.match(name) and _comparable(name) not in used)


def _directories(paths: SafePaths) -> Iterator[tuple[int, str]]:
    """
    The directories directly in ``work`` that are neither links nor mount points, each with a descriptor of ``work``.
    """
    with suppress(OSError), _opened(paths) as work:
        device = os.fstat(work).st_dev
        with os.scandir(work) as entries:
            for entry in islice(entries, MOST_ENTRIES):
                with suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(status.st_mode) and status.st_dev == device:
                        yield work, path_text(os.fsencode(entry.name))


def _last_change(name: bytes, work: int) -> float:
    """
    The newest modification time of the directory *name* and of its first entries.
    """
    newest = 0.0
    with suppress(OSError), walk_down(work, [name]) as directory:
        newest = os.fstat(directory).st_mtime
        with os.scandir(directory) as entries:
            for entry in islice(entries, MOST_DATES):
                newest = max(newest, entry.stat(follow_symlinks=False).st_mtime)
    return newest


@contextmanager
def _opened(paths: SafePaths) -> Iterator[int]:
    work = paths.open_directory(".")
    try:
        yield work
    finally:
        os.close(work)


def _comparable(name: str) -> str:
    # For some file systems, names that differ only in case or in their Unicode form are the same.
    return normalize("NFC", name).casefold()
