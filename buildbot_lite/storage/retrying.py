"""
Records that retry changes until the database works.

::

    write ──► committed
      │ RecordsFailingError
      ▼
    waiting ──► the first is tried again after 1, 2, 4 … 30 s ──► it is committed: all others follow, in order
                   ▲                                  │
                   └────────── it fails again ────────┘

A full or failing disk, a file system that became read-only, and another program that has locked the database are
conditions that an admin repairs; builds should not fail because of them.  While the database cannot be used, changes
wait here, in order.  All other errors go to the caller.
"""

from bisect import insort
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Any, TypeVar

from attrs import define
from sqlalchemy import Connection
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..deferreds import background
from ..errors import RecordsClosedError, RecordsFailingError
from ..model.token_bucket import once_every
from .batch_meter import BatchMeter
from .roles import Records
from .subscribers import OnCommit

T = TypeVar("T")

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
"""Seconds between two attempts at a failing database: the first pause, doubled each time, up to the longest."""
LOG_INTERVAL = 60.0
"""Seconds between two log lines about a failing database."""
MOST_WAITING = 100_000
"""Changes that may wait; more fail with a `RecordsFailingError`."""


@define(eq=False)
class _PendingChange:
    number: int
    how: Callable[[Callable[[Connection], Any]], Deferred[Any]]
    change: Callable[[Connection], Any]
    done: Deferred[Any]


class RetryingRecords:
    """
    The role `Records` around *records*: changes wait while the database fails.

    *changed* is called when the database begins to fail, and when it works again.
    """

    _log = Logger()

    def __init__(self, records: Records, clock: IReactorTime, changed: Callable[[], None] = lambda: None) -> None:
        self._records = records
        self._clock = clock
        self._changed = changed
        self._pending: deque[_PendingChange] = deque()
        self._numbers = count()
        self._retrying: Deferred[None] = succeed(None)
        self._failure_lines, self._recovery_lines = (once_every(LOG_INTERVAL, clock.seconds) for _ in range(2))
        self.obstacle: RecordsFailingError | None = None
        """Why changes wait; None when none waits."""

    @property
    def waiting(self) -> int:
        """
        The number of waiting changes.
        """
        return len(self._pending)

    def write(self, change: Callable[[Connection], T]) -> Deferred[T]:
        """
        As `Records.write`.  While a change waits, all later ones wait behind it, to keep their order.
        """
        return self._keep_order(self._records.write, change)

    def note(self, change: Callable[[Connection], T]) -> Deferred[T]:
        """
        As `Records.note`, in order with waiting changes.
        """
        return self._keep_order(self._records.note, change)

    def read(self, query: Callable[[Connection], T]) -> Deferred[T]:
        """
        As `Records.read`: `RecordsFailingError` at once when the database cannot be read; `read_retrying` waits.
        """
        return self._records.read(query)

    @property
    def meter(self) -> BatchMeter:
        return self._records.meter

    def on_commit(self, callback: OnCommit) -> Callable[[], None]:
        return self._records.on_commit(callback)

    def close(self) -> Deferred[None]:
        """
        As `Records.close`.  Waiting changes fail with a `RecordsClosedError`.
        """
        self._retrying.cancel()
        pending, self._pending = self._pending, deque()
        for each in pending:
            each.done.errback(RecordsClosedError())
        return self._records.close()

    def _keep_order(
        self, run: Callable[[Callable[[Connection], T]], Deferred[T]], change: Callable[[Connection], T]
    ) -> Deferred[T]:
        if len(self._pending) >= MOST_WAITING:
            return fail(RecordsFailingError(f"{len(self._pending)} changes wait already.  {self.obstacle}"))
        number = next(self._numbers)
        if not self._pending:
            return run(change).addErrback(self._postponed, number, run, change)
        pending = _PendingChange(number, run, change, Deferred())
        self._pending.append(pending)
        return pending.done

    def _postponed(
        self, failure: Failure, number: int, run: Callable[..., Deferred[T]], change: Callable[[Connection], T]
    ) -> Deferred[T]:
        """
        The result of a change that failed with *failure*: it waits if the database is to blame.
        """
        pending = _PendingChange(number, run, change, Deferred())
        self._failed(failure, pending)
        return pending.done

    def _try(self, pending: _PendingChange) -> None:
        pending.how(pending.change).addCallbacks(pending.done.callback, self._failed, errbackArgs=(pending,))  # type: ignore[unused-awaitable]  # both ends are given

    def _failed(self, failure: Failure, pending: _PendingChange) -> None:
        if not isinstance(failure.value, RecordsFailingError):
            pending.done.errback(failure)
            return
        # Later changes may wait already.
        insort(self._pending, pending, key=lambda each: each.number)
        if self.obstacle is None:
            self._record_failure(failure.value)
            self._retrying = Deferred.fromCoroutine(self._retry_all())
            ended = self._retrying.addErrback(lambda failure: failure.trap(CancelledError))
            background(ended, self._log, "writing the changes that waited for the database")

    def _record_failure(self, error: RecordsFailingError) -> None:
        began, self.obstacle = self.obstacle is None, error
        if self._failure_lines.take():
            self._log.error(
                "{why}  Builds wait until then ({count} changes).", why=str(error), count=len(self._pending)
            )
        if began:
            self._changed()

    async def _retry_all(self) -> None:
        pause = FIRST_PAUSE
        while self._pending:
            await deferLater(self._clock, pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            if await self._retry_first():
                # Changes that arrive meanwhile are appended.
                while self._pending:
                    first = self._pending.popleft()
                    self._try(first)
                    if self._pending and self._pending[0] is first:
                        break  # refused at once, because too many changes wait: give the others their turn
        self.obstacle = None
        if self._recovery_lines.take():
            self._log.info("the farm's database works again")
        self._changed()

    async def _retry_first(self) -> bool:
        """
        Try the first waiting change.  False: the database still fails.
        """
        first = self._pending[0]
        try:
            result = await first.how(first.change)
        except RecordsFailingError as error:
            self._record_failure(error)
            return False
        except Exception:  # noqa: BLE001 - the result of that change
            self._pending.popleft()
            first.done.errback()
        else:
            self._pending.popleft()
            first.done.callback(result)
        return True


async def read_retrying(records: Records, query: Callable[[Connection], T], clock: IReactorTime) -> T:
    """
    The result of *query*, retried while the database fails.  For builds; requests of people fail at once instead.
    """
    pause = FIRST_PAUSE
    while True:
        try:
            return await records.read(query)
        except RecordsFailingError:
            await deferLater(clock, pause)
            pause = min(2 * pause, LONGEST_PAUSE)
