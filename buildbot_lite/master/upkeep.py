"""
What has to be done now and then so that a farm can run for years.

When a build ends, its logs are compressed.  At the start and once a day, what nobody can ask for any more is forgotten.
"""

import os
from collections.abc import Callable, Sequence

from sqlalchemy import Connection
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ..storage.compression import Compression
from ..storage.records import feed, grants, streams
from ..storage.records.feed import Event
from ..wire.background import background
from .farm import Farm

DAY = 86400.0
KEEP_EVENTS = 30 * DAY
KEEP_DEAD_GRANTS = 365 * DAY
KEEP_DEAD_WATCHES = DAY
WORTH_COMPRESSING = 64 << 10
EVENTS_AT_ONCE = 10_000


class Upkeep:
    """
    The upkeep of *farm*, from `start` to `stop`.
    """

    _log = Logger()

    def __init__(self, farm: Farm, *, compression: Compression, clock: IReactorTime, wall: Callable[[], float]) -> None:
        self._farm = farm
        self._compression = compression
        self._wall = wall
        self._daily = LoopingCall(self._forget)
        self._daily.clock = clock
        self._unsubscribe: Callable[[], None] = lambda: None

    def start(self) -> None:
        """
        From now on.
        """
        self._unsubscribe = self._farm.records.on_commit(self._committed)
        background(self._daily.start(DAY), self._log, "the daily upkeep")

    def stop(self) -> None:
        """
        No more.
        """
        self._unsubscribe()
        if self._daily.running:
            self._daily.stop()
        self._compression.stop()

    def _committed(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.kind == "build.finished" and event.build is not None:
                background(self._compress(event.build), self._log, "compressing logs")

    async def _compress(self, build: int) -> None:
        for row in await self._farm.records.read(lambda connection: streams.of_build(connection, build)):
            if row.kind == "log" and (row.length or 0) >= WORTH_COMPRESSING:
                await self._compression.add(os.path.join(self._farm.building.streams, row.path))

    def _forget(self) -> None:
        # A day on which it fails must not be the last on which it is tried.
        background(self._forget_all(), self._log, "forgetting what nobody can ask for any more")

    async def _forget_all(self) -> None:
        now = self._wall()
        self._farm.grants.forget_watches(now - KEEP_DEAD_WATCHES)

        def change(connection: Connection) -> int:
            grants.prune(connection, now - KEEP_DEAD_GRANTS)
            grants.prune_watches(connection, now - KEEP_DEAD_WATCHES)
            return feed.prune(connection, now - KEEP_EVENTS, EVENTS_AT_ONCE)

        # Some at a time, so that builds get in between.
        while await self._farm.records.write(change) == EVENTS_AT_ONCE:
            pass
