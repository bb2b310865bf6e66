"""
Downloads of files and archives from the master.
"""

import hashlib
import os
from typing import Any, BinaryIO

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ..deferreds import background, shielded
from ..errors import InputError, MessageError
from ..model.json_reader import JsonReader
from ..model.outcome import Outcome
from ..storage.archive_input import Bounds
from ..storage.files import remove
from ..wire.roles import Command
from .file_jobs import discard_job, unpack_job
from .transfer import Transfer, TransferContext, succeeded
from .transfer_files import with_room, write_at

STAGED = ".tree"
"""The suffix of directories in which archives are unpacked first."""
CHUNK = 256 << 10
"""Bytes that are requested at a time."""
MOST_IN_FLIGHT = 4
"""Requests without an answer."""
_log = Logger()


class FileDownload(Transfer):
    """
    Fetches a file, which gets its name only when it is complete.
    """

    def _restore(self, saved: JsonReader | None) -> None:
        super()._restore(saved)
        self._partial: BinaryIO | None = None
        self._digest = hashlib.sha256()
        self._size = 0
        self._finishing = False

    def begin(self) -> None:
        """
        Do nothing, because `linked` begins the transfer.
        """

    def linked(self, command: Command) -> None:
        """
        Continue fetching, from *command*.
        """
        if self._outcome is None and not self._finishing and not self._stopped:
            self._go(self._perform_with(command))

    def unlinked(self) -> None:
        """
        Stop fetching until the next link, unless all bytes have arrived.
        """
        if not self._finishing:
            self._task.cancel()

    async def _perform_with(self, command: Command) -> None:
        if self._partial is None:
            self._partial = await with_room(self._context.clock, self._opened)
        partial = self._partial
        await self._fetch(command, partial)
        self._finishing = True  # from here on, no link is needed
        if self._digest.hexdigest() != self._spec.sha256:
            raise InputError(
                f"The received {self._spec.path!r:.200} has the checksum {self._digest.hexdigest()}, "
                f"not {self._spec.sha256}."
            )
        await self._finished(partial)
        if not self._stopped:
            self._end(succeeded())

    async def _fetch(self, command: Command, partial: BinaryIO) -> None:
        """
        Fetch the rest of the file.  Several chunks are requested at a time, and written in order.
        """
        in_flight: list[Deferred[bytes]] = []
        requested = self._size
        try:
            while self._size < self._spec.size:
                while requested < self._spec.size and len(in_flight) < MOST_IN_FLIGHT:
                    size = min(CHUNK, self._spec.size - requested)
                    in_flight.append(shielded(command.read(self._spec.name, requested, size)))
                    requested += size
                expected = min(CHUNK, self._spec.size - self._size)
                data = await in_flight.pop(0)
                if len(data) != expected:
                    raise MessageError(
                        f"The master sent {len(data)} bytes of {self._spec.name!r:.100} where {expected} were expected."
                    )
                await self._write(partial, data)
        finally:
            for request in in_flight:
                self._ignored = request.addErrback(lambda _: None)
                request.cancel()

    async def _write(self, partial: BinaryIO, data: bytes) -> None:
        await with_room(self._context.clock, lambda: write_at(partial.fileno(), data, self._size))
        self._digest.update(data)
        self._size += len(data)

    def _finished(self, partial: BinaryIO) -> Deferred[Any]:
        """
        Move the complete file to its place.
        """
        return self._in_thread(lambda: self._finish(partial))

    def _finish(self, partial: BinaryIO) -> None:
        os.fchmod(partial.fileno(), self._spec.mode)
        os.fsync(partial.fileno())
        if not self._stopped:
            self._context.paths.complete(self._spec.path, self.id)

    def _opened(self) -> BinaryIO:
        return open(self._open_partial(), "wb", buffering=0)

    def _open_partial(self) -> int:
        return self._context.paths.open_partial(self._spec.path, self.id)

    def _clear(self) -> None:
        self._close()
        self._context.paths.discard(self._spec.path, self.id)

    def _end(self, outcome: Outcome) -> None:
        self._close()
        if not outcome.succeeded:
            self._clear()
        super()._end(outcome)

    def _close(self) -> None:
        if self._partial is not None:
            self._partial.close()
            self._partial = None


class ArchiveDownload(FileDownload):
    """
    Fetches an archive, and unpacks it when it is complete.
    """

    def _finished(self, partial: BinaryIO) -> Deferred[Any]:
        job = unpack_job(
            self._context.paths,
            self._spec.path,
            self._path(".tar"),
            self._path(STAGED),
            bounds=Bounds(self._spec.largest, self._spec.members),
        )
        return self._in_worker(job, seconds=self._spec.max_time)

    def _open_partial(self) -> int:
        return os.open(self._path(".tar"), os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)

    def _clear(self) -> None:
        self._close()
        remove(self._path(".tar"))
        discard(self._context, self._path(STAGED))

    def _end(self, outcome: Outcome) -> None:
        remove(self._path(".tar"))
        super()._end(outcome)


def discard(context: TransferContext, path: str) -> None:
    """
    Remove the directory *path* in the background, if it exists.  (A worker that was killed leaves it.)
    """
    if os.path.lexists(path):
        background(context.workers.start(discard_job(path)).answer, _log, "removing an unpacked archive")
