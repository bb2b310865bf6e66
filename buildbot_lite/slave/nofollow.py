"""
Walking down directories by their descriptors, without following links.

Whoever holds a descriptor of a directory has that directory, whatever happens to its path meanwhile.  The standard
library only.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress

from ..keeper.wrapper import UMASK

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


class Walk:
    """
    A way through the directories below the open directory *top*, from one to the next.

    What follows in the order of a tree costs one step for each directory, however deep it is: where the next directory
    is below the last one, the way goes on from there; otherwise it begins at the top.  One descriptor at a time.

    *make*, *owner*, *mode*: as in `step_into`.
    """

    def __init__(self, top: int, *, make: bool = False, owner: Owner = None, mode: int = READABLE) -> None:
        self._top = top
        self._make = make
        self._owner = owner
        self._mode = mode
        self._parts: tuple[bytes, ...] = ()
        self._here = os.dup(top)

    def to(self, parts: Sequence[bytes]) -> int:
        """
        A descriptor of the directory *parts* below the top, open until the next call.  `OSError` as in `step_into`.
        """
        wanted = tuple(parts)
        if wanted[: len(self._parts)] != self._parts:
            self._go_on(os.dup(self._top), ())
        for part in wanted[len(self._parts) :]:
            deeper = step_into(self._here, part, make=self._make, owner=self._owner, mode=self._mode)
            self._go_on(deeper, (*self._parts, part))
        return self._here

    def close(self) -> None:
        """
        Close the last descriptor.
        """
        os.close(self._here)

    def _go_on(self, here: int, parts: tuple[bytes, ...]) -> None:
        os.close(self._here)
        self._here, self._parts = here, parts


@contextmanager
def walk_down(
    directory: int, parts: Sequence[bytes], *, make: bool = False, owner: Owner = None, mode: int = READABLE
) -> Iterator[int]:
    """
    A descriptor of the directory *parts* below the open *directory*, open for as long as the context lasts.
    """
    with closing(Walk(directory, make=make, owner=owner, mode=mode)) as walk:
        yield walk.to(parts)
