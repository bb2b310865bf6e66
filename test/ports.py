"""
Ports for tests that listen at a port of their choice: also after a restart, and while other tests run.

A port that `socket.bind` chose and that was closed again is anybody's: the kernel may give it to the next connection,
or another test's process may.  The ports here are outside the ephemeral range (ip(7)), so the kernel gives them to
nobody, and each belongs to one process of tests at a time.  The mark of that is an abstract socket (unix(7)), which,
like the ports, is of the network namespace, and which ends with its process.
"""

import random
import socket
from contextlib import suppress

from buildbot_lite.master.grants.listening import LOWEST, ephemeral_ports

BLOCK = 32
"""Ports that a process takes at a time, and at most in a row."""

_marks: list[socket.socket] = []
_left: list[int] = []


def free_port() -> int:
    """
    The number of a port that is free, and that no other test gets as long as this process lives.
    """
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """
    The numbers of *count* ports in a row, at most `BLOCK`, as `free_port` has one.
    """
    if len(_left) < count:
        _left[:] = _block()
    taken = _left[:count]
    del _left[:count]
    return taken


def _block() -> range:
    first, last = ephemeral_ports()
    starts = [at for at in range(LOWEST, (1 << 16) - BLOCK, BLOCK) if at > last or at + BLOCK <= first]
    random.shuffle(starts)
    for start in starts:
        mark = socket.socket(socket.AF_UNIX)
        try:
            mark.bind(f"\0buildbot-lite-test-ports-{start}")
        except OSError:
            mark.close()
            continue
        if all(map(_is_free, range(start, start + BLOCK))):
            _marks.append(mark)
            return range(start, start + BLOCK)
        mark.close()
    raise AssertionError(f"no {BLOCK} ports in a row are free outside of the ephemeral range")


def _is_free(port: int) -> bool:
    with suppress(OSError), socket.socket() as tried:
        tried.bind(("", port))
        return True
    return False
