"""
Records that wait for room.

A full disk is an accident that an admin mends; builds should not notice.  While the database cannot grow, changes are
kept here, in order, and tried again every few seconds.  Everything else that can go wrong goes to whoever asked.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from attrs import frozen
from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..errors import DiskFullError
from ..storage.writer import OnCommit, Records

T = TypeVar("T")

BETWEEN_TRIES = 5.0


@frozen
class _Stuck:
    how: Callable[[Callable[[Connection], Any]], Deferred[Any]]
    change: Callable[[Connection], Any]
    done: Deferred[Any]


class PatientRecords:
    """
    The same records, but a change for which there is no room waits until there is.
    """

    _log = Logger()

    def __init__(self, records: Records, clock: IReactorTime) -> None:
        self._records = records
        self._clock = clock
        self._stuck: deque[_Stuck] = deque()

    @property
    def waiting(self) -> int:
        """
        How many changes wait for room.
        """
        return len(self._stuck)

    def write(self, change: Callable[[Connection], T]) -> Deferred[T]:
        """
        See `Records`.  Behind a change that waits, every later one waits too: they keep their order.
        """
        return self._keep_order(_Stuck(self._records.write, change, Deferred()))

    def note(self, change: Callable[[Connection], T]) -> Deferred[T]:
        """
        See `Records`.
        """
        return self._keep_order(_Stuck(self._records.note, change, Deferred()))

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

    def _keep_order(self, stuck: _Stuck) -> Deferred[Any]:
        if self._stuck:
            self._stuck.append(stuck)
        else:
            self._try(stuck)
        return stuck.done

    def _try(self, stuck: _Stuck) -> None:
        def failed(failure: Failure) -> None:
            if failure.check(DiskFullError) is None:
                stuck.done.errback(failure)
                return
            if not self._stuck:
                self._log.error("The disk with the farm's database is full; builds wait until there is room.")
                self._clock.callLater(BETWEEN_TRIES, self._again)
            self._stuck.append(stuck)

        stuck.how(stuck.change).addCallbacks(stuck.done.callback, failed)  # type: ignore[unused-awaitable]  # both ends are given

    def _again(self) -> None:
        stuck, self._stuck = self._stuck, deque()
        for each in stuck:
            self._try(each)
