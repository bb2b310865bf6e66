"""
Reading the farm's database from another process than the master's.

::

    reactor             reading threads                    the file, opened with mode=ro
    read(a), read(b) ──►  BEGIN a ROLLBACK                 the master commits meanwhile
                          '── refused after `LONGEST_READ`, wherever it is (`read_limit`)

The file is opened with ``mode=ro``: nothing is created, migrated or locked for writing.  A reader that stays in a
transaction keeps the write-ahead log from being reused (one grew to 124 MB in a trial), so each has a time limit, and
no transaction lasts while its answer is made or sent: a query returns rows, of which its caller makes documents.

A database of another schema is not read: the master upgrades it when it starts, and until then this waits.

On a file system that this process may only read, SQLite opens a database in WAL mode only while its write-ahead log is
there, that is, while the master has it open (https://sqlite.org/wal.html#readonly).  Without a log nobody writes, and
the file is opened as *immutable*.  SQLite then looks for no changes, so this process does, before and after each query.
"""

import os
import sqlite3
import time
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar
from urllib.parse import quote

from attrs import frozen
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool
from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from ..errors import ReadTooLongError, RecordsClosedError, RecordsFailingError, StorageError, TooManyRowsError
from .database import prepare_reading
from .read_limit import LimitedConnection, ReadLimit
from .roles import ReactorThread
from .upgrading import is_current

T = TypeVar("T")

LONGEST_READ = 0.25
"""Seconds of one transaction."""
MOST_WAITING = 200
"""Queries that may wait; more fail at once, so that a flood is refused and not kept."""
READERS = 2
# Instructions of SQLite's virtual machine between two looks at the clock: a fraction of a millisecond.
_STRIDE = 20_000


_Stamp = tuple[int, int, int]


def _stamp(path: str) -> _Stamp | None:
    """
    What changes with the contents of the database *path*; None: it has a write-ahead log, or is not there.
    """
    try:
        about = os.stat(path)
    except OSError:
        return None
    return None if os.path.exists(f"{path}-wal") else (about.st_ino, about.st_size, about.st_mtime_ns)


@frozen
class _OpenDatabase:
    """
    The database *path*, with a connection.  *stamp*: of the immutable file that is read; None: SQLite itself looks for
    changes.
    """

    path: str
    connection: Connection
    stamp: _Stamp | None

    @classmethod
    def open(cls, path: str) -> "_OpenDatabase":
        stamp = _stamp(path)
        try:
            return cls(path, open_for_reading(path).connect(), None)
        except _CannotOpenError:
            if stamp is None:
                raise
            return cls(path, open_for_reading(path, immutable=True).connect(), stamp)

    @property
    def has_changed(self) -> bool:
        """
        Whether what was read may be of no single state of the database.
        """
        return self.stamp is not None and self.stamp != _stamp(self.path)


class _CannotOpenError(StorageError):
    """
    The database exists, and SQLite cannot make the files that it needs beside it.
    """


def open_for_reading(path: str, *, immutable: bool = False) -> Engine:
    """
    The SQLite database *path*, which is only read; `StorageError` if it is missing or has another schema.  *immutable*:
    nobody changes it while it is open, or the caller notices it.
    """
    if not os.path.exists(path):
        raise StorageError(f"There is no farm's database {path} yet.  The master makes it when it starts.")
    address = f"file:{quote(os.path.abspath(path))}?mode=ro{'&immutable=1' if immutable else ''}"
    engine = create_engine(
        "sqlite://",
        poolclass=NullPool,
        creator=lambda: sqlite3.connect(address, uri=True, check_same_thread=False, factory=LimitedConnection),
    )
    prepare_reading(engine)
    try:
        with engine.connect() as connection:
            current = is_current(connection)
    except (DBAPIError, sqlite3.Error) as error:
        engine.dispose()
        cause = error.orig if isinstance(error, DBAPIError) else error
        code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
        kind = _CannotOpenError if code in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY} else StorageError
        raise kind(f"The farm's database {path} cannot be read: {error}.") from None
    if not current:
        engine.dispose()
        raise StorageError(
            f"The farm's database {path} is of another version of buildbot_lite.  It is read again when the master, of "
            "the same version as this process, has started."
        )
    return engine


@frozen
class _Asked:
    query: Callable[[Connection], Any]
    done: Deferred[Any]


