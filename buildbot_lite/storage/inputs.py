"""
Inputs: patches, archives and other files that submitters sent for builds.

The name of an input's file is the SHA-256 of its contents: equal inputs share one file, and after a crash between
writing the file and its row in the database, the next submission of the same input finds the file.
"""

import hashlib
import os
import re
from collections.abc import Collection
from contextlib import suppress

from attrs import frozen

from ..errors import (
    DiskFullError,
    FileError,
    InputError,
    NotFoundError,
)
from .files import (
    file_error,
    is_disk_full,
    make_directory,
    remove,
    sync_directory,
    write_all,
)

_NAME = re.compile(r"[0-9a-f]{64}\Z")
_INCOMING = ".incoming-"
LARGEST_INPUT = 4 << 30
"""Bytes of an input, unless a store or a grant has a smaller bound."""
HEAD = 64 << 10
"""Bytes at the beginning of an input that decide its kind."""


@frozen
class InputFile:
    """
    A stored input.  *length*: bytes.
    """

    length: int
    sha256: str


class IncomingInput:
    """
    An input that is being received: `write` its bytes, then `keep` or `abandon` it.  *head*: its first `HEAD` bytes.
    """

    def __init__(self, directory: str, number: int, largest: int) -> None:
        self._directory = directory
        self._largest = largest
        self._path = os.path.join(directory, f"{_INCOMING}{os.getpid()}-{number}")
        self._descriptor: int | None = None
        self._sum = hashlib.sha256()
        self._length = 0
        self._over = False
        self.head = b""

    @property
    def length(self) -> int:
        """
        Bytes received so far.
        """
        return self._length

    def write(self, data: bytes) -> None:
        """
        Append *data*.  `InputError` when the input becomes too large, `FileError` when it cannot be stored; after
        either the input is abandoned.
        """
        self._check()
        if self._length + len(data) > self._largest:
            self.abandon()
            raise InputError(f"The submission is larger than the {self._largest} bytes that are accepted here.")
        try:
            write_all(self._open(), data)
        except OSError as error:
            self.abandon()
            raise _explained(error) from error
        self._sum.update(data)
        self._length += len(data)
        if len(self.head) < HEAD:
            self.head += data[: HEAD - len(self.head)]

    def keep(self) -> InputFile:
        """
        Complete the input.  It is on the disk under its final name when this returns.
        """
        self._check()
        stored = InputFile(self._length, self._sum.hexdigest())
        try:
            os.fsync(self._open())
            os.rename(self._path, os.path.join(self._directory, stored.sha256))
            sync_directory(self._directory)
        except OSError as error:
            raise _explained(error) from error
        finally:
            self.abandon()
        return stored

    def abandon(self) -> None:
        """
        Remove the incomplete input.  Without effect after `keep`.
        """
        self._over = True
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            # `InputStore` removes a file that stays here when it is next created.
            with suppress(OSError):
                os.close(descriptor)
            with suppress(OSError):
                remove(self._path)

    def _check(self) -> None:
        # Data after a refusal must not create another file that holds only the rest of the input.
        if self._over:
            raise InputError("This submission was refused or completed before; begin another.")

    def _open(self) -> int:
        if self._descriptor is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._descriptor = os.open(self._path, flags, 0o600)
        return self._descriptor


class InputStore:
    """
    The inputs in *directory*, which is created if it is missing; incomplete inputs of earlier processes are removed.

    *largest*: bytes allowed for each input.
    """

    def __init__(self, directory: str, *, largest: int = LARGEST_INPUT) -> None:
        self._directory = directory
        self._largest = largest
        self._incoming = 0
        make_directory(directory)
        for name in os.listdir(directory):
            if name.startswith(_INCOMING):
                remove(os.path.join(directory, name))

    def receive(self, largest: int | None = None) -> IncomingInput:
        """
        Begin a new input of at most *largest* bytes; the store's own bound applies too.
        """
        self._incoming += 1
        allowed = self._largest if largest is None else min(largest, self._largest)
        return IncomingInput(self._directory, self._incoming, allowed)

    def path(self, sha256: str) -> str:
        """
        The path of a stored input; `NotFoundError` when there is none.
        """
        path = os.path.join(self._directory, sha256)
        if not _NAME.match(sha256) or not os.path.exists(path):
            raise NotFoundError("That input is not stored here any more.  Submit it again.")
        return path

    def read(self, sha256: str, offset: int, size: int) -> bytes:
        """
        *size* bytes of an input from *offset*; fewer only at its end.  `NotFoundError`, `FileError`.
        """
        path = self.path(sha256)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                return os.pread(descriptor, size, offset)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise file_error(error, "submitted input", cannot="be read") from error

    def discard_all_but(self, needed: Collection[str], before: float) -> None:
        """
        Remove the inputs that are not among *needed* and arrived before *before*, in seconds since 1970.  `FileError`.
        """
        try:
            for entry in os.scandir(self._directory):
                # Of a link, its own age: what it leads to may be missing.
                unneeded = _NAME.match(entry.name) and entry.name not in needed
                if unneeded and entry.stat(follow_symlinks=False).st_mtime < before:
                    remove(entry.path)
        except OSError as error:
            raise file_error(error, "submitted input", cannot="be removed") from error


def _explained(error: OSError) -> FileError:
    if is_disk_full(error):
        return DiskFullError("The master's disk is full: the submission could not be stored.  Try again later.")
    return FileError(f"The submission could not be stored: {error.strerror}.")
