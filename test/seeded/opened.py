"""
Where the records are put: into memory, or into a farm's directory.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Engine

from buildbot_lite.storage.database import open_database
from test.storage.inline import database_in_memory

from .seeding import Seeding, multiply, seed


def in_memory(seeding: Seeding) -> Engine:
    """
    A database in memory with the records of *seeding*.
    """
    engine = database_in_memory()
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        seed(driver, seeding)
    return engine


def in_file(path: Path, seeding: Seeding, copies: int = 1) -> None:
    """
    Write the database *path*, which must not exist, with the records of *seeding*, *copies* times.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    open_database(str(path)).dispose()
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.executescript("PRAGMA synchronous=OFF; PRAGMA foreign_keys=OFF; PRAGMA cache_size=-65536;")
        multiply(database, seeding, copies) if copies > 1 else seed(database, seeding)
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
