"""
What builds have left on a slave: their roots and files, after a kill -9 of the keeper or of the machine.

::

    claim ──► work/BUILDER/build-2/begun: a mark ──► root, files ──► clear: all of it is removed
                                                          │
                                                          └── killed ──► found here, removed by sweep_left (kept.sh)

A mark says which build has begun in a directory, not whether it goes on: only the master knows that.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from ...storage.files import read_regular
from .overlay import overlay

MARK = "begun"
"""The file with the mark, in the directory of a build; the scripts of a master write it."""
MOST_LEFT = 100
"""Directories that are found at a time."""
MOST_ENTRIES = 10_000
"""Entries of ``work``, and of a builder's directory, that are looked at."""

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
    for builder in _directories(work):
        for build in filter(_BUILD.match, _directories(os.path.join(work, builder))):
            with suppress(OSError):
                mark = read_regular(os.path.join(work, builder, build, MARK), 100, follow=False)
                if _MARK.match(mark):
                    yield f"{builder}/{build}", mark.decode("ascii").strip()


def _directories(path: str) -> list[str]:
    """
    The directories in *path* that are no links, which could lead anywhere.  (The names of targets are ASCII.)
    """
    with suppress(OSError), os.scandir(path) as entries:
        return [
            each.name
            for each in islice(entries, MOST_ENTRIES)
            if each.name.isascii() and each.is_dir(follow_symlinks=False)
        ]
    return []
