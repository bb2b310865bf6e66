"""
A TCP proxy between a slave and its master that can cut, silence, slow down and delay connections.

The proxy runs in a thread of its own; the methods may be called from the test's thread::

    slave ──► Proxy ──► master
"""

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from random import Random
from typing import Any, TypeVar

T = TypeVar("T")

PIECE = 64 << 10
PATIENCE = 120.0


class Proxy:
    """
    Listens on ``port`` of 127.0.0.1, and forwards to the port ``target``, which may be set later.
    """

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self.target = 0
        self.cuts = 0
        self.forwarded = 0
        self._connections: set[_ProxiedConnection] = set()
        self._flowing = True
        self._rate: float | None = None
        self._delay = 0.0
        self._cuts_to_come: list[int] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(asyncio.start_server(self._accept, sock=self._listening))
        self._loop.run_forever()

    # Called by tests, in their thread.

    def cut(self) -> None:
        """
        Cut all connections; new ones are accepted.
        """
        self._told(self._cut_all)

    def silence(self) -> None:
        """
        Forward nothing any more, without closing connections.
        """
        self._told(lambda: setattr(self, "_flowing", False))

    def speak(self) -> None:
        """
        End the silence for new connections; cut the silent ones.
        """

        def speak() -> None:
            self._flowing = True
            self._cut_all()

        self._told(speak)

    def throttle(self, rate: float | None) -> None:
        """
        Limit each connection and direction to *rate* bytes per second; None: no limit.
        """
        self._told(lambda: setattr(self, "_rate", rate))

    def delay(self, seconds: float) -> None:
        """
        Delay all data by *seconds*.
        """
        self._told(lambda: setattr(self, "_delay", seconds))

    def cut_at_random(self, times: int, *, least: int, most: int, seed: int) -> None:
        """
        Cut each of the next *times* connections after a number of bytes between *least* and *most*.

        When a connection ends earlier, its cut applies to the next one.
        """
        random = Random(seed)
        self._cuts_to_come = [random.randint(least, most) for _ in range(times)]
        self.cut()

    def close(self) -> None:
        """
        Close the proxy.
        """

        async def close() -> None:
            self._cut_all()
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self._done(close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._listening.close()
        self._loop.close()

    def _told(self, what: Callable[[], None]) -> None:
        async def tell() -> None:
            what()

        self._done(tell())

    def _done(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    # Called in the proxy's thread.

    def _cut_all(self) -> None:
        for connection in tuple(self._connections):
            connection.cut()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        cuts = self._cuts_to_come
        connection = _ProxiedConnection([writer], cuts.pop() if cuts else None)
        self._connections.add(connection)
        try:
            with suppress(OSError, asyncio.CancelledError):
                there, back = await asyncio.open_connection("127.0.0.1", self.target)
                connection.ends.append(back)
                await asyncio.gather(self._pump(reader, back, connection), self._pump(there, writer, connection))
        finally:
            connection.cut()
            self._connections.discard(connection)
            if connection.left is not None and not connection.over:
                cuts.append(connection.left)

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, connection: "_ProxiedConnection"
    ) -> None:
        with suppress(OSError):
            while data := await source.read(PIECE):
                if not self._flowing:
                    await asyncio.Event().wait()
                if self._rate is not None:
                    await asyncio.sleep(len(data) / self._rate)
                if self._delay:
                    await asyncio.sleep(self._delay)
                if connection.left is not None:
                    connection.left -= len(data)
                    if connection.left < 0:
                        # One cut for both directions.
                        self.cuts += not connection.over
                        connection.over = True
                        break
                sink.write(data)
                self.forwarded += len(data)
                await sink.drain()
        if not self._flowing:
            # Silence includes the end of a connection: it is not forwarded either.
            await asyncio.Event().wait()
        connection.cut()


class _ProxiedConnection:
    def __init__(self, ends: list[asyncio.StreamWriter], left: int | None) -> None:
        self.ends = ends
        self.left = left
        self.over = False

    def cut(self) -> None:
        for end in self.ends:
            end.transport.abort()
