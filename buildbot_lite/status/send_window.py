"""
Flow control towards one following client: enough bytes in flight to keep its link busy, and no more.

::

    a turn ──► read a chunk ──► send ──► a whole chunk?  there is room for another ──► a turn for the next …
                                         less than that? everything acknowledged ────► a turn for what came meanwhile …

The client acknowledges each piece.  While there is more than a chunk to send, several pieces are in flight, as many as
the link carries (`FlowControl`).  At the end of the available bytes only one is in flight, so that lines that a growing
log gets meanwhile are sent together.

A client that does not read costs only the bytes in flight: the master reads nothing for it while its transport has
unsent bytes (`Client.when_writable`) or the window is full.
"""

from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from ..deferreds import OneShot
from ..storage.compressed_streams import StreamReader
from ..storage.shared_reading import BLOCK
from ..wire.flow_control import FlowControl, SentChunk

LARGEST_WINDOW = 1 << 20
"""Bytes in flight to one client: four chunks of the largest size."""
ALL = 1 << 62


class Client(Protocol):
    """
    A client that follows output.  `stdout` and `stderr` fire when the client has acknowledged the bytes.
    """

    def stdout(self, data: bytes) -> Deferred[None]:
        """
        Send a piece of the log.
        """

    def stderr(self, data: bytes) -> Deferred[None]:
        """
        A remark.
        """

    def when_writable(self) -> Deferred[None]:
        """
        Fires when the transport has passed all of its bytes to the kernel.
        """


class LogOutput(Protocol):
    """
    The destination of a copied log.
    """

    @property
    def chunk(self) -> int:
        """
        The number of bytes to read for the next `stdout`.
        """

    async def turn(self, size: int) -> None:
        """
        Wait until the client may get *size* bytes of a log; only then read them.
        """

    async def stdout(self, data: bytes) -> None:
        """
        Send the next piece of the log; return when there is room for another one.
        """


class SendWindow:
    """
    Sends to *client*, with several pieces in flight.  *turn*: fires when the client may get so many bytes of a log
    (`ingestion_first`).

    If sending a piece fails, the next call raises its error.
    """

    def __init__(self, client: Client, clock: IReactorTime, turn: Callable[[int], Deferred[None]]) -> None:
        self._client = client
        self._turn = turn
        self._pace = FlowControl(clock, LARGEST_WINDOW)
        self._flying = 0
        self._failure: Failure | None = None
        self._landing: OneShot[None] = OneShot()

    @property
    def chunk(self) -> int:
        return self._pace.chunk

    async def turn(self, size: int) -> None:
        await self._turn(size)

    async def stdout(self, data: bytes) -> None:
        whole = len(data) >= self.chunk
        self._send(self._client.stdout, data)
        await (self._room() if whole else self.drained())

    async def stderr(self, data: bytes) -> None:
        """
        Send a remark; return when the client has acknowledged everything up to it.
        """
        self._send(self._client.stderr, data)
        await self.drained()

    async def drained(self) -> None:
        """
        Wait until the client has acknowledged everything.
        """
        while self._flying and self._failure is None:
            await self._next_landing()
        self._check()

    async def _room(self) -> None:
        while not self._pace.room and self._failure is None:
            await self._next_landing()
        self._check()
        await self._client.when_writable()

    def _send(self, send: Callable[[bytes], Deferred[None]], data: bytes) -> None:
        self._check()
        self._flying += 1
        chunk = self._pace.sent(len(data))
        accepted = send(data)
        accepted.addErrback(self._failed).addCallback(self._landed, chunk)  # type: ignore[unused-awaitable]  # see drained

    def _failed(self, failure: Failure) -> None:
        self._failure = self._failure or failure

    def _landed(self, result: None, chunk: SentChunk) -> None:
        self._flying -= 1
        self._pace.answered(chunk)
        landing, self._landing = self._landing, OneShot()
        landing.fire(None)

    def _next_landing(self) -> Deferred[None]:
        return self._landing.wait()

    def _check(self) -> None:
        if self._failure is not None:
            self._failure.raiseException()


async def send_range(reader: StreamReader, offset: int, output: LogOutput, end: int = ALL) -> int:
    """
    Send the available bytes of *reader* between *offset* and *end*; return the offset of the first unsent byte.

    Pieces end at the ends of blocks, so that all followers have the same block objects in flight, not copies of parts
    of them.
    """
    while (size := min(output.chunk, BLOCK - offset % BLOCK, min(end, reader.length) - offset)) > 0:
        await output.turn(size)
        data = reader.read(offset, size)
        if not data:
            break
        offset += len(data)
        await output.stdout(data)
    return offset
