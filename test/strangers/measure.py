"""
The memory of a master, while strangers come.
"""

import asyncio
import re
from collections.abc import Sequence

from ..processes.farm import Farm, rss
from .hostile import HABITS, Crowd, Key, Target

MIB = 1 << 20


def target_of(farm: Farm) -> Target:
    """
    The master of *farm*, as a stranger knows it.
    """
    match = re.match(r"pb://([a-z2-7]+)@", farm.furl("bot1"))
    assert match is not None
    return Target(farm.port, match[1])


async def one_by_one(target: Target, habits: Sequence[str], pid: int, key: Key, *, seconds: float) -> dict[str, float]:
    """
    By habit: how many MiB one such connection after the other cost in *seconds*, at most, above what there was.
    """
    grown = {}
    for name in habits:
        before = peak = rss(pid)
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while loop.time() < until:
            task = asyncio.ensure_future(HABITS[name](target, key))
            while not task.done() and loop.time() < until:
                await asyncio.sleep(0.02)
                peak = max(peak, rss(pid))
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        grown[name] = (peak - before) / MIB
    return grown


async def all_at_once(
    target: Target, habits: Sequence[str], pid: int, keys: Sequence[Key], *, most: int, seconds: float
) -> float:
    """
    How many MiB *most* connections at once cost, at most.
    """
    before = peak = rss(pid)
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds

    def over() -> bool:
        nonlocal peak
        peak = max(peak, rss(pid))
        return loop.time() >= until

    await Crowd(target, most, tuple(keys)).keep_up(list(habits), over)
    return (peak - before) / MIB


def swissnum_of(farm: Farm, name: str) -> str:
    """
    The secret part of a string.
    """
    return farm.furl(name).rpartition("/")[2]
