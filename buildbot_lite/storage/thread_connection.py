"""
The connection to the database of one of the writer's threads.
"""

from collections.abc import Callable
from contextlib import suppress

from sqlalchemy import Connection, Engine
from twisted.python.failure import Failure

from ..errors import RecordsFailingError
from .batch import (
    BatchResult,
    Change,
    as_failing,
    translated,
)
from .database import READING, only_read


class ThreadConnection:
    """
    The connection of one thread, opened at its first use and again after a failure.
    """

    def __init__(self, engine: Engine, *, reading: bool = False) -> None:
        self._engine = engine
        self._reading = reading
        self._connection: Connection | None = None

    def use(self, work: Callable[[Connection], BatchResult], size: int = 1) -> BatchResult:
        """
        ``work(connection)``, or *size* failures when no connection can be opened.
        """
        try:
            if self._connection is None or self._connection.invalidated:
                self._connection = self._open()
            batch = work(self._connection)
        except Exception as error:  # noqa: BLE001 - the result of all changes of the batch
            batch = BatchResult((Failure(as_failing(error)),) * size, failures=1)
        if any(isinstance(each, Failure) and each.check(RecordsFailingError) for each in batch.results):
            # A connection opened while the file was read-only or missing keeps failing after the file is repaired.
            self.close()
        return batch

    def query(self, query: Change) -> BatchResult:
        """
        The result of *query* on one consistent snapshot.
        """
        return self.use(lambda connection: _queried(connection, query))

    def close(self) -> None:
        """
        Close the connection; the next use opens another one.
        """
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):  # the connection is discarded either way
                connection.close()

    def _open(self) -> Connection:
        connection = self._engine.connect()
        if self._reading:
            connection = connection.execution_options(**READING)
            only_read(connection)
        return connection


def _queried(connection: Connection, query: Change) -> BatchResult:
    try:
        connection.begin()
        return BatchResult((query(connection),))
    except Exception as error:  # noqa: BLE001 - the query's result
        return BatchResult((_failure(error),))
    finally:
        connection.rollback()


def _failure(error: Exception) -> Failure:
    known_error = translated(error)
    return Failure() if known_error is error else Failure(known_error)
