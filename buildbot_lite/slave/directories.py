"""
Walking down directories by their descriptors, without following links.

Whoever holds a descriptor of a directory has that directory, whatever happens to its path meanwhile.  The standard
library only.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from ..keeper.fence import UMASK

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
"""How a directory is opened."""

READABLE = 0o777 & ~UMASK
"""The permission bits of a directory that is made for others to read."""

Owner = tuple[int, int] | None
"""The user and group to whom what is made belongs; None: ours."""


def step_into(directory: int, name: bytes, *, make: bool = False, owner: Owner = None, mode: int = READABLE) -> int:
    """
    A descriptor of the directory *name* in the open *directory*; `OSError` when it is a link or not a directory.

    *make*: make it if it is not there, with the permission bits *mode*, whatever our umask.
    """
    try:
        return os.open(name, DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
    except FileNotFoundError:
        if not make:
            raise
    with suppress(FileExistsError):  # somebody was faster
        os.mkdir(name, mode, dir_fd=directory)
    deeper = os.open(name, DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
    try:
        os.fchmod(deeper, mode)
        if owner is not None:
            os.fchown(deeper, *owner)
    except BaseException:
        os.close(deeper)
        raise
    return deeper


@contextmanager
def walk_down(
    directory: int, parts: Sequence[bytes], *, make: bool = False, owner: Owner = None, mode: int = READABLE
) -> Iterator[int]:
    """
    A descriptor of the directory *parts* below the open *directory*, open for as long as the context lasts.

    One descriptor at a time, however many *parts*.
    """
    current = os.dup(directory)
    try:
        for part in parts:
            deeper = step_into(current, part, make=make, owner=owner, mode=mode)
            os.close(current)
            current = deeper
        yield current
    finally:
        os.close(current)
