"""
Many changes in one transaction.

::

    BEGIN    SAVEPOINT  change 1  RELEASE    SAVEPOINT  change 2 !  ROLLBACK TO    …    COMMIT

A change that raises is rolled back alone; its exception is its result.  The whole batch fails only if the database
itself fails (its disk is full or broken, another process has it locked): with a `RecordsFailingError`, and without any
effect, so the same changes may be tried again.

This module has no threads: `writer` has the one in which it runs.
"""

import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from attrs import frozen
from sqlalchemy import Connection
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from twisted.python.failure import Failure

from ..errors import (
    BuildbotLiteError,
    DatabaseFullError,
    DatabaseLockedError,
    RecordsFailingError,
    StorageError,
)
from .records import feed
from .records.feed import Event

Change = Callable[[Connection], Any]

# SQLite's result codes for failures that no change causes: https://www.sqlite.org/rescode.html
_FAILING: Final = frozenset(
    {
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOTADB,
    }
)

# Seconds between two attempts at a database that another process has locked.
_LOCK_PAUSE: Final = 0.05


@frozen
class BatchResult:
    """
    The result of a batch.  *results*: the value or the `Failure` of each change.  *events*: those of the committed
    changes.  *failures*: how many batches have failed as a whole, including this one.
    """

    results: tuple[object, ...]
    events: tuple[Event, ...] = ()
    failures: int = 0


def commit(
    connection: Connection,
    changes: Sequence[Change],
    *,
    lock_timeout: float,
    pause: Callable[[float], object] = time.sleep,
) -> BatchResult:
    """
    Make all of *changes* in one transaction.  Never raises.

    *lock_timeout*: seconds of attempts while another process has the database locked; *pause* blocks between two.
    """
    try:
        _retry_while_locked(connection.begin, lock_timeout, pause)
        cursor = connection.connection.cursor()
        results = tuple([_apply(connection, cursor, change) for change in changes])
        events = feed.write_collected(connection)
        # The driver's commit, because it can be repeated: after a failed commit SQLAlchemy considers the transaction
        # finished, and its commit and rollback have no effect.
        _retry_while_locked(connection.connection.commit, lock_timeout, pause)
        connection.commit()
    except Exception as error:  # noqa: BLE001 - the result of every change
        feed.forget_collected(connection)
        _abandon(connection)
        return BatchResult((Failure(as_failing(error)),) * len(changes), failures=1)
    return BatchResult(results, events)


def translated(error: Exception) -> Exception:
    """
    The `StorageError` for *error* if it comes from the database; otherwise *error* itself.
    """
    if isinstance(error, BuildbotLiteError):
        return error
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, sqlite3.Error):
        if _code(cause) == sqlite3.SQLITE_FULL:
            return DatabaseFullError()
        if _code(cause) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            return DatabaseLockedError()
        kind = RecordsFailingError if _code(cause) in _FAILING else StorageError
        return kind(f"The farm's database cannot be used: {cause}.")
    if isinstance(error, OperationalError | InterfaceError):
        return RecordsFailingError(f"The farm's database cannot be used: {cause}.")
    return error


def as_failing(error: Exception) -> RecordsFailingError:
    """
    The `RecordsFailingError` for *error*, which the transaction or the connection raised, not a change.
    """
    known_error = translated(error)
    if isinstance(known_error, RecordsFailingError):
        return known_error
    return RecordsFailingError(
        str(known_error) if known_error is not error else f"The farm's database cannot be used: {error}."
    )


def _apply(connection: Connection, cursor: DBAPICursor, change: Change) -> object:
    cursor.execute("SAVEPOINT change")
    before = feed.mark(connection)
    try:
        value = change(connection)
    except Exception as error:
        if isinstance(translated(error), RecordsFailingError):
            # SQLite may have rolled back the whole transaction, so the batch fails.
            raise
        cursor.execute("ROLLBACK TO SAVEPOINT change")
        feed.drop_after(connection, before)
        value = Failure(translated(error)) if isinstance(error, sqlite3.Error | DBAPIError) else Failure()
    cursor.execute("RELEASE SAVEPOINT change")
    return value


def _retry_while_locked(attempt: Callable[[], object], lock_timeout: float, pause: Callable[[float], object]) -> None:
    until = time.monotonic() + lock_timeout
    while True:
        try:
            attempt()
        except (DBAPIError, sqlite3.Error) as error:
            if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
            pause(_LOCK_PAUSE)
        else:
            return


def _abandon(connection: Connection) -> None:
    try:
        connection.rollback()
    except Exception:  # noqa: BLE001 - not even a rollback works; the next batch opens a new connection
        connection.invalidate()


def _code(error: Exception) -> int | None:
    """
    The primary result code of SQLite, if *error* has one.
    """
    code = getattr(error.orig if isinstance(error, DBAPIError) else error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
