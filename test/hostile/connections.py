"""
Behaviours of hostile unauthenticated peers: each is a coroutine for one connection, from its beginning to its end.

The peer knows the master's address and TubID, and no FURL.  A connection begins in clear text; then come TLS, the offer
of each side, the decision of the side with the greater TubID, and tokens::

    GET /id/TUBID … ──► 101 ──► TLS ──► my-tub-id: … ──► decision ──► tokens
     garbage, drip     half a handshake   drip, flood                  giant, deep, endless, half a message
"""

import asyncio
import base64
import hashlib
import os
import socket
import ssl
import struct
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from random import Random

from attrs import field, frozen

from buildbot_lite.wire.certificate import new_certificate

from ..wire.tokens import (
    a_call,
    begin,
    number,
    string,
)

_PIECE = 16 << 10
_GARBAGE = Random(1).randbytes(1 << 20)
_DEEP = b"".join(begin(n, b"list") for n in range(20_000))
_CALLS = b"".join(a_call(n + 1, 2 * n) for n in range(20_000))


@frozen
class Target:
    """
    A master's address and TubID, and the source address *here* of the peer, or None for any.
    """

    port: int
    tub_id: str
    host: str = "127.0.0.1"
    here: str | None = None


@frozen
class Key:
    """
    A peer's key: a TLS context with it, and its TubID.
    """

    context: ssl.SSLContext
    tub_id: str

    @classmethod
    def new(cls) -> "Key":
        """
        Return a new key.
        """
        pem = new_certificate()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with tempfile.NamedTemporaryFile() as file:
            file.write(pem)
            file.flush()
            context.load_cert_chain(file.name)
        text = pem.decode().partition("-----END CERTIFICATE-----")[0].partition("-----BEGIN CERTIFICATE-----")[2]
        digest = hashlib.sha1(base64.b64decode(text)).digest()
        return cls(context, base64.b32encode(digest).decode().lower().rstrip("="))


@frozen
class Connection:
    """
    A connection.
    """

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """
        Send, at the pace of the receiver.
        """
        for start in range(0, len(data), _PIECE):
            if self.writer.transport.is_closing():
                raise ConnectionAbortedError
            self.writer.write(data[start : start + _PIECE])
            await self.writer.drain()

    async def header(self) -> bytes:
        """
        Return the master's text up to the next empty line.
        """
        return await self.reader.readuntil(b"\r\n\r\n")

    async def until_cut(self) -> None:
        """
        Read until the master cuts the connection.
        """
        while await self.reader.read(_PIECE):
            pass


@asynccontextmanager
async def connected(target: Target) -> AsyncIterator[Connection]:
    """
    Open a TCP connection; its errors are ignored.
    """
    with suppress(OSError, ssl.SSLError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, EOFError):
        here = None if target.here is None else (target.here, 0)
        connection = Connection(*await asyncio.open_connection(target.host, target.port, local_addr=here))
        try:
            yield connection
        finally:
            connection.writer.transport.abort()


def clear_text_header(target: Target) -> bytes:
    """
    Return the plain text that asks for TLS.
    """
    return (
        f"GET /id/{target.tub_id} HTTP/1.1\r\nHost: {target.host}\r\nUpgrade: TLS/1.0\r\nConnection: Upgrade\r\n\r\n"
    ).encode()


async def to_tls(connection: Connection, target: Target, key: Key) -> None:
    """
    Ask for TLS, and complete the handshake.
    """
    await connection.send(clear_text_header(target))
    await connection.header()
    await connection.writer.start_tls(key.context)


async def to_tokens(connection: Connection, target: Target, key: Key) -> None:
    """
    Continue until tokens may be sent.
    """
    await to_tls(connection, target, key)
    offer = {
        "banana-negotiation-range": "3 3",
        "initial-vocab-table-range": "0 0",
        "my-incarnation": os.urandom(8).hex(),
        "my-tub-id": key.tub_id,
        "last-connection": "none 0",
    }
    await connection.send(block(offer))
    await connection.header()
    if key.tub_id > target.tub_id:
        await connection.send(block({"banana-decision-version": "3", "current-connection": "x 1"}))
    else:
        await connection.header()


