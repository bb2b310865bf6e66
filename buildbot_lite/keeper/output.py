"""
Writes a command's output to spools: masks it, limits its size, and stalls while the disk is full.

::

    pipe ---.
    pty  ----+--> accept(stream, data) --> cap --> masker --> spool
    tail ---'                                        |
                                              pending, when the disk is full: nothing more is read
"""

import errno
from collections.abc import Callable
from typing import NamedTuple, Protocol

from .masking import Masker, Search
from .spool import Spool

FULL = (errno.ENOSPC, errno.EDQUOT)
"""The error numbers of a full disk."""


class AnySpool(Protocol):
    """
    The methods of `Spool` that `Output` calls.
    """

    length: int

    def append(self, data: bytes) -> tuple[int, OSError | None]:
        """
        Append *data*; return the number of bytes written, and the error that stopped it.
        """

    def seal(self) -> dict[str, object]:
        """
        Close; return length and checksum.
        """


class OutputCallbacks(NamedTuple):
    """
    Called when a stream *grew*, when there is more output than the cap (*capped*), when the disk is full (*stalled*),
    and when writing *failed* with another error (with a sentence), after which output is dropped.
    """

    grew: Callable[[], None]
    capped: Callable[[], None]
    stalled: Callable[[], None]
    failed: Callable[[str], None]


class Output:
    """
    All streams of one command.  *cap*: the most bytes of all of them together, or None.
    """

    def __init__(
        self,
        streams: list[str],
        *,
        secrets: list[bytes],
        cap: int | None,
        open_spool: Callable[[str], AnySpool],
        callbacks: OutputCallbacks,
    ) -> None:
        self._spools = {stream: open_spool(stream) for stream in streams}
        search = Search(secrets)
        self._maskers = {stream: Masker(search) for stream in streams}
        self._pending: dict[str, bytes] = {}
        self._left = cap
        self._callbacks = callbacks
        self._closed = False

    def stalled(self) -> bool:
        """
        Whether bytes wait for space on the disk; then `accept` must not be called.
        """
        return bool(self._pending)

    def accept(self, stream: str, data: bytes) -> None:
        """
        Take *data* as the next bytes of *stream*.  Bytes beyond the cap, or after `abandon`, are dropped.
        """
        if self._closed:
            return
        exceeded = False
        if self._left is not None:
            exceeded = len(data) > self._left
            data = data[: self._left]
            self._left -= len(data)
        self._write(stream, self._maskers[stream].feed(data))
        if exceeded:
            self._closed = True
            self._callbacks.capped()

    def flush(self) -> None:
        """
        Write what the maskers hold back, because the output is complete.  This may stall again.
        """
        for stream, masker in self._maskers.items():
            self._write(stream, self._pending.pop(stream, b"") + masker.flush())
        self._closed = True

    def retry(self) -> bool:
        """
        Try to write the bytes that wait for space; return whether all of them were written.
        """
        pending, self._pending = self._pending, {}
        for stream, data in pending.items():
            self._write(stream, data)
        return not self._pending

    def abandon(self) -> None:
        """
        Drop the bytes that wait for space, and all later ones.
        """
        self._closed = True
        self._pending.clear()
        for masker in self._maskers.values():
            masker.flush()

    def length(self, stream: str) -> int:
        """
        The present length of *stream* in bytes.
        """
        return self._spools[stream].length

    def lengths(self) -> dict[str, int]:
        """
        The length in bytes of every stream that is not empty.
        """
        return {stream: spool.length for stream, spool in self._spools.items() if spool.length}

    def seal(self) -> dict[str, dict[str, object]]:
        """
        Close all streams; return length and checksum of each that is not empty.
        """
        seals = {stream: spool.seal() for stream, spool in self._spools.items()}
        return {stream: seal for stream, seal in seals.items() if seal["length"]}

    def _write(self, stream: str, data: bytes) -> None:
        if not data:
            return
        written, error = self._spools[stream].append(data)
        if written:
            self._callbacks.grew()
        if error is None:
            return
        if error.errno in FULL:
            self._pending[stream] = data[written:]
            self._callbacks.stalled()
        else:
            self.abandon()
            self._callbacks.failed(f"The log cannot be written: {error.strerror}.")


def file_spools(path_of: Callable[[str], str]) -> Callable[[str], AnySpool]:
    """
    Spools in files.
    """
    return lambda stream: Spool(path_of(stream))
