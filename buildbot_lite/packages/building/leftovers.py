"""
What builds have left on a slave: their roots and files, after a kill -9 of the keeper or of the machine.

::

    claim ──► roots/begun/BUILDER/build-2: a mark ──► BUILDER/build-2/root, files ──► clear: all of it is removed
                                                            │
                                                            └── killed ──► found here, removed by sweep_left (kept.sh)

A mark says which build has begun in a directory, not whether it goes on: only the master knows that.  It is not in that
directory, because what other builders check out into theirs must not be taken for one.
"""

import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from ...storage.files import read_regular
from .overlay import overlay

MARKS = "roots/begun"
"""Where the marks are, relative to the slave's ``work``; the scripts of a master write them."""
MOST_LEFT = 100
"""Directories that are found at a time."""
MOST_ENTRIES = 10_000
"""Marks of a builder, and builders with marks, that are looked at."""

_BUILD = re.compile(r"build(-[1-9][0-9]{0,5})?\Z")
_MARK = re.compile(rb"[0-9a-f-]{36}\n?\Z")


def marked(work: Path) -> Mapping[str, str]:
    """
    The marks in *work*, the slave's, by directory of a build.  It reads the disk: for a thread.
    """
    return dict(islice(_marks(str(work)), MOST_LEFT))


def removing_left(left: Mapping[str, str]) -> Sequence[str]:
    """
    The words that remove what is *left*, a part of `marked`, from the slave's ``work``.
    """
    return overlay("sweep_left", *(word for each in left.items() for word in each))


def _marks(work: str) -> Iterator[tuple[str, str]]:
    marks = os.path.join(work, MARKS)
    for builder in _names(marks):
        for build in filter(_BUILD.match, _names(os.path.join(marks, builder))):
            place = f"{builder}/{build}"
            with suppress(OSError):
                mark = read_regular(os.path.join(marks, place), 100, follow=False)
                # A link could lead anywhere.
                if _MARK.match(mark) and all(_is_directory(os.path.join(work, each)) for each in (builder, place)):
                    yield place, mark.decode("ascii").strip()


def _names(path: str) -> list[str]:
    """
    The names in the directory *path*; those of targets are ASCII.
    """
    with suppress(OSError), os.scandir(path) as entries:
        return [each.name for each in islice(entries, MOST_ENTRIES) if each.name.isascii()]
    return []


def _is_directory(path: str) -> bool:
    return stat.S_ISDIR(os.lstat(path).st_mode)
