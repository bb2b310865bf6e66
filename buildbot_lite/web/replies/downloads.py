"""
The bytes of logs, artifacts and public files as downloads: ranges (RFC 9110, 14), gzip, and no more in memory than the
client is about to read.

::

    file ── a piece ──► gzip, if wanted ──► transport          pauses when its buffer is full, resumes when it is empty

The first piece is small, and each time that the client has read one the next is twice as large: so a thousand clients
that read nothing hold little, and one that reads quickly needs few pieces.  When many clients have not yet read theirs,
the pieces are smaller (`BoundedRequest.largest_piece`).
"""

import hashlib
import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from ...errors import BuildbotLiteError
from ...storage.compressed_streams import StreamReader
from ..logs.farm_logs import FarmLogs
from ..logs.log_reader import LogReader
from ..page_request import PageRequest, takes_gzip
from ..serving.packing import packer
from ..view import Reply, Streamed

FIRST_PIECE = 4 << 10
"""Bytes that are read at first; more than `timed_producer.SMALL_BUFFER`, so that the transport pauses the reading."""
PIECE = 64 << 10
"""Bytes that are read at a time in the end."""
PIECES_IN_A_TURN = 6
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})\Z")


@frozen
class ByteRange:
    """
    The bytes from *start* up to *end*.
    """

    start: int
    end: int

    @classmethod
    def within(cls, start: int, size: int, length: int) -> "ByteRange":
        """
        The *size* bytes from *start* on, as far as they are among *length*.
        """
        start = min(start, length)
        return cls(start, min(start + size, length))


def range_of(header: str, length: int) -> ByteRange | None:
    """
    The range that a header ``Range`` asks for, of a representation of *length* bytes.  None: all, also for what we do
    not take, such as several ranges.  A range with nothing in it cannot be satisfied.
    """
    match = _RANGE.match(header)
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        return ByteRange(max(0, length - int(match[2])), length) if int(match[2]) else ByteRange(length, length)
    start = int(match[1])
    if match[2] and int(match[2]) < start:
        return None
    end = min(length, int(match[2]) + 1) if match[2] else length
    return ByteRange(start, end) if start < length else ByteRange(length, length)


def raw_reply(
    asked: PageRequest, log: LogReader, logs: FarmLogs, *, name: str, ended: bool, part: ByteRange | None = None
) -> Streamed | Reply:
    """
    The answer with the bytes of *log*, one of *logs*, as a file called *name*; or only *part* of it, to be read in the
    browser.  *ended*: it will not grow.
    """
    if part is not None:
        headers = {"content-length": str(part.end - part.start), "cache-control": "no-cache"}
        return Streamed(writing(log, part, logs.clock, packed=False), headers=headers, close=log.close)
    headers = {"content-disposition": _disposition(name), "cache-control": "no-cache", "accept-ranges": "bytes"}
    tag = f'"{hashlib.sha256(repr((log.parts, ended)).encode()).hexdigest()[:20]}"'
    if ended:
        headers["etag"] = tag
        if tag in asked.headers.get("if-none-match", ""):
            log.close()
            return Streamed(nothing, 304, headers=headers)
    wanted = range_of(asked.headers.get("range", ""), log.length) if _may_be_partial(asked, tag) else None
    if wanted is not None and wanted.start >= wanted.end:
        log.close()
        return Reply(416, b"", headers={"content-range": f"bytes */{log.length}"})
    send = wanted or ByteRange(0, log.length)
    packable = wanted is None and log.length > PIECE and takes_gzip(asked.headers.get("accept-encoding", ""))
    occupant = asked.occupant
    packed = packable and logs.packing.take(occupant)
    if packed:
        headers["content-encoding"] = "gzip"
        headers.pop("etag", None)  # of other bytes
    else:
        headers["content-length"] = str(send.end - send.start)
    headers["vary"] = "accept-encoding"
    if wanted is not None:
        headers["content-range"] = f"bytes {send.start}-{send.end - 1}/{log.length}"

    def close() -> None:
        log.close()
        if packed:
            logs.packing.leave(occupant)

    write = writing(log, send, logs.clock, packed=packed)
    return Streamed(write, 200 if wanted is None else 206, headers=headers, close=close)


def writing(
    log: StreamReader, send: ByteRange, clock: IReactorTime, *, packed: bool
) -> Callable[[Any], Awaitable[None]]:
    """
    What writes the bytes *send* of *log* to a request, compressed if *packed*.
    """

    async def write(request: Any) -> None:
        if request.method == b"HEAD":
            request.finish()
        else:
            await _Sending(request, log, send, clock, packer() if packed else None).done

    return write


def _disposition(name: str) -> str:
    """
    The header for a file called *name* (RFC 6266), also for clients that know ASCII only.
    """
    plain = re.sub(r"[^A-Za-z0-9._+-]", "_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _may_be_partial(asked: PageRequest, tag: str) -> bool:
    return asked.headers.get("if-range", tag) == tag


async def nothing(request: Any) -> None:
    """
    Write an answer without a body.
    """
    request.finish()


@implementer(IPushProducer)
class _Sending:
    """
    Sends the bytes *wanted* of *reader* to *request*, and finishes it; *done* fires then.
    """

    _log = Logger()

    def __init__(
        self, request: Any, reader: StreamReader, wanted: ByteRange, clock: IReactorTime, packing: Any
    ) -> None:
        self._request = request
        self._reader = reader
        self._at, self._end = wanted.start, wanted.end
        self._clock = clock
        self._packing = packing
        self._size = FIRST_PIECE
        self._paused = False
        self._call: IDelayedCall | None = None
        self.done: Deferred[None] = Deferred(lambda done: self.stopProducing())
        request.registerProducer(self, True)
        self.resumeProducing()

    def resumeProducing(self) -> None:  # noqa: N802 - Twisted's
        self._paused = False
        self._go_on()

    def pauseProducing(self) -> None:  # noqa: N802 - Twisted's
        self._paused = True

    def stopProducing(self) -> None:  # noqa: N802 - Twisted's
        self._paused = True
        # It knows its request, and would keep the memory of the compression until the garbage is collected.
        self._packing = None
        if self._call is not None and self._call.active():
            self._call.cancel()

    def _go_on(self) -> None:
        # What compresses well fills no buffer for long: others get their turns in between.
        for _ in range(PIECES_IN_A_TURN):
            if self._paused or self.done.called:
                return
            try:
                self._step()
            except Exception:  # noqa: BLE001 - whoever waits for the end gets it
                self.stopProducing()
                self.done.errback()
        if self._call is None or not self._call.active():
            self._call = self._clock.callLater(0, self._go_on)

    def _step(self) -> None:
        try:
            size = min(self._size, self._request.largest_piece)
            piece = self._reader.read(self._at, min(size, self._end - self._at))
        except BuildbotLiteError as error:
            self._log.warn("a file cannot be sent: {why}", why=str(error))
            piece = b""
        self._at += len(piece)
        self._size = min(2 * self._size, PIECE)
        if piece:
            self._write(self._packing.compress(piece) if self._packing else piece)
            return
        self._request.unregisterProducer()
        if self._at < self._end:
            # The client must not take this for the whole.
            self._request.loseConnection()
        else:
            self._write(self._packing.flush() if self._packing else b"")
            self._request.finish()
        self.stopProducing()
        self.done.callback(None)

    def _write(self, data: bytes) -> None:
        if data:
            self._request.write(data)
