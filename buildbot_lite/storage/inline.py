"""
`Records` without threads: the Deferreds have fired when they are returned.

For tests without a reactor, and for commands when no master runs.
"""

from collections.abc import Callable
from typing import TypeVar, cast

from sqlalchemy import Connection, Engine
from twisted.internet.defer import Deferred, execute, fail, succeed
from twisted.python.failure import Failure

from ..errors import RecordsClosedError
from . import batch
from .batch_meter import BatchMeter
from .database import database_in_memory
from .subscribers import OnCommit, Subscribers

T = TypeVar("T")


class InlineWriter:
    """
    Records that run each change at once, in the calling thread and in its own transaction.
    """

    def __init__(self, engine: Engine | None = None) -> None:
        self._engine = database_in_memory() if engine is None else engine
        self._connection = self._engine.connect()
        self._subscribers = Subscribers()
        self.meter = BatchMeter()
        """As `Records.meter`."""
        self._closed = False

    def write(self, change: Callable[[Connection], T]) -> Deferred[T]:
        """
        As `Records.write`.
        """
        if self._closed:
            return fail(RecordsClosedError())
        done = batch.commit(self._connection, [change], lock_timeout=0.0)
        self.meter.add(1, 0.0)
        self._subscribers.notify(done.events)
        (result,) = done.results
        return fail(result) if isinstance(result, Failure) else succeed(cast(T, result))

    def note(self, change: Callable[[Connection], T]) -> Deferred[T]:
        """
        As `Records.note`.
        """
        return self.write(change)

    def read(self, query: Callable[[Connection], T]) -> Deferred[T]:
        """
        As `Records.read`.
        """
        if self._closed:
            return fail(RecordsClosedError())
        try:
            return execute(query, self._connection)
        finally:
            self._connection.rollback()

    def on_commit(self, callback: OnCommit) -> Callable[[], None]:
        """
        As `Records.on_commit`.
        """
        return self._subscribers.add(callback)

    def close(self) -> Deferred[None]:
        """
        As `Records.close`.
        """
        if not self._closed:
            self._closed = True
            self._connection.close()
            self._engine.dispose()
        return succeed(None)
