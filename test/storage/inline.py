"""
`Records` without threads: the Deferreds have fired when they are returned.  For tests without a reactor.
"""

from collections.abc import Callable
from typing import TypeVar, cast

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import StaticPool
from twisted.internet.defer import Deferred, execute, fail, succeed
from twisted.python.failure import Failure

from buildbot_lite.errors import RecordsClosedError
from buildbot_lite.storage import batch, schema
from buildbot_lite.storage.batch_meter import BatchMeter
from buildbot_lite.storage.database import prepare_writing
from buildbot_lite.storage.subscribers import OnCommit, Subscribers

T = TypeVar("T")


def database_in_memory() -> Engine:
    """
    An empty database in memory, with this version's schema and one shared connection.
    """
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    prepare_writing(engine)
    schema.metadata.create_all(engine)
    return engine


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
        if self._closed:
            return fail(RecordsClosedError())
        done = batch.commit(self._connection, [change], lock_timeout=0.0)
        self.meter.add(1, 0.0)
        self._subscribers.notify(done.events)
        (result,) = done.results
        return fail(result) if isinstance(result, Failure) else succeed(cast(T, result))

    def note(self, change: Callable[[Connection], T]) -> Deferred[T]:
        return self.write(change)

    def read(self, query: Callable[[Connection], T]) -> Deferred[T]:
        if self._closed:
            return fail(RecordsClosedError())
        try:
            return execute(query, self._connection)
        finally:
            self._connection.rollback()

    def on_commit(self, callback: OnCommit) -> Callable[[], None]:
        return self._subscribers.add(callback)

    def close(self) -> Deferred[None]:
        if not self._closed:
            self._closed = True
            self._connection.close()
            self._engine.dispose()
        return succeed(None)
