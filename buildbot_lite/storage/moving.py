"""
Where 0.1.0 had its database, and how it comes from there.

0.1.0 kept it in ``private/``, beside the keys.  Since nothing secret is in it, it has a directory of its own.
"""

import os
import sqlite3
from contextlib import closing

from ..errors import StorageError
from .files import make_directory, sync_directory


def move_database(old: str, new: str) -> bool:
    """
    Move the SQLite file *old*, which this version's `open_database` has opened before, to *new*; whether it was there.

    Nobody else may have it open.  Whatever happens, it is at one of the two places, whole.
    """
    if not os.path.lexists(old):
        return False
    if os.path.lexists(new):
        raise StorageError(
            f"There are two databases of this farm: {old}, where 0.1.0 had it, and {new}.  Keep the one that has the "
            "newer builds, and move the other one away."
        )
    make_directory(os.path.dirname(new))
    _take_in_log(old)
    try:
        os.rename(old, new)
    except OSError as error:
        raise StorageError(
            f"The farm's database cannot be moved from {old} to {new}: {error.strerror}.  Move it yourself, or say in "
            f"master.cfg where it is: c['db'] = {old!r}"
        ) from None
    for path in (old, new):
        sync_directory(os.path.dirname(path))
    return True


def _take_in_log(path: str) -> None:
    """
    Leave no write-ahead log beside the file: one that stayed behind would be a part of the records.
    """
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            (mode,) = connection.execute("PRAGMA journal_mode=DELETE").fetchone()
    except sqlite3.Error as error:
        raise StorageError(f"The farm's database {path} cannot be moved: {error}.") from None
    if mode != "delete":
        raise StorageError(f"Another program has the farm's database {path} open.  End it, and start the master again.")
