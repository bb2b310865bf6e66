"""
A flood of connections in its own process, until its stdin is closed::

    python -m test.hostile.attack PORT TUBID RATE HERE BEHAVIOUR…

*HERE* is the source address of the connections: the master serves addresses in turn.

The program prints a line when it begins, and at the end the number of connections per second.
"""

import asyncio
import os
import select
import sys
import time

from buildbot_lite.wire.tub import raise_file_limit

from .connections import (
    Flood,
    Key,
    Target,
)


def main() -> None:
    """
    Run the flood.
    """
    raise_file_limit()
    port, tub_id, rate, here, *behaviours = sys.argv[1:]
    keys = tuple(Key.new() for _ in range(64))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    begun = time.monotonic()

    def over() -> bool:
        return bool(select.select([0], [], [], 0)[0]) and not os.read(0, 1)

    flood = Flood(Target(int(port), tub_id, here=here), 12_000, keys)
    count = asyncio.run(flood.keep_up(behaviours, over, float(rate)))
    sys.stdout.write(f"{count / (time.monotonic() - begun)}\n")


if __name__ == "__main__":
    main()
