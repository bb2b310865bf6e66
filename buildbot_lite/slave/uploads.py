"""
Uploads of files and directories to the master.

A file is sent without being copied first.  So that the master gets one consistent version of it, device, inode, size,
mtime and ctime are compared at the end and after a restart.  If the file has changed, it is sent once more, as the next
generation of the stream; if it changes again, the upload fails.
"""

import os
import time
from collections.abc import Mapping
from typing import Any, BinaryIO

from ..errors import BuildbotLiteError, InputError
from ..model.display import printable
from ..model.json_reader import JsonReader
from ..model.outcome import (
    Outcome,
    Remark,
    Seal,
)
from ..storage.files import remove
from .file_jobs import (
    pack_job,
    sha256_of,
    sum_job,
)
from .packing import PackedArchive
from .stream_sender import latest_generations, next_generation
from .transfer import StoppedError, Transfer, succeeded
from .transfer_files import os_sentence

ARTIFACT = "artifact"
LARGE = 64 << 20
"""Bytes; the checksum of a file of this size or more is computed in a process of its own."""


class FileUpload(Transfer):
    """
    Sends a file as the stream "artifact".
    """

    def _restore(self, saved: JsonReader | None) -> None:
        super()._restore(saved)
        self._source: BinaryIO | None = None
        self._size = 0
        self._stream = saved.text("stream", ARTIFACT, limit=40) if saved else ARTIFACT
        self._facts: list[int] = saved.document.get("facts") or [] if saved else []
        self._restarted = bool(saved and saved.flag("restarted", default=False))

    def lengths(self) -> Mapping[str, int]:
        """
        The size of the file when it was opened.
        """
        return {self._stream: self._size} if self._source is not None else {}

    def read(self, stream: str, offset: int, size: int) -> bytes:
        """
        Read from the file.  If the file has become shorter, the upload begins again; if it cannot be read, the upload
        fails.
        """
        if self._source is None or stream != self._stream:
            return b""
        try:
            data = os.pread(self._source.fileno(), size, offset)
        except OSError as error:
            self._task.cancel()
            self._fail(os_sentence(error, self._spec.path))
            return b""
        if len(data) < size:
            self._start_again()
            return b""
        return data

    def resend(self, stream: str) -> None:
        """
        Send the same file as the next generation.
        """
        if stream == self._stream and self._outcome is not None:
            self._stream = next_generation(stream)
            seals = dict(self._outcome.streams)
            self._outcome = self._outcome.but(streams={self._stream: seals[stream]} if stream in seals else {})
            self._save()

    def have(self, lengths: Mapping[str, int]) -> None:
        """
        Continue with the latest generation that the master knows, which an earlier process may have sent.
        """
        latest = latest_generations([self._stream, *lengths]).get(ARTIFACT, self._stream)
        if latest != self._stream:
            if self._outcome is not None and self._stream in self._outcome.streams:
                self._outcome = self._outcome.but(streams={latest: self._outcome.streams[self._stream]})
            self._stream = latest
            self._save()

    def confirm(self) -> bool:
        """
        Whether the file is still the one that was sent.
        """
        if self._source is None:
            return True  # it ended in an earlier process, or nothing was sent
        if self._facts_now() == self._facts:
            return True
        self._start_again()
        return False

    async def _perform(self) -> None:
        await self._prepare()
        source = self._source = self._opened()
        facts = _facts(source.fileno())
        if self._facts and facts != self._facts:
            self._change()
        self._facts = facts
        self._size = facts[2]
        largest = self._spec.largest
        if largest is not None and self._size > largest:
            raise InputError(
                f"{self._spec.path!r:.200} has {self._size} bytes; at most {largest} may be uploaded (maxsize)."
            )
        self._save()
        self._notify()
        digest = await self._summed(source, facts[2])
        self._outcome = succeeded().but(streams={self._stream: Seal(self._size, digest)}, remarks=self._remarks())
        self._notify()

    async def _prepare(self) -> None:
        """
        Make the file to send, unless it exists.
        """

    async def _summed(self, source: BinaryIO, size: int) -> str:
        """
        The SHA-256 of the first *size* bytes of *source*.
        """
        if size >= LARGE:
            answer = await self._in_worker(sum_job(source.fileno(), size), descriptor=source.fileno())
            return str(answer["sha256"])

        def check() -> None:
            if self._stopped or source.closed:
                raise StoppedError

        def sum_it() -> str:
            try:
                return sha256_of(copy, size, check)
            finally:
                os.close(copy)

        # The thread has its own descriptor, so that *source* may be closed at any time.
        copy = os.dup(source.fileno())
        return await self._in_thread(sum_it)

    def _remarks(self) -> tuple[Remark, ...]:
        return ()

    def _opened(self) -> BinaryIO:
        return open(self._open(), "rb", buffering=0)

    def _open(self) -> int:
        return self._context.paths.open_to_read(self._spec.path)

    def _facts_now(self) -> list[int]:
        try:
            with self._opened() as now:
                return _facts(now.fileno())
        except (OSError, BuildbotLiteError):
            return []

    def _start_again(self) -> None:
        self._close()
        self._outcome = None
        self._task.cancel()
        try:
            self._change()
        except InputError as error:
            self._fail(str(error))
            return
        self._go(self._perform())

    def _change(self) -> None:
        if self._restarted:
            raise InputError(f"{self._spec.path!r:.200} changed while it was uploaded.")
        self._restarted = True
        self._facts = []
        self._stream = next_generation(self._stream)

    @property
    def _over(self) -> bool:
        # The outcome is known before all bytes are sent, so it alone does not tell.
        return self._source is None and self._outcome is not None

    def _saved_outcome(self) -> Outcome | None:
        # Success is not saved, because a new process must compare the file again.
        return self._outcome if self._outcome is not None and not self._outcome.succeeded else None

    def _state(self) -> dict[str, Any]:
        return {"stream": self._stream, "facts": self._facts, "restarted": self._restarted}

    def _clear(self) -> None:
        self._close()

    def _end(self, outcome: Outcome) -> None:
        self._close()
        super()._end(outcome)

    def _close(self) -> None:
        if self._source is not None:
            self._source.close()
            self._source = None


