"""
Runner: begins builds for the dispatcher, resumes them after a restart, and ends them.

::

    start ──► recorded ──► live ──► ended: one transaction ──► slot free
                 ▲                        (the build, its request, the events)
    resume ──────┘

Starting is recovering: a resumed build runs the same code, and replays what is in its journal.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ...deferreds import OneShot, background
from ...errors import (
    BuildbotLiteError,
    RecordsClosedError,
    StorageError,
)
from ...model.locks import LockUse
from ...model.results import Result
from ...storage.records import builds as records_of_builds
from ...storage.records import feed
from ...storage.records.journal import LOCK
from ...storage.roles import Records
from ..builds.build_progress import Ended
from ..builds.lock_lines import LockOwner
from ..builds.locks import Locks
from ..builds.recorder import BuildRecorder
from ..builds.streams import BuildStreamFiles, StreamStorage
from ..config.generations import Generations
from ..config.loading import Generation
from ..slaves.registry import SlaveRegistry
from ..slaves.slots import Slot, Slots
from .builder_queue import WaitingRequest
from .preparation import Preparation, RecordedBuild, read_changes
from .requests import Requests
from .running_builds import (
    BeginningBuild,
    LiveBuild,
    RunningBuilds,
)
from .wakeup import Wakeup

BEGIN_AGAIN = 30.0
"""Seconds after which the runner tries again to record the beginning or the end of a build."""


class BuildRunner:
    """
    Runs builds, which *running* holds meanwhile.  *wall*: seconds since 1970.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        records: Records,
        slaves: SlaveRegistry,
        slots: Slots,
        locks: Locks,
        running: RunningBuilds,
        requests: Requests,
        preparation: Preparation,
        stream_storage: StreamStorage,
        generations: Generations,
        wakeup: Wakeup,
        clock: IReactorTime,
        wall: Callable[[], float],
    ) -> None:
        self._records = records
        self._slaves = slaves
        self._slots = slots
        self._locks = locks
        self._running = running
        self._requests = requests
        self._preparation = preparation
        self._stream_storage = stream_storage
        self._generations = generations
        self._wakeup = wakeup
        self._clock = clock
        self._wall = wall

    def start(self, waiting: WaitingRequest, slave: str) -> None:
        """
        Begin a build of the request *waiting* on *slave*; the queue has taken the slot.
        """
        self._running.begin(waiting.request.id, BeginningBuild(slave, waiting.buildset, waiting))
        background(self._begin(waiting, slave), self._log, f"starting a build of {waiting.request.builder}")

    def resume(self, unfinished: Sequence[RecordedBuild], generations: Mapping[str, Generation]) -> Deferred[Any]:
        """
        Continue the builds of an earlier master, with their *generations* by hash.

        Fires when all of them have caught up with their journals.  Cancel it to stop waiting.
        """
        # Register all builds before the first runs, because a stopped build stops the builds that it waits for.
        for each in unfinished:
            self._running.begin(each.request.id, BeginningBuild(each.row.slave, each.buildset))
            self._take_locks_back(each)
        resumed = [self._resume(each, generations.get(each.row.generation)) for each in unfinished]
        return DeferredList(resumed, consumeErrors=True)

    async def _begin(self, waiting: WaitingRequest, slave: str) -> None:
        request, buildset = waiting.request, waiting.buildset
        generation, now = self._generations.current, self._wall()
        start = self._recording_start(waiting, slave, generation, now)
        try:
            recorded = await self._records.write(start)
        except BuildbotLiteError:
            self._free(request.id)
            self._requests.postpone(request, buildset, until=now + BEGIN_AGAIN)
            self._running.begun(request.id)
            self._slaves.build_ended(slave)
            raise
        await self._run(recorded, generation, lambda: None)

    def _recording_start(
        self, waiting: WaitingRequest, slave: str, generation: Generation, now: float
    ) -> Callable[[Connection], RecordedBuild]:
        request, nonce = waiting.request, os.urandom(16).hex()
        locks = [use.to_document() for use in self._locks.holding(LockOwner(request.id))]
        slot = self._slots.get(request.id)
        session = self._slaves.session(slave)
        home, host = session.home or "", session.hello.platform.get("hostname", "") if session.hello else ""

        def change(connection: Connection) -> RecordedBuild:
            row = records_of_builds.start(
                connection,
                request=request.id,
                builder=request.builder,
                slave=slave,
                home=home,
                nonce=nonce,
                generation=generation.hash,
                now=now,
                locks=locks,
                slot=slot.number if slot else None,
            )
            body = {"builder": row.builder, "number": row.number, "slave": slave, "host": host}
            feed.publish(connection, "build.started", now=now, request=request.id, build=row.id, body=body)
            return RecordedBuild(row, request, waiting.buildset, read_changes(connection, request.buildset))

        return change

    def _resume(self, recorded: RecordedBuild, generation: Generation | None) -> Deferred[None]:
        caught_up: OneShot[None] = OneShot()

        def went_live() -> None:
            caught_up.fire(None)

        async def resume() -> None:
            try:
                await self._run(recorded, generation, went_live)
            finally:
                self._running.begun(recorded.request.id)
                went_live()

        self._take_slot(recorded, generation)
        background(resume(), self._log, f"continuing {recorded.label}")
        return caught_up.wait()

    def _take_locks_back(self, recorded: RecordedBuild) -> None:
        """
        Hold the locks that the build held when the earlier master ended: its own, and those of its last step.
        """
        request, last = recorded.request.id, max((each.step for each in recorded.entries), default=0)
        self._locks.take(LockOwner(request), map(LockUse.from_document, recorded.row.locks))
        for entry in recorded.entries:
            if entry.kind == LOCK and entry.step == last and entry.outcome is not None:
                self._locks.take(LockOwner(request, entry.step), map(LockUse.from_document, entry.intent))

    def _free(self, request: int) -> None:
        self._slots.leave(request)
        self._locks.leave_all(request)

    def _take_slot(self, recorded: RecordedBuild, generation: Generation | None) -> None:
        row = recorded.row
        builder = generation.config.builders.get(row.builder) if generation else None
        directory = builder.directory if builder else None
        # Versions before slots recorded none, and had one build of a package at a time in the first directory.
        number = row.slot or (1 if builder and builder.slotted else None)
        self._slots.take(recorded.request.id, Slot(recorded.label, row.builder, row.slave, directory, number))

    async def _run(self, recorded: RecordedBuild, generation: Generation | None, went_live: Callable[[], None]) -> None:
        row, request = recorded.row, recorded.request
        self._take_slot(recorded, generation)
        sentence = "an error of buildbot_lite itself; the master's log has its traceback"
        ended = Ended(Result.EXCEPTION, sentence, cut=True)
        streams: BuildStreamFiles | None = None
        try:
            recorder = BuildRecorder(self._records, build=row.id, request=request.id, wall=self._wall)
            streams = BuildStreamFiles(
                self._stream_storage, build=row.id, builder=row.builder, number=row.number, recorder=recorder
            )
            build = await self._preparation.prepare(
                recorded, generation, recorder=recorder, streams=streams, went_live=went_live
            )
            self._running.begun(request.id, LiveBuild(row, request, recorded.buildset, build))
            ended = await build.run()
        except RecordsClosedError:
            self._log.info("{build} continues when the master is started again", build=recorded.label)
            return
        except BuildbotLiteError as error:
            ended = Ended(Result.EXCEPTION, str(error), cut=True)
        except Exception:  # noqa: BLE001 - a defect of ours must not keep the slot for ever
            self._log.failure("{build} failed", build=recorded.label)
        finally:
            self._running.begun(request.id)
            if streams is not None:
                streams.close()
        await self._end(recorded, ended)

    async def _end(self, recorded: RecordedBuild, ended: Ended) -> None:
        request, slave = recorded.request.id, recorded.row.slave
        again = await self._record_end(recorded, ended)
        live = self._running.remove(request)
        self._free(request)
        self._slaves.build_ended(slave)
        if ended.cut and recorded.row.slot is not None:
            self._slaves.files_left(slave)
        if again and live is not None and (stop := live.build.wanted_stop) and stop.result is Result.CANCELLED:
            # The request was cancelled while the end of its build was being recorded.
            background(self._requests.cancel(request, stop.reason), self._log, "cancelling a retry")
        self._wakeup.set()
        self._running.left(slave)

    async def _record_end(self, recorded: RecordedBuild, ended: Ended) -> bool:
        """
        Record the end of the build, however long that takes; the build keeps its slot meanwhile.  True: its request
        waits again.
        """
        while True:
            try:
                return await self._requests.finished(recorded.request, recorded.buildset, recorded.row, ended)
            except RecordsClosedError:
                raise
            except StorageError as error:
                self._log.error("the end of {build} is not recorded: {why}", build=recorded.row.id, why=str(error))
                await deferLater(self._clock, BEGIN_AGAIN)