class ReadOnlyRecords:
    """
    Queries of the database *path*, each on one consistent snapshot, for callers in *reactor*'s thread.

    *longest*: seconds of one query.  The file is opened at the first query that finds it, and again after a failure.
    """

    def __init__(self, path: str, reactor: ReactorThread, *, longest: float = LONGEST_READ) -> None:
        self._path = path
        self._reactor = reactor
        self._longest = longest
        self._waiting = 0
        self._closed = False
        self._queries: SimpleQueue[_Asked | None] = SimpleQueue()
        for _ in range(READERS):
            Thread(target=self._read_all, name="records reader", daemon=True).start()

    def read(self, query: Callable[[Connection], T]) -> Deferred[T]:
        """
        Call *query*, in another thread; fires with its result.

        `ReadTooLongError` after *longest* seconds: at once if the query had the processor for half of them, or others
        wait, and else after asking it once more; `TooManyRowsError` at once;
        `StorageError` when the database cannot be read now;
        `RecordsFailingError` when `MOST_WAITING` queries wait.
        """
        if self._closed:
            return fail(RecordsClosedError())
        if self._waiting >= MOST_WAITING:
            return fail(RecordsFailingError("Too many pages are asked for at this moment.  Try again in a second."))
        self._waiting += 1
        asked = _Asked(query, Deferred())
        self._queries.put(asked)
        return asked.done

    def close(self) -> None:
        """
        Answer what was asked, then close the database.
        """
        self._closed = True
        for _ in range(READERS):
            self._queries.put(None)

    def _finish(self, asked: _Asked, result: object) -> None:
        self._waiting -= 1
        if isinstance(result, Failure):
            asked.done.errback(result)
        else:
            asked.done.callback(result)

    # In the reading threads.

    def _read_all(self) -> None:
        database: _OpenDatabase | None = None
        while asked := self._queries.get():
            database, result = self._result(database, asked.query)
            if database is not None and database.has_changed:
                # The master has started meanwhile.
                database, result = self._result(database, asked.query)
            if database is not None and database.has_changed:
                result = Failure(StorageError("The farm's database changes at this moment.  Try again."))
            self._reactor.callFromThread(self._finish, asked, result)
        if database is not None:
            database.connection.close()

    def _result(
        self, database: _OpenDatabase | None, query: Callable[[Connection], Any]
    ) -> tuple[_OpenDatabase | None, object]:
        """
        The database for the next query, and the result of this one or its failure.
        """
        if database is not None and database.has_changed:
            database.connection.close()
            database = None
        try:
            database = database or _OpenDatabase.open(self._path)
            return database, self._answer(database.connection, query)
        except Exception as error:  # noqa: BLE001 - the query's result
            failure = Failure()
            if isinstance(error, StorageError) and not isinstance(error, ReadTooLongError) and database:
                # The file may have been replaced, by a restore: the next query opens it again.
                database.connection.close()
                database = None
            return database, failure

    def _answer(self, connection: Connection, query: Callable[[Connection], Any]) -> Any:
        began = time.thread_time()
        try:
            return self._answer_once(connection, query)
        except TooManyRowsError:
            raise  # there are as many the next time
        except ReadTooLongError:
            # Others had the processor: the query itself may be short, and the next snapshot begins now.  But where
            # queries wait, each repetition makes all of them wait for longer.
            if time.thread_time() - began > self._longest / 2 or not self._queries.empty():
                raise
        return self._answer_once(connection, query)

    def _answer_once(self, connection: Connection, query: Callable[[Connection], Any]) -> Any:
        driver: Any = connection.connection.driver_connection
        limit = ReadLimit.from_now(lambda: time.monotonic(), self._longest)  # noqa: PLW0108 - tests replace the module
        driver.set_progress_handler(lambda: limit.is_over, _STRIDE)
        driver.limit = limit
        try:
            connection.begin()
            return query(connection)
        except (DBAPIError, sqlite3.Error) as error:
            if limit.is_over:
                raise limit.too_long() from None
            cause = error.orig if isinstance(error, DBAPIError) else error
            if getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR:
                raise  # the statement is wrong, and the database right
            raise StorageError(f"The farm's database cannot be read: {cause}.") from None
        finally:
            driver.limit = None
            connection.rollback()
            driver.set_progress_handler(None, 0)
