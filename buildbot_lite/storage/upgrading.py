"""
Bringing a database to this version's schema, however old it is, with the revisions in ``migrations``.

A database names the revision that it has.  One that has ours needs nothing, and an empty one is made from the schema as
it is (a test shows that the revisions lead to the same): so Alembic, which takes a quarter of a second and some
megabytes, is only imported when there is something to migrate.  A revision that is unknown here comes from a newer
version; such a database is left alone.
"""

from collections.abc import Sequence
from importlib import resources
from typing import TYPE_CHECKING, Final

from sqlalchemy import Column, Connection, MetaData, String, Table, insert, inspect, select

from ..errors import NewerDatabaseError, StorageError
from . import schema

if TYPE_CHECKING:
    from alembic.config import Config

REVISION: Final = "0004"
"""
The newest revision in ``migrations/versions``: the one that `schema` describes.
"""

# Kept in the header of an SQLite file (``user_version``): 1 when no page of it, used or free, holds what 0.1.0 kept
# there and revision 0002 took out.  Not a revision, because writing the file anew cannot be a part of the transaction.
_CLEAN = 1

# Alembic's own; beside the schema, because it is not a part of what is migrated.
_version = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))


def is_current(connection: Connection) -> bool:
    """
    Whether *connection*'s database is this version's.  Only reads: whoever has the database locked is not waited for.
    """
    with connection.begin():
        return _revision(connection, inspect(connection).get_table_names()) == REVISION and _is_clean(connection)


def upgrade(connection: Connection, private: str | None) -> None:
    """
    Make *connection*'s database this version's: all of it in one transaction, or nothing.  *private*: the directory for
    what is secret in older ones; None when there can be nothing.

    The connection is not to be used for anything else: references between rows are not checked on it any more.
    """
    if connection.dialect.name == "sqlite":
        # SQLite changes a table by making another and dropping the first, to which references still point then; and
        # this can only be set outside a transaction.
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
    Write the whole file anew from what is in its tables, and empty its write-ahead log.
    """
    cursor = connection.connection.cursor()
    cursor.execute("VACUUM")
    (busy, *_) = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise StorageError(
            "Another program reads the farm's database, which is to be written anew for this version.  End that "
            "program, and start the master again."
        )
    _mark_clean(connection)


def _revision(connection: Connection, tables: Sequence[str]) -> str | None:
    return connection.execute(select(_version.c.version_num)).scalar() if _version.name in tables else None


def configuration() -> "Config":
    """
    What Alembic needs to know; it is in no file.
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
            "The farm's database could not be brought to this version: rows that belong together came apart.  It is "
            "as it was; go on with the older version, and report this."
        )
