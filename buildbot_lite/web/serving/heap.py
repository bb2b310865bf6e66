"""
What stays in memory that this process does not need: what the C library keeps of freed memory, and code that ran once.

By default glibc gives each thread an arena of its own, of which hardly anything goes back to the system, and serves
ever larger blocks from them (mallopt(3): M_ARENA_MAX, and the dynamic adjustment of M_MMAP_THRESHOLD).  A dozen threads
that each once held a page of a large farm or a piece of a large log kept 50 MB that nobody used.  Threads of Python
hold its lock while they allocate, so they lose nothing by sharing one arena.

Also free memory within the arena goes back only when it is told so (malloc_trim(3)).  After a flood of connections, 20
MB stayed.

Of the code of shared libraries, most is needed only when they are loaded: of 23 MB (cryptography's alone has 9), 12 are
not touched again.  Of what can only be read, which is mostly tables of symbols and relocations, it is 5 MB of 7.  The
system keeps them as long as nobody else wants the memory, and counts them as resident.
"""

import ctypes
import gc
import mmap
import re
from collections.abc import Callable, Iterable
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


def tidy(maps: str = "/proc/self/maps") -> None:
    """
    Give back to the system what is not used any more: garbage, free pages of the arena, and code, which comes back from
    its file when it runs again.  Without glibc, or without Linux: what is possible.  *maps*: as in proc(5).
    """
    # Little, because what was imported is frozen (`gc.freeze`).
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError, AttributeError):
        _give_code_back(maps)


def _give_code_back(maps: str) -> None:
    """
    Unmap the pages of files that can be executed and not written: they are as in the file.
    """
    with open(maps, encoding="utf-8", errors="replace") as file:
        mappings = [line.split(None, 5)[:5] for line in file]
    _unmap(addresses for addresses, permissions, _, _, inode in mappings if permissions == "r-xp" and inode != "0")


# A mapping of a file that can only be read, with the sizes of what is not as in the file: pages that were changed when
# it was loaded, before they were protected, in memory and in swap space.
_READ_ONLY = re.compile(
    r"^([0-9a-f]+-[0-9a-f]+) r--p [0-9a-f]+ \S+ [1-9][0-9]* .*\n"
    r"(?:[A-Z]\w*: .*\n)*?Anonymous: +(\d+) kB\n(?:[A-Z]\w*: .*\n)*?Swap: +(\d+) kB\n",
    re.MULTILINE,
)


def give_tables_back(smaps: str = "/proc/self/smaps") -> None:
    """
    Give back what only loading the shared libraries needed beside their code.  Without Linux: nothing.  *smaps*: as in
    proc(5); because reading it takes some milliseconds, this is for once, after everything was imported.
    """
    with suppress(OSError, AttributeError), open(smaps, encoding="utf-8", errors="replace") as file:
        _unmap(addresses for addresses, *changed in _READ_ONLY.findall(file.read()) if changed == ["0", "0"])


def _unmap(mappings: Iterable[str]) -> None:
    """
    Unmap the pages of *mappings* (addresses as in proc(5)), of which nothing is lost: the next access maps them again
    from their files (madvise(2), MADV_DONTNEED).
    """
    madvise = ctypes.CDLL(None).madvise
    for addresses in mappings:
        start, end = (int(each, 16) for each in addresses.split("-"))
        madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), mmap.MADV_DONTNEED)


def keep_tidy(clock: IReactorTime, tidied: Callable[[], object] = tidy) -> LoopingCall:
    """
    Call *tidied* every `TIDIED` seconds, until the returned call is stopped.
    """
    call = LoopingCall(tidied)
    call.clock = clock
    background(call.start(TIDIED, now=False), Logger(), "giving memory back")
    return call
