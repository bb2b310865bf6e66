"""
Records that wait for room.

A full disk is an accident that an admin mends, and so is another program that has the database locked; builds should
not notice.  While the database cannot be written, changes are kept here, in order, and tried again every few seconds.
Everything else that can go wrong goes to whoever asked.
"""

from bisect import insort
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Any, TypeVar

from attrs import frozen
from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..errors import DatabaseLockedError, DiskFullError
from ..storage.writer import OnCommit, Records

T = TypeVar("T")

BETWEEN_TRIES = 5.0
OBSTACLES = (DiskFullError, DatabaseLockedError)


@frozen
class _Stuck:
    number: int
    how: Callable[[Callable[[Connection], Any]], Deferred[Any]]
    change: Callable[[Connection], Any]
    done: Deferred[Any]


class PatientRecords:
    """
    The same records, but a change that cannot be written for now waits until it can.
    """

    _log = Logger()

    def __init__(self, records: Records, clock: IReactorTime) -> None:
        self._records = records
        self._clock = clock
        self._stuck: deque[_Stuck] = deque()
        self._numbers = count()
        self.obstacle: BaseException | None = None
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
        See `Records`.
        """
        return self._records.read(query)

    def on_commit(self, callback: OnCommit) -> Callable[[], None]:
        """
        See `Records`.
        """
        return self._records.on_commit(callback)

    def close(self) -> Deferred[None]:
        """
        See `Records`.  What waits is given up: it was never promised.
        """
        self._stuck.clear()
        return self._records.close()

    def _keep_order(
        self, how: Callable[[Callable[[Connection], T]], Deferred[T]], change: Callable[[Connection], T]
    ) -> Deferred[T]:
        stuck = _Stuck(next(self._numbers), how, change, Deferred())
        if self._stuck:
            self._stuck.append(stuck)
        else:
            self._try(stuck)
        return stuck.done

    def _try(self, stuck: _Stuck) -> None:
        def failed(failure: Failure) -> None:
            if not isinstance(failure.value, OBSTACLES):
                stuck.done.errback(failure)
                return
            if not self._stuck:
                self._stop_for(failure)
            # Others that were asked for later may wait already.
            insort(self._stuck, stuck, key=lambda each: each.number)

        stuck.how(stuck.change).addCallbacks(stuck.done.callback, failed)  # type: ignore[unused-awaitable]  # both ends are given

    def _stop_for(self, failure: Failure) -> None:
        self.obstacle = failure.value
        self._log.error("{why}  Builds wait until then.", why=str(failure.value))
        self._clock.callLater(BETWEEN_TRIES, self._again)

    def _again(self) -> None:
        """
        Try the first that waits, and then the next: what is asked for meanwhile gets in behind them.
        """

        def done(result: Any) -> None:
            if not self._stuck:
                return  # closed meanwhile
            first = self._stuck.popleft()
            self._go_on()
            if isinstance(result, Failure):
                first.done.errback(result)
            else:
                first.done.callback(result)

        def failed(failure: Failure) -> None:
            if isinstance(failure.value, OBSTACLES):
                self._clock.callLater(BETWEEN_TRIES, self._again)
            else:
                done(failure)

        if self._stuck:
            self._stuck[0].how(self._stuck[0].change).addCallbacks(done, failed)  # type: ignore[unused-awaitable]  # both ends are given

    def _go_on(self) -> None:
        if self._stuck:
            self._again()
        else:
            self.obstacle = None
