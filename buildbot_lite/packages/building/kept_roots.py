"""
The roots of failed builds that a slave keeps.  kept.sh keeps, enters and removes them.

::

    work/BUILDER/build/root, files ──(a command of the build fails)──► work/roots/kept/BUILDER-NUMBER/root, files
"""

import os
import pwd
import stat
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from ...errors import InputError
from ...storage.files import read_regular
from .overlay import overlay

KEPT = "roots/kept"
"""Where roots are kept, relative to the slave's ``work``."""
KEPT_FOR = "root_kept_for"
"""The property of builds whose root the slave keeps: for how many seconds after the build failed, at most."""

MOST_ENTRIES = 1000
"""Entries of that directory that are looked at; kept.sh leaves a few."""
LONGEST_UNTIL = 32
"""Bytes that are read of a time: any build may have written there."""


def kept_name(builder: str, number: int) -> str:
    """
    The name of the kept root of a build.
    """
    return f"{builder}-{number}"


def entering(slave_directory: Path, name: str, *command: str) -> Sequence[str]:
    """
    The words that run *command* in the kept root *name* of the slave in *slave_directory*; without a command, a shell
    that takes the commands to run from standard input.  `InputError` when it is not there, or belongs to another user.
    """
    kept = slave_directory / "work" / KEPT
    try:
        owner = kept.stat().st_uid
        there = sorted(each.name for each in kept.glob("[!.]*") if (each / "until").is_file())
    except FileNotFoundError:
        raise InputError(
            f"No root is kept in {slave_directory}: is it the directory of the slave that built it, and does the target"
            " keep roots (keep_failed=HOURS)?"
        ) from None
    except PermissionError:
        raise InputError(
            f"{kept} can be read by the slave's user only; run this as that user (sudo -u USER …)."
        ) from None
    if owner != os.geteuid():
        raise InputError(
            f"The roots in {kept} belong to {_user(owner)}: sudo -u {_user(owner)} buildbot-lite package shell …"
        )
    if name not in there:
        raise InputError(f"The root of {name} is not kept (any more); kept are: {', '.join(there) or 'none'}.")
    return overlay("enter", str(kept), name, *command)


def any_expired(work: Path, now: float) -> bool:
    """
    Whether the time of a root that is kept in *work*, the slave's, is over at the time *now* (seconds since 1970), or
    more is there than kept.sh leaves.  It reads the disk: for a thread.
    """
    try:
        with os.scandir(work / KEPT) as entries:
            paths = [each.path for each in islice(entries, MOST_ENTRIES + 1)]
    except FileNotFoundError:
        return False
    return len(paths) > MOST_ENTRIES or any(_is_over(path, now) for path in paths if not _is_hidden(path))


def _is_hidden(path: str) -> bool:
    return os.path.basename(path).startswith(".")


def _is_over(path: str, now: float) -> bool:
    until = os.path.join(path, "until")
    with suppress(OSError):
        # As kept.sh: what is no file, or has no number, was damaged.
        if not stat.S_ISREG(os.lstat(until).st_mode):
            return True
        text = read_regular(until, LONGEST_UNTIL, follow=False).strip()
        return not text.isdigit() or int(text[:15]) < now
    return False


def removing_expired() -> Sequence[str]:
    """
    The words that remove kept roots whose time is over, from the slave's ``work``.
    """
    return overlay("sweep_kept", KEPT)


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"#{number}"
