"""
Records that wait until the database works.

::

    write ──► committed
      │ RecordsFailingError
      ▼
    waiting ──► the first is tried again after 1, 2, 4 … 30 s ──► it is committed: all others follow, in order
                   ▲                                  │
                   └────────── it fails again ────────┘

A full disk, a disk that fails, a file system that became read-only and another program that has the database locked
are accidents that an admin mends, and builds should not notice.  While the database cannot be used, changes are kept
here, in order.  Everything else that can go wrong goes to whoever asked.
"""

from bisect import insort
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Any, TypeVar

from attrs import frozen
from sqlalchemy import Connection
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..deferreds import background
from ..errors import RecordsClosedError, RecordsFailingError
from ..model.token_bucket import once_every
from .writer import OnCommit, Records

T = TypeVar("T")

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
"""Seconds between two attempts at a database that fails: the first, doubled each time, and the longest."""
LOG_INTERVAL = 60.0
"""Seconds between two lines of the log about a database that fails."""
MOST_WAITING = 100_000
"""Changes that may wait; more are refused."""


@frozen
class _PendingChange:
    number: int
    how: Callable[[Callable[[Connection], Any]], Deferred[Any]]
    change: Callable[[Connection], Any]
    done: Deferred[Any]


class RetryingRecords:
    """
    The same records, but a change that cannot be written for now waits until it can.

    *changed*: called when the database begins to fail, and when it works again.
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
        """What changes wait for; None when none does."""

    @property
    def waiting(self) -> int:
        """
        How many changes wait.
        """
        return len(self._pending)

    def write(self, change: Callable[[Connection], T]) -> Deferred[T]:
        """
        See `Records`.  Behind a change that waits, every later one waits too: they keep their order.
        """
        return self._keep_order(self._records.write, change)

    def note(self, change: Callable[[Connection], T]) -> Deferred[T]:
        """
        See `Records`.
        """
        return self._keep_order(self._records.note, change)

    def read(self, query: Callable[[Connection], T]) -> Deferred[T]:
        """
        See `Records`.  `RecordsFailingError` at once when the database cannot be read: see `read_retrying`.
        """
        return self._records.read(query)

    def on_commit(self, callback: OnCommit) -> Callable[[], None]:
        """
        See `Records`.
        """
        return self._records.on_commit(callback)

    def close(self) -> Deferred[None]:
        """
        See `Records`.  What waits is given up, with a `RecordsClosedError`: it was never promised.
        """
        self._retrying.cancel()
        pending, self._pending = self._pending, deque()
        for each in pending:
            each.done.errback(RecordsClosedError())
        return self._records.close()

    def _keep_order(
        self, how: Callable[[Callable[[Connection], T]], Deferred[T]], change: Callable[[Connection], T]
    ) -> Deferred[T]:
        pending = _PendingChange(next(self._numbers), how, change, Deferred())
        if len(self._pending) >= MOST_WAITING:
            pending.done.errback(RecordsFailingError(f"{len(self._pending)} changes wait already.  {self.obstacle}"))
        elif self._pending:
            self._pending.append(pending)
        else:
            self._try(pending)
        return pending.done

    def _try(self, pending: _PendingChange) -> None:
        def failed(failure: Failure) -> None:
            if not isinstance(failure.value, RecordsFailingError):
                pending.done.errback(failure)
                return
            # Others that were asked for later may wait already.
            insort(self._pending, pending, key=lambda each: each.number)
            if self.obstacle is None:
                self._record_failure(failure.value)
                self._retrying = Deferred.fromCoroutine(self._retry_all())
                ended = self._retrying.addErrback(lambda failure: failure.trap(CancelledError))
                background(ended, self._log, "writing what waits for the database")

        pending.how(pending.change).addCallbacks(pending.done.callback, failed)  # type: ignore[unused-awaitable]  # both ends are given

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
                # What is asked for meanwhile gets in behind them.
                while self._pending:
                    first = self._pending.popleft()
                    self._try(first)
                    if self._pending and self._pending[0] is first:
                        break  # it was refused at once, because too much waits: the others get their turn meanwhile
        self.obstacle = None
        if self._recovery_lines.take():
            self._log.info("the farm's database works again")
        self._changed()

    async def _retry_first(self) -> bool:
        """
        Try the first that waits.  False: the database still fails.
        """
        first = self._pending[0]
        try:
            result = await first.how(first.change)
        except RecordsFailingError as error:
            self._record_failure(error)
            return False
        except Exception:  # noqa: BLE001 - it is the result of that change
            self._pending.popleft()
            first.done.errback()
        else:
            self._pending.popleft()
            first.done.callback(result)
        return True


async def read_retrying(records: Records, query: Callable[[Connection], T], clock: IReactorTime) -> T:
    """
    What *query* finds, however long the database fails before.  For builds; people are told instead.
    """
    pause = FIRST_PAUSE
    while True:
        try:
            return await records.read(query)
        except RecordsFailingError:
            await deferLater(clock, pause)
            pause = min(2 * pause, LONGEST_PAUSE)