def block(fields: dict[str, str]) -> bytes:
    """
    Return some fields and an empty line.
    """
    return "".join(f"{name}: {value}\r\n" for name, value in fields.items()).encode() + b"\r\n"


def client_hello(key: Key, newest: ssl.TLSVersion | None = None) -> bytes:
    """
    Return a ClientHello, for no version newer than *newest*.
    """
    context = key.context
    if newest is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.maximum_version = newest
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing).do_handshake()
    return outgoing.read()


Behaviour = Callable[[Target, Key], Awaitable[None]]
BEHAVIOURS: dict[str, Behaviour] = {}


def behaviour(function: Behaviour) -> Behaviour:
    """
    Add *function* to `BEHAVIOURS`.
    """
    BEHAVIOURS[function.__name__.replace("_", "-")] = function
    return function


@behaviour
async def mute(target: Target, key: Key) -> None:
    """
    Connect and send nothing.
    """
    async with connected(target) as connection:
        await connection.until_cut()


@behaviour
async def garbage(target: Target, key: Key) -> None:
    """
    Send a megabyte of random bytes.
    """
    async with connected(target) as connection:
        await connection.send(_GARBAGE)
        await connection.until_cut()


@behaviour
async def long_header(target: Target, key: Key) -> None:
    """
    Send a plain text header that never ends.
    """
    async with connected(target) as connection:
        await connection.send(b"GET /id/" + b"x" * 4000)
        await connection.until_cut()


@behaviour
async def half_hello(target: Target, key: Key) -> None:
    """
    Send half of a ClientHello.
    """
    async with connected(target) as connection:
        await connection.send(clear_text_header(target))
        await connection.header()
        await connection.send(client_hello(key)[:100])
        await connection.until_cut()


@behaviour
async def half_handshake(target: Target, key: Key) -> None:
    """
    Send a ClientHello, and no second message.
    """
    async with connected(target) as connection:
        await connection.send(clear_text_header(target))
        await connection.header()
        await connection.send(client_hello(key))
        await connection.until_cut()


@behaviour
async def giant_hello(target: Target, key: Key) -> None:
    """
    Send a ClientHello that declares 128 KiB, and 60 of them.
    """
    async with connected(target) as connection:
        await connection.send(clear_text_header(target))
        await connection.header()
        body = b"\x01" + (131_000).to_bytes(3, "big") + b"\x03\x03" + bytes(60 << 10)
        for start in range(0, len(body), 16_000):
            piece = body[start : start + 16_000]
            await connection.send(b"\x16\x03\x01" + struct.pack(">H", len(piece)) + piece)
        await connection.until_cut()


@behaviour
async def half_certificate(target: Target, key: Key) -> None:
    """
    Continue the handshake with a certificate that declares 100 kB, and send a hundred bytes of it.
    """
    async with connected(target) as connection:
        await connection.send(clear_text_header(target))
        await connection.header()
        await connection.send(client_hello(key, ssl.TLSVersion.TLSv1_2))
        await connection.reader.read(_PIECE)
        await connection.send(
            b"\x16\x03\x03" + struct.pack(">H", 104) + b"\x0b" + (100_000).to_bytes(3, "big") + bytes(100)
        )
        await connection.until_cut()


@behaviour
async def tls_and_mute(target: Target, key: Key) -> None:
    """
    Complete the handshake, and send nothing.
    """
    async with connected(target) as connection:
        await to_tls(connection, target, key)
        await connection.until_cut()


@behaviour
async def dripping(target: Target, key: Key) -> None:
    """
    Complete the handshake, and send the offer one byte at a time.
    """
    async with connected(target) as connection:
        await to_tls(connection, target, key)
        while not connection.reader.at_eof():
            await connection.send(b"x")
            await asyncio.sleep(0.5)


