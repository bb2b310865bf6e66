"""
Files of transfers: writing, waiting for space on the disk, and error messages.
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
    A message for *error*, without its number.  *path*: the path in the step's arguments, "" for that of the error.
    """
    if is_disk_full(error):
        return "disk full"
    where = path or error.filename
    return f"{where!r:.200}: {error.strerror or error}." if where else f"{error.strerror or error}."


async def with_room(clock: IReactorTime, attempt: Callable[[], T]) -> T:
    """
    The result of *attempt*, which is repeated every second while the disk is full, for at most `LONGEST_DISK_WAIT`
    seconds; then, and for any other reason, its OSError.
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
    Write all of *data* at *offset*.  (On a nearly full disk, pwrite(2) writes a part of it without an error.)
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
