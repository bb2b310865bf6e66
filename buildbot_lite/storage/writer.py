"""
The one thread that changes the farm's database, and the few that read it.

::

    reactor            writer's thread                           disk
    write(a) ------->  BEGIN a COMMIT ------------------------>  (fsync)
    write(b), write(c), write(d)    ...wait meanwhile...
    <--- events, then a's Deferred
                       BEGIN b c d COMMIT -------------------->  (fsync)
    <--- events of b c d, then their Deferreds

Group commit: whatever was asked for while one transaction went to the disk is the next one.  Alone a change waits
for nobody; under load one fsync serves hundreds.  Nothing is heard of a change before it is on the disk: its Deferred
fires, and the events that it published are told, after the commit, events first.

Changes happen in the order in which they were asked for, or not at all: when a transaction fails as a whole (the disk
is full, or fails), whatever was asked for before anybody could know of that fails with it, so that nothing is ever on
the disk without what was asked for before it.

Threads of our own rather than the reactor's pool, because each keeps its connection, and because order matters.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Protocol, TypeVar, runtime_checkable

from attrs import evolve, frozen
from sqlalchemy import Connection, Engine
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..deferreds import OneShot
from ..errors import RecordsClosedError, RecordsFailingError
from .batch import (
    BatchResult,
    Change,
    as_failing,
    commit,
    translated,
)
from .database import READING, only_read
from .records.feed import Event

T = TypeVar("T")
OnCommit = Callable[[Sequence[Event]], object]

NOTED_WITHIN = 0.02
LARGEST_BATCH = 1000
MOST_WAITING = 100_000
LOCK_TIMEOUT = 60.0


class ReactorThread(Protocol):
    """
    As much of a reactor as is needed: a part of ``IReactorFromThreads``, and a part of ``IReactorTime``.
    """

    def callFromThread(self, work: Callable[..., object], /, *args: Any) -> object:  # noqa: N802 - Twisted's name
        """
        Call it in the reactor's thread.
        """

    def callLater(self, delay: float, work: Callable[..., object], /) -> IDelayedCall:  # noqa: N802 - Twisted's name
        """
        Call it *delay* seconds from now.
        """


@runtime_checkable
class Records(Protocol):
    """
    The farm's memory.  `Writer` is the real one; `buildbot_lite.storage.inline.InlineWriter` does without threads.
    """

    def write(self, change: Callable[[Connection], T]) -> Deferred[T]:
        """
        Call *change* in a transaction; fires with what it returned, after the commit.

        If it raises, nothing that it did remains, and the Deferred fails with that; other changes are not touched.
        `RecordsFailingError` when the database cannot be used now: nothing was done, and the same may be asked again.
        `RecordsClosedError` after `close`.
        *change* runs in another thread: it may use the connection and its own arguments, nothing else.
        """

    def note(self, change: Callable[[Connection], T]) -> Deferred[T]:
        """
        The same for what nobody waits for: in the transaction of the next `write`, or within `NOTED_WITHIN` seconds.

        It keeps its place: after every change that was asked for before it, before every one that is asked for after.
        """

    def read(self, query: Callable[[Connection], T]) -> Deferred[T]:
        """
        Call *query* on one consistent state of the records, which includes everything committed so far.
        """

    def on_commit(self, callback: OnCommit) -> Callable[[], None]:
        """
        After each commit that published events, call *callback* with them, in order.  Answers how to stop that.
        """

    def close(self) -> Deferred[None]:
        """
        Finish what was asked for, then close the database.
        """


class Subscribers:
    """
    Those who follow what is committed.
    """

    _log = Logger()

    def __init__(self) -> None:
        self._callbacks: list[OnCommit] = []

    def add(self, callback: OnCommit) -> Callable[[], None]:
        """
        Tell *callback* from now on; answers how to stop that.
        """
        self._callbacks.append(callback)

        def remove() -> None:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

        return remove

    def notify(self, events: Sequence[Event]) -> None:
        """
        These are committed.  A subscriber that raises hurts nobody else.
        """
        if not events:
            return
        for callback in tuple(self._callbacks):
            try:
                callback(events)
            except Exception:  # noqa: BLE001 - somebody else's mistake
                self._log.failure("A follower of the feed failed")


@frozen
class _PendingCall:
    """
    *heard*: how many failed batches the asker knew of.
    """

    work: Change
    done: Deferred[Any]
    known_failures: int


_Queue = SimpleQueue[_PendingCall | None]


class Writer:
    """
    The records in *engine*'s database, from *reactor*'s point of view.

    *readers*: threads that read.  *patience*: seconds to wait for another process that has the database locked.
    *most_waiting*: changes and queries that may wait; more are refused with a `RecordsFailingError`.
    """

    def __init__(
        self,
        engine: Engine,
        reactor: ReactorThread,
        *,
        readers: int = 2,
        lock_timeout: float = LOCK_TIMEOUT,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        self._engine = engine
        self._reactor = reactor
        self._lock_timeout = lock_timeout
        self._most_waiting = most_waiting
        self._waiting = 0
        self._known_failures = 0
        self._notes: list[_PendingCall] = []
        self._notes_timer: IDelayedCall | None = None
        self._closing = False
        self._closed: OneShot[None] = OneShot()
        self._subscribers = Subscribers()
        self._changes: _Queue = SimpleQueue()
        self._queries: _Queue = SimpleQueue()
        self._running = 1 + readers
        for name, body in [("writer", self._write_all)] + [("reader", self._read_all)] * readers:
            # Daemons: what is not committed when the process is told to go was not promised to anybody.
            Thread(target=self._run, args=(body,), name=f"records {name}", daemon=True).start()
        self._readers = readers

    def write(self, change: Callable[[Connection], T]) -> Deferred[T]:
        """
        See `Records`.
        """
        self._hand_over_notes()
        return self._enqueue(self._changes.put, change)

    def note(self, change: Callable[[Connection], T]) -> Deferred[T]:
        """
        See `Records`.
        """
        if self._notes_timer is None and not self._closing:
            self._notes_timer = self._reactor.callLater(NOTED_WITHIN, self._hand_over_notes)
        return self._enqueue(self._notes.append, change)

    def read(self, query: Callable[[Connection], T]) -> Deferred[T]:
        """
        See `Records`.
        """
        return self._enqueue(self._queries.put, query)

    def on_commit(self, callback: OnCommit) -> Callable[[], None]:
        """
        See `Records`.
        """
        return self._subscribers.add(callback)

    def close(self) -> Deferred[None]:
        """
        See `Records`.  A second call waits for the same end.
        """
        if not self._closing:
            self._hand_over_notes()
            self._closing = True
            self._changes.put(None)
            for _ in range(self._readers):
                self._queries.put(None)
        return self._closed.wait()

    # In the reactor's thread.

    def _enqueue(self, put: Callable[[_PendingCall], object], work: Callable[[Connection], T]) -> Deferred[T]:
        if self._closing:
            return fail(RecordsClosedError())
        if self._waiting >= self._most_waiting:
            return fail(
                RecordsFailingError(f"{self._waiting} changes already wait for the farm's database.  Is its disk slow?")
            )
        self._waiting += 1
        done: Deferred[T] = Deferred()
        put(_PendingCall(work, done, self._known_failures))
        return done

    def _hand_over_notes(self) -> None:
        if self._notes_timer is not None:
            if self._notes_timer.active():
                self._notes_timer.cancel()
            self._notes_timer = None
            for note in self._notes:
                self._changes.put(note)
            self._notes.clear()

    def _finish(self, asked: Sequence[_PendingCall], batch: BatchResult) -> None:
        self._waiting -= len(asked)
        self._known_failures = max(self._known_failures, batch.failures)
        self._subscribers.notify(batch.events)
        for each, result in zip(asked, batch.results, strict=True):
            if isinstance(result, Failure):
                each.done.errback(result)
            else:
                each.done.callback(result)

    def _ended(self) -> None:
        self._running -= 1
        if not self._running:
            self._engine.dispose()
            self._closed.fire(None)

    # In threads of our own.

    def _run(self, body: Callable[[], None]) -> None:
        try:
            body()
        finally:
            self._reactor.callFromThread(self._ended)

    def _write_all(self) -> None:
        line = _ThreadConnection(self._engine)
        failed = BatchResult(())
        while asked := _next_batch(self._changes):
            late = [each for each in asked if each.known_failures < failed.failures]
            if late:
                self._reactor.callFromThread(self._finish, late, evolve(failed, results=failed.results[:1] * len(late)))
            if work := [each.work for each in asked[len(late) :]]:
                batch = line.use(
                    lambda connection: commit(connection, work, lock_timeout=self._lock_timeout), len(work)
                )
                if batch.failures:
                    failed = batch = evolve(batch, failures=failed.failures + 1)
                self._reactor.callFromThread(self._finish, asked[len(late) :], batch)
        line.close()

    def _read_all(self) -> None:
        line = _ThreadConnection(self._engine, reading=True)
        while asked := self._queries.get():
            batch = line.use(lambda connection: _query(connection, asked.work))
            self._reactor.callFromThread(self._finish, [asked], batch)
        line.close()


class _ThreadConnection:
    """
    A thread's connection, opened when it is first needed, and opened again after it failed.
    """

    def __init__(self, engine: Engine, *, reading: bool = False) -> None:
        self._engine = engine
        self._reading = reading
        self._connection: Connection | None = None

    def use(self, work: Callable[[Connection], BatchResult], size: int = 1) -> BatchResult:
        """
        ``work(connection)``, or *size* failures when there is no connection to be had.
        """
        try:
            if self._connection is None or self._connection.invalidated:
                self._connection = self._open()
            batch = work(self._connection)
        except Exception as error:  # noqa: BLE001 - it is the result of everything that was asked
            batch = BatchResult((Failure(as_failing(error)),) * size, failures=1)
        if any(isinstance(each, Failure) and each.check(RecordsFailingError) for each in batch.results):
            # One that was opened while the file was read-only, or not there, would not notice that it is better now.
            self.close()
        return batch

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):  # it is of no more use either way
                connection.close()

    def _open(self) -> Connection:
        connection = self._engine.connect()
        if self._reading:
            connection = connection.execution_options(**READING)
            only_read(connection)
        return connection


def _next_batch(queue: _Queue) -> list[_PendingCall]:
    """
    Wait for something to do, then take all that is there.  Empty: it is over.
    """
    batch: list[_PendingCall] = []
    asked = queue.get()
    while asked is not None:
        batch.append(asked)
        if len(batch) == LARGEST_BATCH:
            break
        try:
            asked = queue.get_nowait()
        except Empty:
            break
    else:
        if batch:
            # The end was in sight: it comes after this batch.
            queue.put(None)
    return batch


def _query(connection: Connection, query: Change) -> BatchResult:
    try:
        connection.begin()
        return BatchResult((query(connection),))
    except Exception as error:  # noqa: BLE001 - it is the query's result
        return BatchResult((_failure(error),))
    finally:
        connection.rollback()


def _failure(error: Exception) -> Failure:
    ours = translated(error)
    return Failure() if ours is error else Failure(ours)