@behaviour
async def flooding(target: Target, key: Key) -> None:
    """
    Complete the handshake, and send an offer that never ends, without reading.
    """
    async with connected(target) as connection:
        await to_tls(connection, target, key)
        for _ in range(2048):
            await connection.send(b"x" * _PIECE)
        await connection.until_cut()


@behaviour
async def many_records(target: Target, key: Key) -> None:
    """
    Send an endless offer in TLS records of one byte.
    """
    async with connected(target) as connection:
        await to_tls(connection, target, key)
        for _ in range(10_000):
            await connection.send(b"x")
        await connection.until_cut()


@behaviour
async def patient(target: Target, key: Key) -> None:
    """
    Complete the negotiation, and send nothing.
    """
    async with connected(target) as connection:
        await to_tokens(connection, target, key)
        await connection.until_cut()


@behaviour
async def giant_token(target: Target, key: Key) -> None:
    """
    Send a method name that is declared to have 2 GiB.
    """
    async with connected(target) as connection:
        await to_tokens(connection, target, key)
        await connection.send(begin(0, b"call") + number(1) + number(0) + string(b"x" * (1 << 20), 1 << 31))
        await connection.until_cut()


@behaviour
async def half_message(target: Target, key: Key) -> None:
    """
    Send the part of a call that is accepted, and never its end.
    """
    async with connected(target) as connection:
        await to_tokens(connection, target, key)
        head = begin(0, b"call") + number(1) + number(0) + string(b"getReferenceByName") + begin(1, b"arguments")
        await connection.send(head + number(0) + string(b"name") + string(b"x" * (50 << 10), 60 << 10))
        await connection.until_cut()


@behaviour
async def deep(target: Target, key: Key) -> None:
    """
    Send nested sequences without end.
    """
    async with connected(target) as connection:
        await to_tokens(connection, target, key)
        await connection.send(_DEEP)
        await connection.until_cut()


@behaviour
async def deep_argument(target: Target, key: Key) -> None:
    """
    Send nested sequences without end as an argument.
    """
    async with connected(target) as connection:
        await to_tokens(connection, target, key)
        head = begin(0, b"call") + number(1) + number(0) + string(b"decref") + begin(1, b"arguments") + number(0)
        await connection.send(head + string(b"clid") + _DEEP)
        await connection.until_cut()


@behaviour
async def endless_calls(target: Target, key: Key) -> None:
    """
    Send calls of object 0 without end.
    """
    async with connected(target) as connection:
        await to_tokens(connection, target, key)
        await connection.send(_CALLS)
        await connection.until_cut()


@behaviour
async def endless_calls_unread(target: Target, key: Key) -> None:
    """
    Send calls, a few at a time, and pings, and read no answer.
    """
    async with connected(target) as connection:
        connection.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await to_tokens(connection, target, key)
        connection.writer.transport.pause_reading()  # type: ignore[attr-defined]  # asyncio's types do not know it
        await connection.send(b"".join(a_call(n + 1, 2 * n) for n in range(15)) + number(7, 0x8E) * (30 << 10))
        await asyncio.sleep(25)


@frozen
class Flood:
    """
    Many connections with the same behaviours, up to *most* at once.
    """

    target: Target
    most: int
    keys: tuple[Key, ...] = field(factory=tuple)

    async def keep_up(self, behaviours: list[str], stop: Callable[[], bool], rate: float | None = None) -> int:
        """
        Replace connections that end, at most *rate* a second, until *stop*; returns the number of all.
        """
        loop = asyncio.get_running_loop()
        going: set[asyncio.Task[None]] = set()
        count, begun = 0, loop.time()
        while not stop():
            due = self.most if rate is None else int((loop.time() - begun) * rate) - count
            for _ in range(min(due, self.most - len(going), 200)):
                key = self.keys[count % len(self.keys)]
                task = asyncio.ensure_future(BEHAVIOURS[behaviours[count % len(behaviours)]](self.target, key))
                going.add(task)
                task.add_done_callback(going.discard)
                count += 1
            await asyncio.sleep(0.01)
        for task in going:
            task.cancel()
        await asyncio.gather(*going, return_exceptions=True)
        return count
