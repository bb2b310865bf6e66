"""
What a master in memory has of the world while it lives: records and a clock that do nothing more for it after its
death, as for a process that was killed.

A noted change (`Records.note`) is committed with the next change that is written, or after a moment, as by `Writer`:
a master that dies before has lost it.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection
from twisted.internet.base import DelayedCall
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from buildbot_lite.storage.batch_meter import BatchMeter
from buildbot_lite.storage.roles import NOTED_WITHIN, Records
from buildbot_lite.storage.subscribers import OnCommit

T = TypeVar("T")


class Lifetime:
    """
    The life of one master, which shares *records* and *clock* with those before and after it.
    """

    def __init__(self, records: Records, clock: Clock) -> None:
        self.clock = MortalClock(clock)
        self.records = MortalRecords(records, self.clock)

    def end(self) -> None:
        """
        Kill the master: what it waits for never happens, and what it does from now on has no effect.
        """
        self.records.end()
        self.clock.end()


class MortalRecords:
    """
    *records* for one master, whose *clock* tells when noted changes are committed.
    """

    def __init__(self, records: Records, clock: IReactorTime) -> None:
        self._records = records
        self._clock = clock
        self._ended = False
        self._noted: list[Callable[[], object]] = []
        self._unsubscribe: list[Callable[[], None]] = []

    def write(self, change: Callable[[Connection], T]) -> Deferred[T]:
        if not self._ended:
            self.commit_noted()
        # One of the noted changes may have been its death.
        return Deferred() if self._ended else self._while_alive(self._records.write(change))

    def note(self, change: Callable[[Connection], T]) -> Deferred[T]:
        noted: Deferred[T] = Deferred()
        if not self._ended:
            if not self._noted:
                self._clock.callLater(NOTED_WITHIN, self.commit_noted)
            self._noted.append(lambda: self._while_alive(self._records.note(change)).chainDeferred(noted))
        return noted

    def commit_noted(self) -> None:
        """
        Commit what is noted, because a moment has passed.
        """
        # One change may cause others, and even the death of the master.
        while self._noted:
            self._noted.pop(0)()

    def read(self, query: Callable[[Connection], T]) -> Deferred[T]:
        return Deferred() if self._ended else self._while_alive(self._records.read(query))

    @property
    def meter(self) -> BatchMeter:
        return self._records.meter

    def on_commit(self, callback: OnCommit) -> Callable[[], None]:
        if self._ended:
            return lambda: None

        def told(*events: Any) -> None:
            if not self._ended:
                callback(*events)

        remove = self._records.on_commit(told)
        self._unsubscribe.append(remove)
        return remove

    def close(self) -> Deferred[None]:
        if not self._ended:
            self.commit_noted()
        return Deferred() if self._ended else self._while_alive(self._records.close())

    def _while_alive(self, answer: Deferred[T]) -> Deferred[T]:
        """
        What *answer* fires with, unless the master is dead by then: it may have died in the middle of the change.
        """
        answered: Deferred[T] = Deferred()

        def take(result: T | Failure) -> None:
            if not self._ended:
                answered.callback(result)

        answer.addBoth(take)  # type: ignore[unused-awaitable]  # the caller gets what it fires with
        return answered

    def end(self) -> None:
        """
        Answer nothing more.
        """
        self._ended = True
        self._noted.clear()
        for remove in self._unsubscribe:
            remove()


@implementer(IReactorTime)
class MortalClock:
    """
    *clock* for one master.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._calls: list[DelayedCall] = []

    def seconds(self) -> float:
        return self._clock.seconds()

    def callLater(
        self,
        delay: float,
        callable: Callable[..., Any],  # noqa: A002 - its name in the interface
        *args: object,
        **kwargs: object,
    ) -> IDelayedCall:
        call = self._clock.callLater(delay, callable, *args, **kwargs)
        assert isinstance(call, DelayedCall)
        self._calls = [*self._active(), call]
        return call

    def getDelayedCalls(self) -> Sequence[IDelayedCall]:
        return self._active()

    def end(self) -> None:
        """
        Call nothing more.
        """
        for call in self._active():
            # Not cancelled: what the dead master left behind may cancel it when the garbage collector closes it.
            self._clock.calls.remove(call)
            call.canceller = lambda call: None
        self._clock = Clock()

    def _active(self) -> list[DelayedCall]:
        return [call for call in self._calls if call.active()]
