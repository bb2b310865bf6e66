"""
A crowd in a process of its own, until its stdin is closed::

    python -m test.strangers.attack PORT TUBID RATE HERE HABIT…

*HERE* is the address that it comes from: addresses take turns.

Prints a line when it begins, and in the end how many connections there were in a second.
"""

import asyncio
import os
import select
import sys
import time

from buildbot_lite.wire.tub import raise_file_limit

from .hostile import (
    Crowd,
    Key,
    Target,
)


def main() -> None:
    """
    Attack.
    """
    raise_file_limit()
    port, tub_id, rate, here, *habits = sys.argv[1:]
    keys = tuple(Key.new() for _ in range(64))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    begun = time.monotonic()

    def over() -> bool:
        return bool(select.select([0], [], [], 0)[0]) and not os.read(0, 1)

    crowd = Crowd(Target(int(port), tub_id, here=here), 12_000, keys)
    count = asyncio.run(crowd.keep_up(habits, over, float(rate)))
    sys.stdout.write(f"{count / (time.monotonic() - begun)}\n")


if __name__ == "__main__":
    main()
