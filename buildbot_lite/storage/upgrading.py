"""
Upgrading a database to this version's schema, with the revisions in ``migrations``.

A database contains its revision.  The current one needs no change, and an empty database is created from the schema (a
test shows that the revisions lead to the same tables); so Alembic, which takes a quarter of a second and some megabytes
to import, is imported only for a migration.  An unknown revision comes from a newer version; such a database is not
changed.
"""

from collections.abc import Sequence
from importlib import resources
from typing import TYPE_CHECKING, Final

from sqlalchemy import Column, Connection, MetaData, String, Table, insert, inspect, select

from ..errors import NewerDatabaseError, StorageError
from . import schema

if TYPE_CHECKING:
    from alembic.config import Config

REVISION: Final = "0009"
"""The newest revision in ``migrations/versions``, which `schema` describes."""

# The ``user_version`` in the header of an SQLite file: 1 when no used or free page contains the secrets of 0.1.0, which
# revision 0002 removed; 2 when it can also give free pages back.  It is not a revision, because rewriting the file
# cannot be part of the transaction.
_CLEAN = 2

# Alembic's table; not part of the schema, because it is not migrated.
_version = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))


def is_current(connection: Connection) -> bool:
    """
    Whether the database has this version's schema.  Only reads, so it does not wait for other processes' locks.
    """
    with connection.begin():
        return _revision(connection, inspect(connection).get_table_names()) == REVISION and _is_clean(connection)


def upgrade(connection: Connection, private: str | None) -> None:
    """
    Upgrade the database to this version's schema, in one transaction.  *private*: the directory for secrets that older
    versions stored in the database; None when there can be none.

    Do not use the connection afterwards: it no longer checks foreign keys.
    """
    if connection.dialect.name == "sqlite":
        # Altering a table in SQLite means copying and dropping it while other rows refer to it; and this pragma has no
        # effect inside a transaction: https://www.sqlite.org/lang_altertable.html#otheralter
        connection.connection.cursor().execute("PRAGMA foreign_keys=OFF")
    with connection.begin():
        tables = inspect(connection).get_table_names()
        if not tables:
            schema.metadata.create_all(connection)
            _version.create(connection)
            connection.execute(insert(_version).values(version_num=REVISION))
            _mark_clean(connection)
        elif (revision := _revision(connection, tables)) != REVISION:
            _migrate(connection, revision, private)
    if not _is_clean(connection):
        _write_anew(connection)


def _is_clean(connection: Connection) -> bool:
    if connection.dialect.name != "sqlite":
        return True
    (version,) = connection.connection.cursor().execute("PRAGMA user_version").fetchone()
    return int(version) >= _CLEAN


def _mark_clean(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        connection.connection.cursor().execute(f"PRAGMA user_version={_CLEAN}")


def _write_anew(connection: Connection) -> None:
    """
    Rewrite the whole file from its tables, and empty its write-ahead log.
    """
    cursor = connection.connection.cursor()
    # Takes effect with the VACUUM: https://www.sqlite.org/pragma.html#pragma_auto_vacuum
    cursor.execute("PRAGMA auto_vacuum=INCREMENTAL")
    cursor.execute("VACUUM")
    (busy, *_) = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise StorageError(
            "Another program reads the farm's database, which this version must rewrite as a whole.  End that "
            "program, and start the master again."
        )
    _mark_clean(connection)


def _revision(connection: Connection, tables: Sequence[str]) -> str | None:
    return connection.execute(select(_version.c.version_num)).scalar() if _version.name in tables else None


def configuration() -> "Config":
    """
    Alembic's configuration, without a file.
    """
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(resources.files(__package__) / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _migrate(connection: Connection, revision: str | None, private: str | None) -> None:
    from alembic import command
    from alembic.script import ScriptDirectory

    config = configuration()
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if revision is not None and revision not in known:
        raise NewerDatabaseError
    config.attributes.update(connection=connection, private=private)
    command.upgrade(config, "head")
    if connection.dialect.name == "sqlite" and connection.exec_driver_sql("PRAGMA foreign_key_check").all():
        raise StorageError(
            "The farm's database could not be upgraded: some rows would refer to rows that do not exist.  It is "
            "unchanged; continue with the older version, and report this."
        )
