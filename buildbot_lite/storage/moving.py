"""
Moving the database from the place where 0.1.0 had it.

0.1.0 stored it in ``private/``, beside the keys.  It contains no secrets any more and has a directory of its own.  A
text file takes its old place: without a file there, 0.1.0 would create a new farm, and a backup script would continue
with an empty database; both report that a text file is not a database.
"""

import os
import sqlite3
from contextlib import closing

from ..errors import StorageError
from .files import (
    make_directory,
    sync_directory,
    write_whole,
)

NOTE = b"This farm's database is records/farm.sqlite now.  See docs/deployment.md for what a backup needs.\n"
_SQLITE = b"SQLite format 3\0"


def is_database(path: str) -> bool:
    """
    Whether the file *path* exists and is a non-empty SQLite database.
    """
    try:
        with open(path, "rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StorageError(f"The farm's database {path} cannot be read: {error.strerror}.") from None


def move_database(old: str, new: str) -> None:
    """
    Move the SQLite file *old* to *new*, and leave `NOTE` at *old*.

    No other process may have it open.  After a crash, the complete database is at one of the two paths, or at both as
    hard links to one file.
    """
    begun = os.path.lexists(new)
    if begun and not os.path.samefile(old, new):
        raise StorageError(
            f"There are two databases of this farm: {old}, where 0.1.0 had it, and {new}.  Keep the one that has the "
            "newer builds, and move the other one away."
        )
    _take_in_log(old)
    if not begun:
        make_directory(os.path.dirname(new))
        try:
            os.link(old, new)
        except OSError as error:
            raise StorageError(
                f"The farm's database cannot be moved from {old} to {new}: {error.strerror}.  Move it yourself, or say "
                f"in master.cfg where it is: c['db'] = {old!r}"
            ) from None
        sync_directory(os.path.dirname(new))
    write_whole(old, NOTE)


def _take_in_log(path: str) -> None:
    """
    Merge the write-ahead log into the file, because moving only the file would lose the records in the log.
    """
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            (mode,) = connection.execute("PRAGMA journal_mode=DELETE").fetchone()
    except sqlite3.Error as error:
        raise StorageError(f"The farm's database {path} cannot be moved: {error}.") from None
    if mode != "delete":
        raise StorageError(f"Another program has the farm's database {path} open.  End it, and start the master again.")
