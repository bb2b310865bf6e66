"""
A slave gone bad that makes calls without end: ``python -m test.strangers.greedy PORT TUBID SWISSNUM``, until its stdin
is closed.  Prints a line when it begins, and in the end how many of its calls were answered in a second.
"""

import asyncio
import os
import select
import sys
import time
from contextlib import suppress

from ..wire.tokens import call, string
from .hostile import (
    Key,
    Line,
    Target,
    connected,
    to_tokens,
)

_AT_ONCE = 200
_LINES = 3
# A byte that is in no number and no name.
_CLOSE = b"\x89"


def calls(first: int, count: int, swissnum: bytes) -> bytes:
    """
    Some calls, valid each: it shows its string again.
    """
    argument = {b"name": string(swissnum)}
    return b"".join(call(n, 2 * n, 0, b"getReferenceByName", argument) for n in range(first, first + count))


async def call_without_end(target: Target, swissnum: bytes) -> float:
    """
    Call until stdin is closed; answers how many answers came in a second.
    """
    begun, answered, shown = time.monotonic(), 0, asyncio.Event()
    async with connected(target) as line:
        await to_tokens(line, target, Key.new())

        async def read(line: Line) -> None:
            nonlocal answered
            closed = 0
            while data := await line.reader.read(1 << 16):
                closed += data.count(_CLOSE)
                answered = closed // 2  # of an answer, and of the reference in it
                shown.set()

        reading = asyncio.ensure_future(read(line))
        # A stranger may not call as often.
        await line.send(calls(1, 1, swissnum))
        first = 2
        await shown.wait()
        while not (select.select([0], [], [], 0)[0] and not os.read(0, 1)):
            # No more at once than may wait for their answers.
            if first - answered < 2 * _AT_ONCE:
                await line.send(calls(first, _AT_ONCE, swissnum))
                first += _AT_ONCE
            else:
                await asyncio.sleep(0.001)
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading
    return answered / (time.monotonic() - begun)


def main() -> None:
    """
    Attack.
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
