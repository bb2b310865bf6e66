"""
The roles of the farm's database: what its users are written against, and what it needs of a reactor.

::

    users ──► Records ◄── Writer                                  of a running master
                      ◄── RetryingRecords ──► another `Records`   waits while that one fails
                      ◄── the tests' own                          without threads
"""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar, runtime_checkable

from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from .batch_meter import BatchMeter
from .subscribers import OnCommit

T = TypeVar("T")

NOTED_WITHIN = 0.02
"""Seconds until a noted change is written at the latest."""


class ReactorThread(Protocol):
    """
    The required part of a reactor: of ``IReactorFromThreads`` and ``IReactorTime``.
    """

    def callFromThread(self, work: Callable[..., object], /, *args: Any) -> object:  # noqa: N802 - Twisted's name
        """
        Call *work* in the reactor's thread.
        """

    def callLater(self, delay: float, work: Callable[..., object], /) -> IDelayedCall:  # noqa: N802 - Twisted's name
        """
        Call *work* after *delay* seconds.
        """


@runtime_checkable
class Records(Protocol):
    """
    Access to the farm's database.
    """

    def write(self, change: Callable[[Connection], T]) -> Deferred[T]:
        """
        Call *change* in a transaction; fires with its result after the commit.

        If *change* raises, it is rolled back, and the Deferred fails with the exception; other changes are unaffected.
        `RecordsFailingError` when the database cannot be used now: nothing was done, and the change may be tried again.
        `RecordsClosedError` after `close`.
        *change* runs in another thread: it may use only the connection and its own arguments.
        """

    def note(self, change: Callable[[Connection], T]) -> Deferred[T]:
        """
        As `write`, for a change whose result is not needed soon: it joins the transaction of the next `write`, or is
        written within `NOTED_WITHIN` seconds.

        It keeps its place in the order of all calls of `write` and `note`.
        """

    def read(self, query: Callable[[Connection], T]) -> Deferred[T]:
        """
        Call *query* on one consistent snapshot, which includes everything committed so far; fires with its result.
        """

    @property
    def meter(self) -> BatchMeter:
        """
        Counts the transactions.
        """

    def on_commit(self, callback: OnCommit) -> Callable[[], None]:
        """
        Call *callback* with the events of each commit, in order.  Returns a function that ends the subscription.
        """

    def close(self) -> Deferred[None]:
        """
        Finish the requested changes and queries, then close the database.
        """
