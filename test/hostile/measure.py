"""
Measuring a master's memory during hostile connections.
"""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from ..processes.farm import Farm, rss
from .connections import (
    BEHAVIOURS,
    Flood,
    Key,
    Target,
)

MIB = 1 << 20


def target_of(farm: Farm) -> Target:
    """
    Return the address and TubID of the master of *farm*.
    """
    match = re.match(r"pb://([a-z2-7]+)@", farm.furl("bot1"))
    assert match is not None
    return Target(farm.port, match[1])


async def one_by_one(
    target: Target, behaviours: Sequence[str], pid: int, key: Key, *, seconds: float
) -> dict[str, float]:
    """
    Return, by behaviour, the peak growth of the memory, in MiB, during *seconds* of such connections one after the
    other.
    """
    grown = {}
    for name in behaviours:
        before = peak = rss(pid)
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while loop.time() < until:
            task = asyncio.ensure_future(BEHAVIOURS[name](target, key))
            while not task.done() and loop.time() < until:
                await asyncio.sleep(0.02)
                peak = max(peak, rss(pid))
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        grown[name] = (peak - before) / MIB
    return grown


async def all_at_once(
    target: Target, behaviours: Sequence[str], pid: int, keys: Sequence[Key], *, most: int, seconds: float
) -> float:
    """
    Return the peak growth of the memory, in MiB, with *most* connections at once.
    """
    before = peak = rss(pid)
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds

    def over() -> bool:
        nonlocal peak
        peak = max(peak, rss(pid))
        return loop.time() >= until

    await Flood(target, most, tuple(keys)).keep_up(list(behaviours), over)
    return (peak - before) / MIB


@contextmanager
def calling_without_end(farm: Farm, name: str) -> Iterator[Callable[[], float]]:
    """
    Start a process with the FURL of the slave *name* that makes calls without end.  Return a function that ends it and
    returns the number of answered calls per second.
    """
    script = [sys.executable, "-m", "test.hostile.calls", str(farm.port), target_of(farm).tub_id]
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    attack = subprocess.Popen(
        [*script, swissnum_of(farm, name)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root
    )
    assert attack.stdin is not None
    assert attack.stdout is not None
    attack.stdout.readline()

    def ended() -> float:
        assert attack.stdin is not None
        assert attack.stdout is not None
        attack.stdin.close()
        return float(attack.stdout.readline())

    try:
        yield ended
    finally:
        attack.stdin.close()
        attack.wait()
        attack.stdout.close()


def swissnum_of(farm: Farm, name: str) -> str:
    """
    Return the swissnum in the FURL of the slave *name*.
    """
    return farm.furl(name).rpartition("/")[2]