class DirectoryUpload(FileUpload):
    """
    Packs a directory into a file beside the claim, and sends that.
    """

    def _restore(self, saved: JsonReader | None) -> None:
        super()._restore(saved)
        self._packed = PackedArchive(**saved.document["packed"]) if saved and saved.has("packed") else None

    def _state(self) -> dict[str, Any]:
        return {**super()._state(), "packed": self._packed and self._packed._asdict()}

    async def _prepare(self) -> None:
        if self._facts and self._facts_now() == self._facts:
            return  # an earlier process packed it, and the master may have a part of that archive
        # A new archive has another name until it is complete, as an earlier one may be being sent.
        temporary = self._path(".tar.new")
        job = pack_job(self._context.paths, self._spec.path, temporary, largest=self._spec.largest)
        self._packed = PackedArchive(**await self._in_worker(job, seconds=self._spec.max_time))
        os.replace(temporary, self._path(".tar"))

    async def _summed(self, source: BinaryIO, size: int) -> str:
        return self._packed.sha256 if self._packed else await super()._summed(source, size)

    def _remarks(self) -> tuple[Remark, ...]:
        """
        A remark that names the entries that were left out.
        """
        packed = self._packed
        if packed is None or not packed.left_out_count:
            return ()
        named = ", ".join(printable(path, longest=100) for path in packed.left_out)
        more = packed.left_out_count - len(packed.left_out)
        text = f"Left out, because an archive can contain only files, directories and links: {named}"
        text += f" and {more} more." if more else "."
        return (Remark(self._stream, 0, time.time(), text),)

    def _open(self) -> int:
        return os.open(self._path(".tar"), os.O_RDONLY | os.O_CLOEXEC)

    def _clear(self) -> None:
        super()._clear()
        remove(self._path(".tar"))
        remove(self._path(".tar.new"))


def _facts(descriptor: int) -> list[int]:
    now = os.fstat(descriptor)
    return [now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns]
