"""
What a download to the slave reads: a text, or a regular file of the master.
"""

import hashlib
import os
import stat
from collections.abc import Mapping

from attrs import frozen
from twisted.internet.threads import deferToThread

from ...errors import NotFoundError, UnsafePathError
from ...model.properties import Json
from ...storage.files import file_error

# Files up to this size are hashed in the reactor's thread, larger ones in a thread of their own.
_QUICK = 8 << 20
_BLOCK = 1 << 20


@frozen
class TextSource:
    """
    A source that is the bytes *data*.
    """

    data: bytes

    def read(self, offset: int, size: int) -> bytes:
        return self.data[offset : offset + size]


@frozen
class MasterFile:
    """
    A source that is the regular file at *path* on the master.  It is opened for each chunk, so that no file descriptor
    is left open when a build ends early.
    """

    path: str

    def read(self, offset: int, size: int) -> bytes:
        try:
            descriptor = _open(self.path)
            try:
                return os.pread(descriptor, size, offset)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise file_error(error, f"file {os.path.basename(self.path)}", cannot="be read") from error
        except NotFoundError as error:
            raise NotFoundError(f"The master cannot send {os.path.basename(self.path)!r:.200}: {error}.") from None


def _open(path: str) -> int:
    # O_NONBLOCK, because to open a pipe could wait for ever.  Pipes and devices are refused.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise NotFoundError(error.strerror or "it cannot be opened") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotFoundError("it is not a regular file")
    return descriptor


async def facts_of(path: str) -> Mapping[str, Json]:
    """
    The "size" in bytes and the "sha256" of the regular file at *path*; or a "problem", for people.
    """
    try:
        descriptor = _open(path)
    except (NotFoundError, UnsafePathError, ValueError) as error:
        return {"problem": str(error)}
    try:
        if os.fstat(descriptor).st_size <= _QUICK:
            return _measured(descriptor)
        return await deferToThread(_measured, descriptor)
    finally:
        os.close(descriptor)


def _measured(descriptor: int) -> Mapping[str, Json]:
    digest, size = hashlib.sha256(), 0
    while block := os.pread(descriptor, _BLOCK, size):
        digest.update(block)
        size += len(block)
    return {"size": size, "sha256": digest.hexdigest()}
