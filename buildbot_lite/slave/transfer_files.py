"""
Files of transfers: writing, waiting for room on the disk, and errors for people.
"""

import os
from collections.abc import Callable
from typing import BinaryIO, TypeVar

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from ..storage.files import is_disk_full

T = TypeVar("T")

LONGEST_DISK_WAIT = 600
"""Seconds for which a transfer waits while the slave's disk is full."""


def os_sentence(error: OSError, path: str = "") -> str:
    """
    *error* as a message: without the number, and naming *path*, the path in the step's arguments.
    """
    if is_disk_full(error):
        return "disk full"
    where = path or error.filename
    return f"{where!r:.200}: {error.strerror or error}." if where else f"{error.strerror or error}."


async def with_room(clock: IReactorTime, attempt: Callable[[], T]) -> T:
    """
    The result of *attempt*, repeated every second while the disk is full, for `LONGEST_DISK_WAIT` seconds at most.
    """
    retries = LONGEST_DISK_WAIT
    while True:
        try:
            return attempt()
        except OSError as error:
            if not is_disk_full(error) or not retries:
                raise
        retries -= 1
        await deferLater(clock, 1.0)


def write_at(descriptor: int, data: bytes, offset: int) -> None:
    """
    Write all of *data* at *offset*.  (On a disk that is nearly full, pwrite(2) writes a part without an error.)
    """
    remaining = memoryview(data)
    while remaining:
        written = os.pwrite(descriptor, remaining, offset)
        remaining = remaining[written:]
        offset += written


def private_file(path: str) -> BinaryIO:
    """
    A new, empty file of mode 0600, open for writing.
    """
    return open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb")
