"""
The strings of the web process: given in ``web.tac``, or written into ``private/`` by a master on the same machine.

::

    private/watch.furl      ──► looked at every `INTERVAL` s ──► followers of "watch"
    private/webhooks.furl   ──►                              ──► followers of "webhooks"

The master writes the files when it starts, perhaps long after the web process did, and other ones when the admin has
replaced a string.  inotify(7) was rejected: it knows no network file systems, and a look at two files costs nothing.
"""

import os
from collections.abc import Callable, Mapping
from typing import TypeAlias

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ...errors import FurlError
from ...storage.files import readable_by_others
from ...wire.furl import parse, read_furl

WATCH = "watch"
"""The string for reading the farm."""
WEBHOOKS = "webhooks"
"""The string for passing webhooks on."""
NAMES = (WATCH, WEBHOOKS)
INTERVAL = 2.0
"""Seconds between two looks at the files."""

Follower: TypeAlias = Callable[[str | None], object]
"""Gets a string, or None when there is none any more."""
_Version: TypeAlias = tuple[int, int, int] | None


class WebStrings:
    """
    The strings in the directory *private*, and those *given* by name, whose files are not looked at.

    `FurlError` if a given one is no FURL.
    """

    def __init__(self, private: str, clock: IReactorTime, given: Mapping[str, str]) -> None:
        self._current: dict[str, str | None] = {name: str(parse(furl)) for name, furl in given.items()}
        self._paths = {name: os.path.join(private, f"{name}.furl") for name in NAMES if name not in given}
        self._versions: dict[str, _Version] = {}
        self._followers: dict[str, list[Follower]] = {name: [] for name in NAMES}
        self._looking = LoopingCall(self.look)
        self._looking.clock = clock
        self._log = Logger()

    def current(self, name: str) -> str | None:
        """
        The string *name*; None while there is none.
        """
        return self._current.get(name)

    def follow(self, name: str, take: Follower) -> None:
        """
        Call *take* with the string *name*, at once if there is one, and whenever it is another one.
        """
        self._followers[name].append(take)
        if (furl := self.current(name)) is not None:
            take(furl)

    def start(self) -> None:
        """
        Look at the files now, and every `INTERVAL` seconds.
        """
        _ = self._looking.start(INTERVAL)

    def stop(self) -> None:
        """
        Look no more.
        """
        if self._looking.running:
            self._looking.stop()

    def look(self) -> None:
        """
        Read the files that are new or have changed.
        """
        for name, path in self._paths.items():
            version = _version(path)
            if version != self._versions.get(name):
                self._versions[name] = version
                self._take(name, None if version is None else self._read(name, path))

    def _take(self, name: str, furl: str | None) -> None:
        if furl != self.current(name):
            self._current[name] = furl
            for take in tuple(self._followers[name]):
                take(furl)

    def _read(self, name: str, path: str) -> str | None:
        """
        The string in *path*; the one before if the file has none.
        """
        try:
            if readable_by_others(path):
                self._log.warn("others on this machine can read {path}, and the string in it: chmod 600 it", path=path)
            return str(parse(read_furl(path)))
        except (FurlError, OSError) as error:
            self._log.error("no string can be read from {path}: {why}", path=path, why=str(error))
            return self.current(name)


def _version(path: str) -> _Version:
    """
    What changes when the file *path* is replaced or written; None if there is no file.
    """
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
