"""
A master in memory that can be killed between any two commits.
"""

import os
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from attrs import frozen
from sqlalchemy import Connection
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.task import Clock

from buildbot_lite.control.verbs import granted_verbs
from buildbot_lite.master.config.loading import load
from buildbot_lite.master.farm import Environment, Farm
from buildbot_lite.storage.batch_meter import BatchMeter
from buildbot_lite.storage.records.feed import Event
from buildbot_lite.storage.subscribers import OnCommit
from buildbot_lite.storage.swissnums import Swissnums
from buildbot_lite.wire.limits.preauth import Preauth
from test.storage.inline import InlineWriter

from ..master.harness import FixedLocation, no_http

T = TypeVar("T")


@frozen
class _PendingChange:
    change: Callable[[Connection], Any]
    done: Deferred[Any]


class KillableRecords:
    """
    The role `Records` for one process of a master.  While *held*, changes are committed by `commit` alone.
    """

    def __init__(self, records: InlineWriter) -> None:
        self._records = records
        self._asked: deque[_PendingChange] = deque()
        self._unsubscribe: list[Callable[[], None]] = []
        self.held = False
        self.dead = False

    @property
    def waiting(self) -> int:
        return len(self._asked)

    @property
    def meter(self) -> BatchMeter:
        return self._records.meter

    def write(self, change: Callable[[Connection], T]) -> Deferred[T]:
        done: Deferred[T] = Deferred()
        if not self.dead:
            self._asked.append(_PendingChange(change, done))
            if not self.held:
                self.commit(len(self._asked))
        return done

    def note(self, change: Callable[[Connection], T]) -> Deferred[T]:
        return self.write(change)

    def commit(self, count: int, *, told: bool = True) -> None:
        """
        Commit the next *count* changes; if not *told*, without acknowledging them, as when the process dies at that
        moment.
        """
        while count and self._asked:
            count -= 1
            asked = self._asked.popleft()
            done = self._records.write(asked.change)
            if told:
                _ = done.chainDeferred(asked.done)

    def read(self, query: Callable[[Connection], T]) -> Deferred[T]:
        return Deferred() if self.dead else self._records.read(query)

    def on_commit(self, callback: OnCommit) -> Callable[[], None]:
        remove = self._records.on_commit(callback)
        self._unsubscribe.append(remove)
        return remove

    def close(self) -> Deferred[None]:
        raise NotImplementedError

    def die(self) -> None:
        """
        Discard the uncommitted changes, which were never acknowledged.
        """
        self.dead = True
        self._asked.clear()
        for remove in self._unsubscribe:
            remove()


class SimulatedMaster:
    """
    The machine of a master: its directory, its database, and one process after another.
    """

    def __init__(self, directory: str, text: str, now: Callable[[], float]) -> None:
        self.directory = directory
        self.disk = InlineWriter()
        self._now = now
        self.farm: Farm | None = None
        self.process: KillableRecords | None = None
        self.clock = Clock()
        self.told: list[Event] = []
        with open(os.path.join(directory, "master.cfg"), "w", encoding="utf-8") as file:
            file.write("from buildbot_lite.plugins import *\nc = BuildmasterConfig = {}\n" + text)

    def start(self) -> None:
        """
        Start a process of the master, which continues from the database.
        """
        self.clock = Clock()
        self.clock.advance(self._now())
        self.process = KillableRecords(self.disk)
        self.process.on_commit(self.told.extend)
        self.farm = Farm(
            Environment(
                basedir=self.directory,
                records=self.process,
                generation=load(self.directory),
                location=FixedLocation(),
                swissnums=Swissnums(b"key"),
                preauth=Preauth("tub", self.clock.seconds),
                verbs=granted_verbs,
                clock=self.clock,
                wall=self.clock.seconds,
                in_thread=maybeDeferred,
                try_out=lambda seconds: succeed(None),
                http=no_http,
            )
        )
        done: list[Any] = []
        _ = Deferred.fromCoroutine(self.farm.start()).addBoth(done.append)
        assert done == [None], done

    def kill(self, *, committing: int) -> None:
        """
        Kill the process; *committing*: the number of pending changes that are committed without acknowledgement.
        """
        if self.process is not None:
            self.process.commit(committing, told=False)
            self.process.die()
        self.farm = self.process = None

    def rows(self, query: str, *arguments: Any) -> list[Any]:
        """
        Return the result of a query on the database file.
        """
        found: list[Any] = []
        _ = self.disk.read(lambda connection: found.extend(connection.exec_driver_sql(query, arguments).fetchall()))
        return found
