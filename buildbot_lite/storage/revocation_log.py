"""
The log of revocations: which FURLs were revoked, and how often limited ones were used.

The database knows this too.  But a restore brings back the database of an earlier day, and with it FURLs that were
revoked or used up since.  So both are also appended to a file that no backup contains, and that a restore reads.  A
line is on the disk before its transaction is committed, and so before the caller gets an answer.

The file is text.  Its first line names the farm's key (by its fingerprint) and since when the log is complete; digests
are those of `swissnums`, times are seconds since 1970::

    farm FINGERPRINT 1795900000
    revoked DIGEST 1795900100
    used DIGEST 3 1795900200           in all 3 times
    continued "/srv/farm2/private/revocations.log"

The last line is a restore's: the restored farm goes on with a log of its own, which begins with a copy of this one.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Self

from attrs import define, evolve, field, frozen

from ..errors import FileError, RecordsFailingError
from .files import sync_directory, write_all, write_whole

FILE = "revocations.log"
"""Its name in ``private/``."""
LARGEST_UNCONDENSED = 1 << 20
"""Bytes; a larger log is condensed to one line for each FURL when the master starts."""

MOST_CONTINUATIONS = 100

_FIRST = re.compile(r"farm ([0-9a-f]{64}) (\d+)")
_REVOKED = re.compile(r"revoked ([0-9a-f]{64}) (\d+)")
_CONTINUED = re.compile(r'continued (".*")')
_USED = re.compile(r"used ([0-9a-f]{64}) (\d+) (\d+)")


@frozen
class LoggedRevocations:
    """
    The contents of a log.  *since*: the time since which it is complete, in seconds since 1970.  *revoked*: digest →
    time.  *uses*: digest → number of uses and time of the last one.  *continued*: the path of the log that continues
    it.
    """

    fingerprint: str
    since: float
    revoked: Mapping[str, float] = field(factory=dict)
    uses: Mapping[str, tuple[int, float]] = field(factory=dict)
    continued: str | None = None

    def joined(self, following: Self) -> Self | None:
        """
        The entries of this log and the *following* one together; None if that belongs to another farm.
        """
        if following.fingerprint != self.fingerprint:
            return None
        uses = dict(following.uses)
        for digest, used in self.uses.items():
            uses[digest] = max(used, uses.get(digest, used))
        return evolve(following, since=self.since, revoked={**following.revoked, **self.revoked}, uses=uses)

    def to_text(self) -> str:
        """
        The text of a log with these contents.
        """
        lines = [f"farm {self.fingerprint} {self.since:.0f}"]
        lines += [f"used {digest} {count} {at:.0f}" for digest, (count, at) in self.uses.items()]
        lines += [f"revoked {digest} {at:.0f}" for digest, at in self.revoked.items()]
        lines += [f"continued {json.dumps(self.continued)}"] if self.continued else []
        return "".join(f"{line}\n" for line in lines)


@define
class RevocationLog:
    """
    The log in the file *path*, of the farm whose key has this *fingerprint*.  *wall*: seconds since 1970.
    """

    path: str
    fingerprint: str
    wall: Callable[[], float]

    @classmethod
    def of(cls, private: str, fingerprint: str, wall: Callable[[], float]) -> Self:
        """
        The log of the farm with the directory *private*.
        """
        return cls(os.path.join(private, FILE), fingerprint, wall)

    def begin(self) -> None:
        """
        Start a log if there is none of this key, and condense a long one.  `FileError` when it cannot be written.
        """
        logged = read_log(self.path)
        if logged is None or logged.fingerprint != self.fingerprint:
            logged = LoggedRevocations(self.fingerprint, self.wall())
        elif os.path.getsize(self.path) <= LARGEST_UNCONDENSED:
            return
        write_whole(self.path, logged.to_text().encode())

    def revoked(self, digest: str, now: float) -> None:
        """
        Log that the FURL with this *digest* was revoked *now*.
        """
        self._append(f"revoked {digest} {now:.0f}\n")

    def used(self, digest: str, uses: int, now: float) -> None:
        """
        Log that the FURL with this *digest* has been used *uses* times, the last time *now*.
        """
        self._append(f"used {digest} {uses} {now:.0f}\n")

    def continued(self, path: str) -> None:
        """
        Log that the log *path* goes on after this one.
        """
        self._append(f"continued {json.dumps(path)}\n")

    def _append(self, line: str) -> None:
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                size = os.fstat(descriptor).st_size
                before = "" if size else f"farm {self.fingerprint} {self.wall():.0f}\n"
                if size and os.pread(descriptor, 1, size - 1) != b"\n":
                    before = "\n"  # a crash cut the last line off
                write_all(descriptor, (before + line).encode())
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if not size:
                sync_directory(os.path.dirname(self.path))
        except OSError as error:
            # As for the database: the change waits, and is tried again.
            raise RecordsFailingError(f"{self.path} cannot be written: {error.strerror}.") from error


def read_log(path: str) -> LoggedRevocations | None:
    """
    The contents of the log *path*; None when it is missing or no such log.  `FileError` when it cannot be read.

    A line that a crash truncated is skipped: its revocation was never acknowledged.
    """
    try:
        with open(path, encoding="ascii", errors="replace") as lines:
            first = _FIRST.fullmatch(lines.readline(200).rstrip("\n"))
            if first is None:
                return None
            revoked: dict[str, float] = {}
            uses: dict[str, tuple[int, float]] = {}
            continued = None
            for line in _lines(lines):
                if match := _REVOKED.fullmatch(line):
                    revoked.setdefault(match[1], float(match[2]))
                elif match := _USED.fullmatch(line):
                    uses[match[1]] = max(uses.get(match[1], (0, 0.0)), (int(match[2]), float(match[3])))
                elif match := _CONTINUED.fullmatch(line):
                    continued = str(json.loads(match[1]))
            return LoggedRevocations(first[1], float(first[2]), revoked, uses, continued)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}.") from error


def read_chain(path: str) -> tuple[str, LoggedRevocations | None]:
    """
    The path of the last log in the chain of continuations that begins with the log *path*, and the entries of all logs
    of the chain; None when one of them is missing or belongs to another farm.

    All are joined, because a farm may continue after a restore that was only an exercise: each log may have entries
    that the others do not have, and a string that is void in one of them is void.
    """
    found = read_log(path)
    for _ in range(MOST_CONTINUATIONS):
        if found is None or found.continued is None:
            return path, found
        path = found.continued
        following = read_log(path)
        found = None if following is None else found.joined(following)
    return path, None


def _lines(lines: Iterator[str]) -> Iterator[str]:
    return (line.rstrip("\n") for line in lines)
