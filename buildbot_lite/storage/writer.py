"""
The thread that changes the farm's database, and the threads that read it.

::

    reactor            writer's thread                           disk
    write(a)
    end of turn ---->  BEGIN a COMMIT ------------------------>  (fsync)
    write(b), write(c), write(d)    ...wait meanwhile...
    <--- events, then a's Deferred
                       BEGIN b c d COMMIT -------------------->  (fsync)
    <--- events of b c d, then their Deferreds

Group commit: the changes of one turn of the reactor are handed over together, and all that arrive during one
transaction form the next one.  A single change waits only for the end of its turn; under load one fsync serves
hundreds.  A change has no visible effect before it is on the disk: after the commit, first the subscribers receive its
events, then its Deferred fires.

Rejected: handing over each change at once.  The first one would wake the thread, and the others of the turn would be
too late for its transaction.

Changes are made in the order of the calls, or not at all: when a transaction fails as a whole (for example because the
disk is full), all changes fail that were requested before the failure was known.  So no change is ever on the disk
without the changes before it.

The threads are not those of the reactor's pool, because each keeps its connection, and because order matters.
"""

import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from attrs import define, evolve
from sqlalchemy import Connection, Engine
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from ..deferreds import OneShot
from ..errors import RecordsClosedError, RecordsFailingError
from .batch import BatchResult, Change, commit
from .batch_meter import BatchMeter
from .roles import NOTED_WITHIN, ReactorThread
from .subscribers import OnCommit, Subscribers
from .thread_connection import ThreadConnection

T = TypeVar("T")

LARGEST_BATCH = 1000
"""Changes in one transaction."""
MOST_WAITING = 100_000
"""Changes and queries that may wait."""
LOCK_TIMEOUT = 60.0
"""Seconds of waiting for another process that has the database locked."""


@define(eq=False)
class _PendingCall:
    """
    A requested change or query.  *known_failures*: how many failed batches the caller could know of.
    """

    work: Change
    done: Deferred[Any]
    known_failures: int


_Queue = SimpleQueue[_PendingCall | None]


class Writer:
    """
    The role `Records` for the database of *engine*, for callers in *reactor*'s thread.

    *readers*: number of reading threads.  *lock_timeout*: seconds of waiting for another process that has the database
    locked.  *most_waiting*: changes and queries that may wait; more fail with a `RecordsFailingError`.
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
        self._collected: list[_PendingCall] = []
        # The scheduled calls that hand over the collected changes, by their delay in seconds.
        self._timers: dict[float, IDelayedCall] = {}
        self._closing = False
        self._closed: OneShot[None] = OneShot()
        self._subscribers = Subscribers()
        self._meter = BatchMeter()
        self._changes: _Queue = SimpleQueue()
        self._queries: _Queue = SimpleQueue()
        self._running = 1 + readers
        for name, body in [("writer", self._write_all)] + [("reader", self._read_all)] * readers:
            # Daemon threads: the process may exit without them, because uncommitted changes were not acknowledged.
            Thread(target=self._run, args=(body,), name=f"records {name}", daemon=True).start()
        self._readers = readers

    def write(self, change: Callable[[Connection], T]) -> Deferred[T]:
        self._hand_over_within(0.0)
        return self._enqueue(self._collected.append, change)

    def note(self, change: Callable[[Connection], T]) -> Deferred[T]:
        self._hand_over_within(NOTED_WITHIN)
        return self._enqueue(self._collected.append, change)

    def read(self, query: Callable[[Connection], T]) -> Deferred[T]:
        return self._enqueue(self._queries.put, query)

    @property
    def meter(self) -> BatchMeter:
        return self._meter

    def on_commit(self, callback: OnCommit) -> Callable[[], None]:
        return self._subscribers.add(callback)

    def close(self) -> Deferred[None]:
        """
        As `Records.close`.  May be called again; both Deferreds fire at the end.
        """
        if not self._closing:
            self._hand_over()
            self._closing = True
            self._changes.put(None)
            for _ in range(self._readers):
                self._queries.put(None)
        return self._closed.wait()

    # In the reactor's thread.

    def _enqueue(self, enqueue: Callable[[_PendingCall], object], work: Callable[[Connection], T]) -> Deferred[T]:
        if self._closing:
            return fail(RecordsClosedError())
        if self._waiting >= self._most_waiting:
            return fail(
                RecordsFailingError(f"{self._waiting} changes already wait for the farm's database.  Is its disk slow?")
            )
        self._waiting += 1
        done: Deferred[T] = Deferred()
        enqueue(_PendingCall(work, done, self._known_failures))
        return done

    def _hand_over_within(self, seconds: float) -> None:
        if seconds not in self._timers and not self._closing:
            self._timers[seconds] = self._reactor.callLater(seconds, self._hand_over)

    def _hand_over(self) -> None:
        """
        Hand all that is collected to the writer's thread together.
        """
        for timer in self._timers.values():
            if timer.active():
                timer.cancel()
        self._timers.clear()
        for call in self._collected:
            self._changes.put(call)
        self._collected.clear()

    def _finish(self, calls: Sequence[_PendingCall], batch: BatchResult) -> None:
        self._waiting -= len(calls)
        self._known_failures = max(self._known_failures, batch.failures)
        self._subscribers.notify(batch.events)
        for each, result in zip(calls, batch.results, strict=True):
            if isinstance(result, Failure):
                each.done.errback(result)
            else:
                each.done.callback(result)

    def _committed(self, calls: Sequence[_PendingCall], batch: BatchResult, seconds: float) -> None:
        self._meter.add(len(calls), seconds)
        self._finish(calls, batch)

    def _ended(self) -> None:
        self._running -= 1
        if not self._running:
            self._engine.dispose()
            self._closed.fire(None)

    # In the writer's threads.

    def _run(self, body: Callable[[], None]) -> None:
        try:
            body()
        finally:
            self._reactor.callFromThread(self._ended)

    def _write_all(self) -> None:
        database = ThreadConnection(self._engine)
        failed = BatchResult(())
        while calls := _next_batch(self._changes):
            late = [each for each in calls if each.known_failures < failed.failures]
            if late:
                self._reactor.callFromThread(self._finish, late, evolve(failed, results=failed.results[:1] * len(late)))
            if work := [each.work for each in calls[len(late) :]]:
                begun = time.monotonic()
                batch = database.use(
                    lambda connection: commit(connection, work, lock_timeout=self._lock_timeout), len(work)
                )
                if batch.failures:
                    failed = batch = evolve(batch, failures=failed.failures + 1)
                self._reactor.callFromThread(self._committed, calls[len(late) :], batch, time.monotonic() - begun)
        database.close()

    def _read_all(self) -> None:
        database = ThreadConnection(self._engine, reading=True)
        while call := self._queries.get():
            batch = database.query(call.work)
            self._reactor.callFromThread(self._finish, [call], batch)
        database.close()


def _next_batch(queue: _Queue) -> list[_PendingCall]:
    """
    Wait for a call, then take all waiting calls, up to `LARGEST_BATCH`.  Empty: the writer is closed.
    """
    batch: list[_PendingCall] = []
    call = queue.get()
    while call is not None:
        batch.append(call)
        if len(batch) == LARGEST_BATCH:
            break
        try:
            call = queue.get_nowait()
        except Empty:
            break
    else:
        if batch:
            # The queue's end was reached: return this batch first.
            queue.put(None)
    return batch
