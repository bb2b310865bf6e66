"""
The streams that a command writes to the master, the sources that it reads from there, and their bounds.

`builds.streams` and the inputs of a build implement the protocols.
"""

from collections.abc import Collection
from typing import Protocol

from twisted.internet.defer import Deferred

from ...errors import MessageError
from ...model.outcome import Seal
from ...model.spec import (
    Run,
    Spec,
    Upload,
    UploadDirectory,
)

ARTIFACT = "artifact"
"""The name of an upload's stream."""
STDIO = "stdio"
"""The name of the stream with a program's output."""
ATTEMPTS = ("", "~1", "~2")
"""What follows a stream's name, each time that it is sent."""


class WritableStream(Protocol):
    """
    An append-only file on the master, as `storage.streams` has it.
    """

    @property
    def length(self) -> int:
        """
        The length in bytes.
        """

    def append(self, offset: int, data: bytes) -> int:
        """
        Append the part of *data* that is not stored yet; return the new length in bytes.

        *offset*: where *data* begins in the stream, in bytes.  `DiskFullError` if no space is left; `FileError` if the
        file cannot be written.
        """

    def seal(self, seal: Seal) -> Deferred[bool]:
        """
        Return whether length and checksum are those of *seal*.  If so, the file has been synced to the disk.
        """


class EntryStreams(Protocol):
    """
    The streams of one journal entry.
    """

    def stream(self, name: str) -> WritableStream:
        """
        The stream called *name*.  Its file is made when its first byte is written.
        """

    def lengths(self) -> dict[str, int]:
        """
        Name → length in bytes of every stream that is not empty.  `FileError` if the directory cannot be read.
        """


class Source(Protocol):
    """
    A file on the master that a command may read.
    """

    def read(self, offset: int, size: int) -> bytes:
        """
        Read at most *size* bytes from *offset*.  `FileError` or `NotFoundError` if that fails.
        """


class StreamBounds:
    """
    The bounds on the streams that the slave sends for *spec*.

    The keeper enforces the same bounds; these are for a slave that ignores them.  *streams*: what is stored so far.
    """

    def __init__(self, spec: Spec, streams: EntryStreams) -> None:
        self._names = streams_of(spec)
        self._most = _most_bytes(spec)
        self._streams = streams
        self._ends: dict[str, int] | None = None

    def check_name(self, name: str) -> None:
        """
        Raise `MessageError` unless the command has a stream called *name*.
        """
        if name not in self._names:
            raise MessageError(f"{name!r:.60} is not a stream of this command.")

    def check_place(self, name: str, offset: int) -> None:
        """
        Raise `MessageError` unless the command has a stream called *name*, and *offset* is not negative.
        """
        if name not in self._names or offset < 0:
            raise MessageError(f"{name!r:.60} at offset {offset} is not a place in a stream of this command.")

    def check_end(self, name: str, end: int) -> None:
        """
        Raise `MessageError` if all streams of one attempt together would be too long when *name* ends at byte *end*.
        """
        if self._most is None:
            return
        if self._ends is None:
            self._ends = self._streams.lengths()
        self._ends[name] = max(end, self._ends.get(name, 0))
        attempt = name.partition("~")[2]
        if sum(length for each, length in self._ends.items() if each.partition("~")[2] == attempt) > self._most:
            raise MessageError(f"This command may send at most {self._most} bytes.")


def streams_of(spec: Spec) -> frozenset[str]:
    """
    The names of the streams that a slave may send for *spec*.

    A stream that arrived damaged is sent again under its name and "~1", then "~2".
    """
    names: set[str] = set()
    if isinstance(spec, Run):
        names = {STDIO, *spec.logfiles, *(["stderr"] if spec.separate_stderr else [])}
    elif isinstance(spec, Upload | UploadDirectory):
        names = {ARTIFACT}
    return frozenset(name + attempt for name in names for attempt in ATTEMPTS)


def log_of(stream: str, log: str) -> str:
    """
    The log to which the bytes of *stream* belong.  *log*: the one for the output of the program.
    """
    name = stream.partition("~")[0]
    return log if name == STDIO else name


def latest_of(streams: Collection[str], log: str, output: str) -> str | None:
    """
    Of *streams*, the last attempt at that of *log*, which counts; None if there is none.  *output*: as for `log_of`.
    """
    found = [name for name in streams if log_of(name, output) == log]
    return max(found, key=_attempt, default=None)


def _attempt(stream: str) -> int:
    number = stream.partition("~")[2]
    return int(number) if number.isascii() and number.isdigit() else 0


def _most_bytes(spec: Spec) -> int | None:
    """
    The bound on the bytes of all streams of one attempt; None: no bound.
    """
    if isinstance(spec, Run):
        return spec.cap
    return spec.largest if isinstance(spec, Upload | UploadDirectory) else None
