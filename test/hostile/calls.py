"""
A hostile slave that makes calls without end: ``python -m test.hostile.calls PORT TUBID SWISSNUM``, until its stdin is
closed.  Prints a line when it begins, and at the end the number of answered calls per second.
"""

import asyncio
import os
import select
import sys
import time
from contextlib import suppress

from ..wire.tokens import call, string
from .connections import (
    Connection,
    Key,
    Target,
    connected,
    to_tokens,
)

_AT_ONCE = 200
_LINES = 3
# A byte that occurs in no number and no name.
_CLOSE = b"\x89"


def calls(first: int, count: int, swissnum: bytes) -> bytes:
    """
    *count* valid calls: each looks up the slave's FURL again.
    """
    argument = {b"name": string(swissnum)}
    return b"".join(call(n, 2 * n, 0, b"getReferenceByName", argument) for n in range(first, first + count))


async def call_without_end(target: Target, swissnum: bytes) -> float:
    """
    Call until stdin is closed; returns the number of answers per second.
    """
    begun, answered, shown = time.monotonic(), 0, asyncio.Event()
    async with connected(target) as connection:
        await to_tokens(connection, target, Key.new())

        async def read(connection: Connection) -> None:
            nonlocal answered
            closed = 0
            while data := await connection.reader.read(1 << 16):
                closed += data.count(_CLOSE)
                answered = closed // 2  # the length of an answer and of the reference in it
                shown.set()

        reading = asyncio.ensure_future(read(connection))
        # Before the first answer the connection is unauthenticated, and may make only a few calls.
        await connection.send(calls(1, 1, swissnum))
        first = 2
        await shown.wait()
        while not (select.select([0], [], [], 0)[0] and not os.read(0, 1)):
            # No more at once than the limit of unanswered calls.
            if first - answered < 2 * _AT_ONCE:
                await connection.send(calls(first, _AT_ONCE, swissnum))
                first += _AT_ONCE
            else:
                await asyncio.sleep(0.001)
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading
    return answered / (time.monotonic() - begun)


def main() -> None:
    """
    Call without end.
    """
    port, tub_id, swissnum = sys.argv[1:]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    target = Target(int(port), tub_id)

    async def all_of_them() -> float:
        return sum(await asyncio.gather(*[call_without_end(target, swissnum.encode()) for _ in range(_LINES)]))

    sys.stdout.write(f"{asyncio.run(all_of_them())}\n")


if __name__ == "__main__":
    main()
