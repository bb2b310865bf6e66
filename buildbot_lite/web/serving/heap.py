"""
What the C library keeps of the memory that this process has freed.

By default glibc gives each thread an arena of its own, of which hardly anything goes back to the system, and serves
ever larger blocks from them (mallopt(3): M_ARENA_MAX, and the dynamic adjustment of M_MMAP_THRESHOLD).  A dozen threads
that each once held a page of a large farm or a piece of a large log kept 50 MB that nobody used.  Threads of Python
hold its lock while they allocate, so they lose nothing by sharing one arena.

Also free memory within the arena goes back only when it is told so (malloc_trim(3)).  After a flood of connections, 20
MB stayed.
"""

import ctypes
import gc
from collections.abc import Callable
from contextlib import suppress

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ...deferreds import background

# Their numbers in malloc.h
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8

LARGE = 64 << 10
"""Bytes from which a block is mapped by itself, and goes back to the system when it is freed."""


def keep_little() -> None:
    """
    Share one arena between all threads that begin after this, and give freed memory back soon.  Without glibc: nothing.
    """
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in ((_ARENA_MAX, 1), (_MMAP_THRESHOLD, LARGE), (_TRIM_THRESHOLD, 2 * LARGE)):
            mallopt(parameter, value)


TIDIED = 5.0
"""Seconds between two times."""


def tidy() -> None:
    """
    Give back to the system what is not used any more: garbage, and free pages of the arena.  Without glibc: garbage.
    """
    # Little, because what was imported is frozen (`gc.freeze`).
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def keep_tidy(clock: IReactorTime, tidied: Callable[[], object] = tidy) -> LoopingCall:
    """
    Call *tidied* every `TIDIED` seconds, until the returned call is stopped.
    """
    call = LoopingCall(tidied)
    call.clock = clock
    background(call.start(TIDIED, now=False), Logger(), "giving memory back")
    return call
