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
from ..model.token_bucket import Allowance
from .writer import OnCommit, Records

T = TypeVar("T")

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
"""Seconds between two attempts at a database that fails: the first, doubled each time, and the longest."""
SAY_EVERY = 60.0
"""Seconds between two lines of the log about a database that fails."""
MOST_WAITING = 100_000
"""Changes that may wait; more are refused."""


@frozen
class _Stuck:
    number: int
    how: Callable[[Callable[[Connection], Any]], Deferred[Any]]
    change: Callable[[Connection], Any]
    done: Deferred[Any]


class PatientRecords:
    """
    The same records, but a change that cannot be written for now waits until it can.

    *changed*: called when the database begins to fail, and when it works again.
    """

    _log = Logger()

    def __init__(self, records: Records, clock: IReactorTime, changed: Callable[[], None] = lambda: None) -> None:
        self._records = records
        self._clock = clock
        self._changed = changed
        self._stuck: deque[_Stuck] = deque()
        self._numbers = count()
        self._going: Deferred[None] = succeed(None)
        self._troubles, self._recoveries = (Allowance(clock.seconds, 1.0, 1 / SAY_EVERY) for _ in range(2))
        self.obstacle: RecordsFailingError | None = None
        """What changes wait for; None when none does."""

    @property
    def waiting(self) -> int:
        """
        How many changes wait.
        """
        return len(self._stuck)

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
        See `Records`.  `RecordsFailingError` at once when the database cannot be read: see `read_patiently`.
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
        self._going.cancel()
        stuck, self._stuck = self._stuck, deque()
        for each in stuck:
            each.done.errback(RecordsClosedError())
        return self._records.close()

    def _keep_order(
        self, how: Callable[[Callable[[Connection], T]], Deferred[T]], change: Callable[[Connection], T]
    ) -> Deferred[T]:
        stuck = _Stuck(next(self._numbers), how, change, Deferred())
        if len(self._stuck) >= MOST_WAITING:
            stuck.done.errback(RecordsFailingError(f"{len(self._stuck)} changes wait already.  {self.obstacle}"))
        elif self._stuck:
            self._stuck.append(stuck)
        else:
            self._try(stuck)
        return stuck.done

    def _try(self, stuck: _Stuck) -> None:
        def failed(failure: Failure) -> None:
            if not isinstance(failure.value, RecordsFailingError):
                stuck.done.errback(failure)
                return
            # Others that were asked for later may wait already.
            insort(self._stuck, stuck, key=lambda each: each.number)
            if self.obstacle is None:
                self._stop_for(failure.value)
                self._going = Deferred.fromCoroutine(self._go_on())
                ended = self._going.addErrback(lambda failure: failure.trap(CancelledError))
                background(ended, self._log, "writing what waits for the database")

        stuck.how(stuck.change).addCallbacks(stuck.done.callback, failed)  # type: ignore[unused-awaitable]  # both ends are given

    def _stop_for(self, error: RecordsFailingError) -> None:
        began, self.obstacle = self.obstacle is None, error
        if self._troubles.take():
            self._log.error("{why}  Builds wait until then ({count} changes).", why=str(error), count=len(self._stuck))
        if began:
            self._changed()

    async def _go_on(self) -> None:
        pause = FIRST_PAUSE
        while self._stuck:
            await deferLater(self._clock, pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            if await self._first_is_written():
                # What is asked for meanwhile gets in behind them.
                while self._stuck:
                    first = self._stuck.popleft()
                    self._try(first)
                    if self._stuck and self._stuck[0] is first:
                        break  # it was refused at once, because too much waits: the others get their turn meanwhile
        self.obstacle = None
        if self._recoveries.take():
            self._log.info("the farm's database works again")
        self._changed()

    async def _first_is_written(self) -> bool:
        """
        Try the first that waits.  False: the database still fails.
        """
        first = self._stuck[0]
        try:
            result = await first.how(first.change)
        except RecordsFailingError as error:
            self._stop_for(error)
            return False
        except Exception:  # noqa: BLE001 - it is the result of that change
            self._stuck.popleft()
            first.done.errback()
        else:
            self._stuck.popleft()
            first.done.callback(result)
        return True


async def read_patiently(records: Records, query: Callable[[Connection], T], clock: IReactorTime) -> T:
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
