"""
Maintenance: compression, clean-up and pruning, so that a farm can run for years.

Soon after each build: compress its logs, and remove its incomplete uploads.  The builds that end within a second are
looked at together, because a busy farm ends hundreds, most of which leave nothing to do.  At the start and once a day:
prune records that no client can reach any more, remove the incomplete uploads that an earlier master left, and apply
``c['retention']``.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from sqlalchemy import Connection
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ..deferreds import background
from ..model.names import directory_name
from ..storage.artifacts import (
    directories_in,
    incoming_files,
    remove_files,
)
from ..storage.compression import Compression
from ..storage.records import (
    builds,
    changes,
    ended_grants,
    feed,
    states,
    streams,
)
from ..storage.records.builds import Build
from ..storage.records.feed import Event
from ..storage.records.streams import Stream
from .farm import Farm
from .retention import RetentionRun
from .scheduling.schedulers.decisions import ENGINE

DAY = 86400.0
AFTER_BUILDS = 1.0
"""Seconds from the end of a build to the clean-up after it and those that end meanwhile."""
KEEP_EVENTS = 30 * DAY
KEEP_REVOKED_GRANTS = 365 * DAY
KEEP_EXPIRED_WATCHES = DAY
KEEP_CHANGES = 365 * DAY
WORTH_COMPRESSING = 64 << 10
EVENTS_AT_ONCE = 1000
GRANTS_AT_ONCE = 1000
CHANGES_AT_ONCE = 100
"""Rows that one transaction removes, so that it holds the writer for less than 50 ms."""
LARGEST_LEAP = 3 * DAY
"""Seconds that ages may gain from one clean-up to the next, whatever the clock says."""
FASTEST_GAIN = 3.0
"""Seconds that ages may gain in each second that the clock shows since the last clean-up."""
LOOKS_AFTER_LEAP = 14
"""Daily clean-ups after which a clock that leapt is taken for right."""
CLOCK = "maintenance"


class Maintenance:
    """
    The maintenance of *farm*, from `start` to `stop`.  *wall*: seconds since 1970.
    """

    _log = Logger()

    def __init__(self, farm: Farm, *, compression: Compression, clock: IReactorTime, wall: Callable[[], float]) -> None:
        self._farm = farm
        self._compression = compression
        self._clock = clock
        self._wall = wall
        self._ended: set[int] = set()
        self._after_builds: IDelayedCall | None = None
        self._daily = LoopingCall(self._clean_up)
        self._daily.clock = clock
        self._retaining = DeferredLock()
        self._unsubscribe: Callable[[], None] = lambda: None

    def start(self) -> None:
        """
        Do the daily work now and from now on, and watch for builds that end.
        """
        self._unsubscribe = self._farm.records.on_commit(self._committed)
        background(self._daily.start(DAY), self._log, "the daily maintenance")

    def stop(self) -> None:
        """
        Stop, and end a compression that runs.
        """
        self._unsubscribe()
        if self._after_builds is not None and self._after_builds.active():
            self._after_builds.cancel()
        if self._daily.running:
            self._daily.stop()
        self._compression.stop()

    def _committed(self, events: Sequence[Event]) -> None:
        ended = {event.build for event in events if event.kind == "build.finished" and event.build is not None}
        if ended and not self._ended:
            self._after_builds = self._clock.callLater(AFTER_BUILDS, self._clean_up_after_builds)
        self._ended |= ended

    def _clean_up_after_builds(self) -> None:
        ended, self._ended = self._ended, set()
        background(self._clean_up_after(sorted(ended)), self._log, "cleaning up after builds")

    async def _clean_up_after(self, ended: Sequence[int]) -> None:
        def read(connection: Connection) -> tuple[list[Stream], list[Build]]:
            found = [stream for build in ended for stream in streams.of_build(connection, build)]
            return found, [build for each in ended if (build := builds.get(connection, each)) is not None]

        rows, of_rows = await self._farm.records.read(read)
        # Not by the streams' rows: a master that is killed just after an upload has begun leaves its file and no row.
        uploading = {directory_name(each.builder) for each in of_rows}
        background(self._remove_uploads(sorted(uploading)), self._log, "removing incomplete uploads")
        for each in rows:
            if each.kind == "log" and (each.length or 0) >= WORTH_COMPRESSING:
                await self._compression.add(os.path.join(self._farm.stream_storage.streams, each.path))

    async def _remove_uploads(self, builders: Iterable[str]) -> None:
        """
        Remove the incomplete uploads in the directories of *builders*, except those of builds that run.
        """
        in_thread, artifacts = self._farm.stream_storage.in_thread, self._farm.stream_storage.artifacts
        for builder in builders:
            # Listed before the records are read: the build of each file had begun, so the records say whether it runs.
            uploads = await in_thread(partial(incoming_files, artifacts, builder))
            if not uploads:
                continue
            running = await self._farm.records.read(builds.unfinished)
            numbers = {each.number for each in running if directory_name(each.builder) == builder}
            unknown = [path for path, number in uploads.items() if number not in numbers]
            await in_thread(partial(remove_files, unknown))

    async def _remove_old_uploads(self) -> None:
        artifacts = self._farm.stream_storage.artifacts
        await self._remove_uploads(await self._farm.stream_storage.in_thread(lambda: directories_in(artifacts)))

    def _clean_up(self) -> None:
        # In the background: a LoopingCall ends when its function fails, and this must be tried again the next day.
        background(self._remove_old_uploads(), self._log, "removing incomplete uploads")
        background(self._clean_up_old(), self._log, "cleaning up")

    async def _clean_up_old(self) -> None:
        now = await self._now()
        background(self._prune(now), self._log, "pruning the records")
        background(self._retain(now), self._log, "removing old data by c['retention']")

    async def _now(self) -> float:
        """
        The time from which ages count, in seconds since 1970.

        A clock that is years ahead, as after the loss of a clock's battery, must not remove all that the farm has.  So
        after a farm was away for a month, its data becomes old in the course of some days; and a master that starts
        again and again, with a clock that is wrong, gains nothing by that.  The first clean-up counts from the newest
        event.  A clock that leapt, and shows plausible times in `LOOKS_AFTER_LEAP` clean-ups after that, is right: the
        one before the leap was behind.
        """
        wall = self._wall()

        def change(connection: Connection) -> float:
            newest = min(wall, feed.newest_time(connection) or wall)
            state = states.get(connection, CLOCK) or {"now": newest, "wall": newest}
            last = float(state["now"])
            shown = wall - float(state["wall"])
            looks = int(state.get("looks", 0))
            now = min(wall, last + max(0.0, min(FASTEST_GAIN * shown, LARGEST_LEAP)))
            if now == wall:
                looks = 0
            elif DAY / 2 <= shown <= 2 * DAY:
                looks += 1
                if looks >= LOOKS_AFTER_LEAP:
                    now, looks = wall, 0
            elif shown > 2 * DAY:
                looks = 0
            if now < last:
                # A clock that is behind removes nothing, and its time is not remembered; but the leap is over.
                states.put(connection, CLOCK, {**state, "looks": 0}, wall)
            else:
                states.put(connection, CLOCK, {"now": now, "wall": wall, "looks": looks}, wall)
            return now

        now = await self._farm.records.write(change)
        if now < wall:
            self._log.warn(
                "the clock is {days:.0f} days ahead of the last clean-ups: old data is removed in the course of days",
                days=(wall - now) / DAY,
            )
        return now

    async def _retain(self, now: float) -> None:
        run = RetentionRun(
            self._farm.config.retention,
            records=self._farm.records,
            stream_storage=self._farm.stream_storage,
            inputs=self._farm.inputs,
            holders=self._farm.retention_holders.values(),
            now=now,
        )
        await self._retaining.run(lambda: Deferred.fromCoroutine(run.run()))

    async def _prune(self, now: float) -> None:
        self._farm.grants.forget_watches(now - KEEP_EXPIRED_WATCHES)

        horizon = self._farm.config.change_horizon

        def forget_changes(connection: Connection) -> int:
            state = states.get(connection, ENGINE)
            considered = changes.last_id(connection) if state is None else state["considered"]
            return changes.prune(
                connection, considered=considered, before=now - KEEP_CHANGES, horizon=horizon, most=CHANGES_AT_ONCE
            )

        revoked_before, expired_before = now - KEEP_REVOKED_GRANTS, now - KEEP_EXPIRED_WATCHES
        # In batches, so that the writes of builds get their turn.
        parts: tuple[tuple[Callable[[Connection], int], int], ...] = (
            (forget_changes, CHANGES_AT_ONCE),
            (partial(ended_grants.prune, before=revoked_before, most=GRANTS_AT_ONCE), GRANTS_AT_ONCE),
            (partial(ended_grants.prune_watches, before=expired_before, most=GRANTS_AT_ONCE), GRANTS_AT_ONCE),
            (partial(feed.prune, before=now - KEEP_EVENTS, most=EVENTS_AT_ONCE), EVENTS_AT_ONCE),
        )
        for part, most in parts:
            while await self._farm.records.write(part) == most:
                pass
