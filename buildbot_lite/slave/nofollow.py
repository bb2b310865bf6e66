"""
Opens directories through the descriptors of their parents, without following links.

A descriptor refers to the same directory whatever happens to its path.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress

from ..keeper.wrapper import UMASK

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
"""Flags to open a directory."""

READABLE = 0o777 & ~UMASK
"""Permission bits of a new directory that others may read."""

Owner = tuple[int, int] | None
"""Uid and gid of new files and directories; None: those of this process."""


def step_into(directory: int, name: bytes, *, make: bool = False, owner: Owner = None, mode: int = READABLE) -> int:
    """
    A descriptor of the directory *name* in the open *directory*; `OSError` when it is a link or not a directory.

    *make*: if it does not exist, make it, with *owner* and the permission bits *mode*, whatever the umask.
    """
    try:
        return os.open(name, DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
    except FileNotFoundError:
        if not make:
            raise
    with suppress(FileExistsError):  # another process has made it meanwhile
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


class Walk:
    """
    A walk through the directories below the open directory *top*.

    If the next directory is below the last one, the walk continues from there, otherwise from the top.  So, in the
    order of a tree, each directory takes one step at any depth.  One descriptor is open at a time.

    *make*, *owner*, *mode*: as in `step_into`.
    """

    def __init__(self, top: int, *, make: bool = False, owner: Owner = None, mode: int = READABLE) -> None:
        self._top = top
        self._make = make
        self._owner = owner
        self._mode = mode
        self._parts: tuple[bytes, ...] = ()
        self._descriptor = os.dup(top)

    def to(self, parts: Sequence[bytes]) -> int:
        """
        A descriptor of the directory *parts* below the top, open until the next call.  `OSError` as in `step_into`.
        """
        target = tuple(parts)
        if target[: len(self._parts)] != self._parts:
            self._continue_from(os.dup(self._top), ())
        for part in target[len(self._parts) :]:
            deeper = step_into(self._descriptor, part, make=self._make, owner=self._owner, mode=self._mode)
            self._continue_from(deeper, (*self._parts, part))
        return self._descriptor

    def close(self) -> None:
        """
        Close the last descriptor.
        """
        os.close(self._descriptor)

    def _continue_from(self, descriptor: int, parts: tuple[bytes, ...]) -> None:
        os.close(self._descriptor)
        self._descriptor, self._parts = descriptor, parts


@contextmanager
def walk_down(
    directory: int, parts: Sequence[bytes], *, make: bool = False, owner: Owner = None, mode: int = READABLE
) -> Iterator[int]:
    """
    A context with a descriptor of the directory *parts* below the open *directory*.  *make*, *owner*, *mode*: as in
    `step_into`.
    """
    with closing(Walk(directory, make=make, owner=owner, mode=mode)) as walk:
        yield walk.to(parts)
