"""
Opening the farm's database.

SQLite runs in WAL mode with synchronous=FULL: a transaction is on the disk when `commit` returns, and readers never
wait for the writer.  The file has mode 0600 from its creation: it contains no FURLs, but it says what was built, for
whom, and with which arguments.
"""

import os
import shutil
import sqlite3

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from ..errors import DatabaseFullError, StorageError
from .records.grants import LOG
from .revocation_log import RevocationLog
from .upgrading import is_current, upgrade

# Milliseconds of waiting for other processes that use the file, such as a backup; the master itself has one writer.
_BUSY_MILLISECONDS = 5000
# Bytes that SQLite needs on the disk for the files beside the database.
_LEAST_ROOM = 64 << 10
_OPTIONS = (
    # A commit writes whole pages, a build of one step about thirty; pages of 1 KiB need a quarter of the bytes.
    "PRAGMA page_size=1024",
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    f"PRAGMA busy_timeout={_BUSY_MILLISECONDS}",
    "PRAGMA wal_autocheckpoint=4000",
    # 4 MiB of page cache for each connection; the write-ahead log shrinks to 16 MiB after a burst.
    "PRAGMA cache_size=-4096",
    "PRAGMA journal_size_limit=16777216",
)
# Of the web process: what a page does not find in its 512 KiB is in the page cache of the system.  (Four times as much
# makes a query 6 to 14 % faster, 5 µs of 37; a page has some milliseconds.)
_OPTIONS_OF_READERS = ("PRAGMA query_only=ON", f"PRAGMA busy_timeout={_BUSY_MILLISECONDS}", "PRAGMA cache_size=-512")

READING = {"buildbot_lite_reading": True}
"""Execution options of a connection that only reads."""


def open_database(path_or_url: str, *, private: str | None = None, revocations: RevocationLog | None = None) -> Engine:
    """
    Open the farm's database, and upgrade it to this version's schema.

    *path_or_url*: the path of an SQLite file, which is created if it is missing, or an SQLAlchemy URL.  *private*: the
    directory to which the migration moves secrets that 0.1.0 stored in its database; None when there can be none.
    *revocations*: the log that `records.grants` writes.
    `NewerDatabaseError` when a newer version wrote the database; `StorageError` when it cannot be opened.
    """
    engine = _engine(path_or_url)
    try:
        with engine.connect().execution_options(**READING) as connection:
            current = is_current(connection)
        if not current:
            with engine.connect() as connection:
                upgrade(connection, private)
    except (DBAPIError, sqlite3.Error) as error:
        engine.dispose()
        cause = error.orig if isinstance(error, DBAPIError) else error
        if _no_room_beside(engine):
            # SQLite reports an I/O error when there is no room for the files beside the database.
            raise DatabaseFullError(
                f"The disk with the farm's database {_shown(engine)} is full.  Make room."
            ) from None
        raise StorageError(f"The farm's database {_shown(engine)} cannot be opened: {cause}.") from None
    except BaseException:
        engine.dispose()
        raise
    if revocations is not None:
        _log_revocations(engine, revocations)
    return engine


def _engine(path_or_url: str) -> Engine:
    if "://" not in path_or_url:
        path_or_url = f"sqlite:///{os.path.abspath(path_or_url)}"
    try:
        url = make_url(path_or_url)
        if url.get_backend_name() == "sqlite" and url.database:
            _make_private(url.database)
        # Each thread of the writer opens one connection and keeps it: there is nothing to pool.
        engine = create_engine(url, poolclass=NullPool)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise StorageError(f"c['db'] is not a database that can be used here: {error}.") from None
    if engine.dialect.name == "sqlite":
        prepare_writing(engine)
    return engine


def _make_private(path: str) -> None:
    # SQLite gives its -wal and -shm files the mode of the database file.
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StorageError(f"The farm's database {path} cannot be opened: {error.strerror}.") from None


def prepare_writing(engine: Engine) -> None:
    """
    Prepare *engine*, of an SQLite database, for transactions that may write.
    """

    @event.listens_for(engine, "connect")
    def set_options(connection: sqlite3.Connection, record: object) -> None:
        # Disable the driver's implicit transactions: they begin too late, and not for all statements.
        connection.isolation_level = None
        if connection.execute("PRAGMA page_count").fetchone() == (0,):
            # Only an empty file takes this without a lock: its free pages can be given back, some at a time.
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        for option in _OPTIONS:
            connection.execute(option)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that begins as a reader cannot wait for the write lock later: SQLITE_BUSY comes at once.
        reading = connection.get_execution_options().get("buildbot_lite_reading")
        # The driver's cursor, as in `statements`: SQLAlchemy's own execution takes most of the time of a short query.
        connection.connection.cursor().execute("BEGIN" if reading else "BEGIN IMMEDIATE")


def prepare_reading(engine: Engine) -> None:
    """
    Prepare *engine*, whose SQLite file is opened read-only, for transactions that only read.
    """

    @event.listens_for(engine, "connect")
    def set_options(connection: sqlite3.Connection, record: object) -> None:
        connection.isolation_level = None
        for option in _OPTIONS_OF_READERS:
            connection.execute(option)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.connection.cursor().execute("BEGIN")


def _log_revocations(engine: Engine, revocations: RevocationLog) -> None:
    @event.listens_for(engine, "connect")
    def set_log(connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
        record.info[LOG] = revocations


def _no_room_beside(engine: Engine) -> bool:
    path = engine.url.database
    try:
        return path is not None and shutil.disk_usage(os.path.dirname(path)).free < _LEAST_ROOM
    except OSError:
        return False


def only_read(connection: Connection) -> None:
    """
    Make all later statements on *connection* fail that would change the database.
    """
    if connection.dialect.name == "sqlite":
        connection.connection.cursor().execute("PRAGMA query_only=ON")


def _shown(engine: Engine) -> str:
    return engine.url.database or engine.url.render_as_string(hide_password=True)
