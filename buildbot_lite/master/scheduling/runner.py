"""
The builds that run: begun for the queue, taken up again after a restart, and ended.

A build runs with the configuration that it began with, its *generation*, whatever master.cfg says by now.  Ending one
is a single transaction: the build, its request (finished, or to be tried again) and the events.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from attrs import define, evolve, field, frozen
from sqlalchemy import Connection
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ...deferreds import OneShot, background
from ...errors import (
    BuildbotLiteError,
    NotFoundError,
    RecordsClosedError,
    StorageError,
)
from ...model.properties import (
    SUBMITTED,
    Json,
    Properties,
)
from ...model.rendering import View
from ...model.results import Result
from ...model.token_bucket import TokenBucket
from ...storage.inputs import InputStore
from ...storage.records import builds as records_of_builds
from ...storage.records import feed, inputs
from ...storage.records import journal as records_of_journal
from ...storage.records.requests import Buildset, Request
from ...storage.retrying import read_retrying
from ...storage.writer import Records
from ..builds.build import Build, Ended
from ..builds.disk_reserve import DiskReserve
from ..builds.journal import Journal, JournalEntry
from ..builds.recorder import BuildRecorder
from ..builds.step_context import BuildContext, LiveCommands
from ..builds.streams import BuildStreamFiles, StreamStorage
from ..builds.triggered import ChildBuilds, RequestSubmission
from ..config.loading import Generation
from ..config.master_config import MasterConfig
from ..config.objects import BuilderConfig, BuildFactory
from ..slaves.command_streams import Source
from ..slaves.registry import SlaveRegistry
from .queue import (
    Queue,
    Running,
    Waiting,
)
from .requests import Requests

# What is said beside builds of the comings and goings of one slave.
REMARKS_AT_ONCE = 1000
REMARKS_PER_SECOND = 20.0
BEGIN_AGAIN = 30.0
"""Seconds after which a build whose beginning could not be recorded is begun again."""


@frozen
class StoredInput:
    """
    What was submitted, as a command reads it: the role `command.Source`.
    """

    store: InputStore
    sha256: str

    def read(self, offset: int, size: int) -> bytes:
        """
        See `command.Source`.
        """
        return self.store.read(self.sha256, offset, size)


@define
class Live:
    """
    A build that runs: its row, what it is for, and the coroutine.
    """

    row: records_of_builds.Build
    request: Request
    buildset: Buildset
    build: Build


@frozen
class Beginning:
    """
    A request that waits no more, and whose build is only being recorded.

    *request*: as it stood in the queue, or None for a build that an earlier master began.  *over*: the record is
    written, or could not be.
    """

    slave: str
    buildset: Buildset
    request: Waiting | None = None
    over: OneShot[None] = field(factory=OneShot)


@frozen
class Unfinished:
    """
    What an earlier master left running.
    """

    row: records_of_builds.Build
    request: Request
    buildset: Buildset
    entries: Sequence[JournalEntry]


class Works:
    """
    All builds that run now, by the number of their request.

    *generation*: the present one.  *changed*: called when a slot is free again.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        records: Records,
        slaves: SlaveRegistry,
        queue: Callable[[], Queue],
        requests: Callable[[], Requests],
        submission: Callable[[], RequestSubmission],
        stream_storage: StreamStorage,
        reserve: DiskReserve,
        inputs: InputStore,
        generation: Callable[[], Generation],
        clock: IReactorTime,
        wall: Callable[[], float],
    ) -> None:
        self._records = records
        self._slaves = slaves
        self._queue = queue
        self._requests = requests
        self._submission = submission
        self._stream_storage = stream_storage
        self._reserve = reserve
        self._inputs = inputs
        self._generation = generation
        self._clock = clock
        self._wall = wall
        self._live: dict[int, Live] = {}
        self._said: dict[str, TokenBucket] = {}
        self._beginning: dict[int, Beginning] = {}
        self._idle: OneShot[None] = OneShot()
        self._left: dict[str, OneShot[None]] = {}

    # What others ask.

    @property
    def streams(self) -> str:
        """
        The directory in which logs stand.
        """
        return self._stream_storage.streams

    def live(self) -> Mapping[int, Live]:
        """
        Every running build, by the number of its request.
        """
        return self._live

    def beginning(self) -> Sequence[Waiting]:
        """
        The requests whose builds are only being recorded.
        """
        return [each.request for each in self._beginning.values() if each.request is not None]

    def asked_for_with(self, grant: int) -> Sequence[int]:
        """
        The requests that are being built, or are about to be, and were asked for with the string of *grant*.
        """
        begun: Iterable[tuple[int, Live | Beginning]] = (*self._live.items(), *self._beginning.items())
        return [request for request, each in begun if each.buildset.by_grant == grant]

    def on(self, slave: str) -> Sequence[Live]:
        """
        Every build that runs on *slave*.
        """
        return [live for live in self._live.values() if live.row.slave == slave]

    async def stop_all_on(self, slave: str, reason: str, result: Result) -> None:
        """
        End every build on *slave*, also those that are only being recorded; done when that is recorded.
        """
        for live in self.on(slave):
            await live.build.stop(reason, result)
        for request in self._beginning_on(slave):
            await self.stop(request, reason, result)

    def when_left(self, slave: str) -> Deferred[None]:
        """
        Fires when no build runs on *slave*.  Cancel it to wait no longer.
        """
        waiting = self._left.setdefault(slave, OneShot(lambda: self._left.pop(slave))).wait()
        self._tell_left(slave)
        return waiting

    def remark(self, slave: str, text: str) -> None:
        """
        Something happened to *slave*: say so beside the log of every build on it.  One that comes and goes without end
        is not to keep the database from others: then some of it is left unsaid.
        """
        said = self._said.setdefault(slave, TokenBucket(self._clock.seconds, REMARKS_AT_ONCE, REMARKS_PER_SECOND))
        for live in self.on(slave):
            if said.take():
                live.build.remark(text)

    async def stop(self, request: int, reason: str, result: Result = Result.CANCELLED) -> bool:
        """
        End the build of *request*; False when none runs.  Done when that is recorded; the build ends soon after.
        """
        if request in self._beginning:
            await self._beginning[request].over.wait()
        live = self._live.get(request)
        if live is None:
            return False
        await live.build.stop(reason, result)
        return True

    def when_idle(self) -> Deferred[None]:
        """
        Fires when no build runs.
        """
        waiting = self._idle.wait()
        self._tell_idle()
        return waiting

    # Beginning.

    def start(self, waiting: Waiting, slave: str) -> None:
        """
        Begin a build of what *waiting* asks for, on *slave*; the queue has taken the slot.
        """
        self._beginning[waiting.request.id] = Beginning(slave, waiting.buildset, waiting)
        background(self._begin(waiting, slave), self._log, f"starting a build of {waiting.request.builder}")

    async def _begin(self, waiting: Waiting, slave: str) -> None:
        request, buildset = waiting.request, waiting.buildset
        generation = self._generation()
        nonce = os.urandom(16).hex()
        session = self._slaves.session(slave)
        home, host = session.home or "", session.hello.platform.get("hostname", "") if session.hello else ""
        now = self._wall()

        def change(connection: Connection) -> records_of_builds.Build:
            row = records_of_builds.start(
                connection,
                request=request.id,
                builder=request.builder,
                slave=slave,
                home=home,
                nonce=nonce,
                generation=generation.hash,
                now=now,
            )
            body = {"builder": row.builder, "number": row.number, "slave": slave, "host": host}
            feed.publish(connection, "build.started", now=now, request=request.id, build=row.id, body=body)
            return row

        try:
            row = await self._records.write(change)
        except BuildbotLiteError:
            # Nothing was begun: the request waits on, and is tried again after a while.
            self._queue().slots.leave(request.id)
            self._queue().add(evolve(request, not_before=now + BEGIN_AGAIN), buildset)
            self._begun(request.id)
            self._slaves.build_ended(slave, left=len(self._queue().slots.on(slave)))
            raise
        await self._run(Unfinished(row, request, buildset, ()), generation, lambda: None)

    def _begun(self, request: int) -> None:
        if beginning := self._beginning.pop(request, None):
            beginning.over.fire(None)
            self._tell_left(beginning.slave)

    def _beginning_on(self, slave: str) -> list[int]:
        return [request for request, each in self._beginning.items() if each.slave == slave]

    def resume(self, unfinished: Sequence[Unfinished], generations: Mapping[str, Generation]) -> Deferred[Any]:
        """
        Take up what an earlier master left.  Fires when all of it has caught up with its journals.
        """
        # All are known before the first runs: one that was stopped stops the others that it waits for.
        for each in unfinished:
            self._beginning[each.request.id] = Beginning(each.row.slave, each.buildset)
        taken_up = [self._take_up(each, generations.get(each.row.generation)) for each in unfinished]
        # Whoever loses patience cancels the list, and with it those that it still waits for.
        return DeferredList(taken_up, consumeErrors=True)

    def _take_up(self, left: Unfinished, generation: Generation | None) -> Deferred[None]:
        caught_up: OneShot[None] = OneShot()
        label = f"{left.row.builder}/{left.row.number}"

        async def take_up() -> None:
            try:
                await self._run(left, generation, lambda: caught_up.fire(None))
            finally:
                self._begun(left.request.id)
                caught_up.fire(None)

        self._queue().slots.take(left.request.id, Running(label, left.row.builder, left.row.slave))
        background(take_up(), self._log, f"continuing {label}")
        return caught_up.wait()

    # Running and ending.

    async def _run(self, start: Unfinished, generation: Generation | None, live: Callable[[], None]) -> None:
        row, request, buildset = start.row, start.request, start.buildset
        label = f"{row.builder}/{row.number}"
        self._queue().slots.take(request.id, Running(label, row.builder, row.slave))
        ended = Ended(Result.EXCEPTION, "an error of buildbot_lite itself; the master's log has its traceback")
        streams: BuildStreamFiles | None = None
        try:
            recorder = BuildRecorder(self._records, build=row.id, request=request.id, wall=self._wall)
            streams = BuildStreamFiles(
                self._stream_storage, build=row.id, builder=row.builder, number=row.number, recorder=recorder
            )
            submitted = await self._submitted(buildset)
            build = self._build(start, generation, recorder, streams, submitted, live)
            self._live[request.id] = Live(row, request, buildset, build)
            self._begun(request.id)
            ended = await build.run()
        except RecordsClosedError:
            self._log.info("{build} continues when the master is started again", build=label)
            return
        except BuildbotLiteError as error:
            ended = Ended(Result.EXCEPTION, str(error))
        except Exception:  # noqa: BLE001 - a defect of ours must not keep the slot for ever
            self._log.failure("{build} failed", build=label)
        finally:
            self._begun(request.id)
            if streams is not None:
                streams.close()
        await self._end(row, request, buildset, ended)

    async def _end(self, row: records_of_builds.Build, request: Request, buildset: Buildset, ended: Ended) -> None:
        again = await self._recorded_end(row, request, ended)
        live = self._live.pop(request.id, None)
        self._queue().slots.leave(request.id)
        self._slaves.build_ended(row.slave, left=len(self._queue().slots.on(row.slave)))
        if again is not None:
            self._queue().add(again, buildset)
            if live is not None and (stop := live.build.wanted_stop) and stop.result is Result.CANCELLED:
                # It was cancelled while its end, to be tried again, was being recorded.
                background(self._requests().cancel(again.id, stop.reason), self._log, "cancelling a retry")
        self._queue().consider()
        self._tell_left(row.slave)
        self._tell_idle()

    async def _recorded_end(self, row: records_of_builds.Build, request: Request, ended: Ended) -> Request | None:
        """
        See `Requests.finished`.  The build keeps its slot until that is recorded.
        """
        while True:
            try:
                return await self._requests().finished(request, row, ended)
            except RecordsClosedError:
                raise
            except StorageError as error:
                self._log.error("the end of {build} is not recorded: {why}", build=row.id, why=str(error))
                await deferLater(self._clock, BEGIN_AGAIN)

    def _build(
        self,
        start: Unfinished,
        generation: Generation | None,
        recorder: BuildRecorder,
        streams: BuildStreamFiles,
        submitted: Mapping[str, tuple[Source, int, str]],
        live: Callable[[], None],
    ) -> Build:
        config, row = (generation or self._generation()).config, start.row
        builder = config.builders.get(row.builder)
        if generation is None:
            builder = builder or BuilderConfig(row.builder, [row.slave], BuildFactory())
        if builder is None:
            raise NotFoundError(f"The builder {row.builder} is not in the configuration that the build began with.")
        slave = config.slaves.get(row.slave)
        grace = builder.grace_on(slave) if slave else builder.grace or 0.0
        view = View(
            _properties(config, row, start.buildset),
            sources={"": dict(start.buildset.source)},
            slave={"name": row.slave},
        )

        async def secret(name: str) -> str:
            if not config.slow_secrets:
                return config.secret(name)
            return str(await self._stream_storage.in_thread(lambda: config.secret(name)))

        def context(build: Build, journal: Journal) -> BuildContext:
            return BuildContext(
                nonce=row.nonce,
                builder_directory=builder.directory,
                session=self._slaves.session(row.slave),
                own_session=self._slaves.own,
                home=row.home or None,
                grace=grace,
                env=builder.env,
                journal=journal,
                recorder=recorder,
                streams=streams,
                view=view,
                secret=secret,
                triggers=self._children(row, start.buildset),
                inputs=submitted,
                inherited=start.buildset.parent is not None,
                wall=self._wall,
                live=LiveCommands(),
                master_directory=self._stream_storage.basedir,
                on_lost=builder.on_lost,
                room=partial(self._reserve.admits, row.slave),
            )

        return Build(
            id=row.id,
            label=f"{row.builder}/{row.number}",
            recipes=[step.recipe for step in builder.steps],
            context=context,
            store=recorder,
            clock=self._clock,
            started=row.started,
            max_time=builder.max_time,
            recorded=start.entries,
            went_live=live,
            cannot="" if generation else "the configuration that it began with cannot be loaded any more",
        )

    def _children(self, row: records_of_builds.Build, buildset: Buildset) -> ChildBuilds:
        return ChildBuilds(
            submission=self._submission(),
            records=self._records,
            clock=self._clock,
            directory=self.streams,
            parent=row,
            input=buildset.input,
        )

    async def _submitted(self, buildset: Buildset) -> Mapping[str, tuple[Source, int, str]]:
        which = buildset.input
        if which is None:
            return {}
        row = await read_retrying(self._records, lambda connection: inputs.get(connection, which), self._clock)
        if row is None:
            return {}
        return {row.kind: (StoredInput(self._inputs, row.sha256), row.length, row.sha256)}

    def _tell_left(self, slave: str) -> None:
        if slave in self._left and not self.on(slave) and not self._beginning_on(slave):
            self._left.pop(slave).fire(None)

    def _tell_idle(self) -> None:
        if not self._live and not len(self._queue().slots):
            idle, self._idle = self._idle, OneShot()
            idle.fire(None)


def read_entries(connection: Connection, build: int) -> list[JournalEntry]:
    """
    The journal of *build*, as `Journal` takes it.
    """
    return [
        JournalEntry(row.step, row.ordinal, row.kind, row.fingerprint, row.intent, row.outcome)
        for row in records_of_journal.of_build(connection, build)
    ]


def _properties(config: MasterConfig, row: records_of_builds.Build, buildset: Buildset) -> Properties:
    """
    What a build starts with; what is further down wins.
    """
    asked = Properties.from_document(buildset.properties)
    properties = asked.only(SUBMITTED)
    if slave := config.slaves.get(row.slave):
        properties.update(slave.properties, "Slave")
    if builder := config.builders.get(row.builder):
        properties.update(builder.properties, "Builder")
    properties.update_from(asked.without(SUBMITTED))
    known: dict[str, Json] = {
        "buildername": row.builder,
        "buildnumber": row.number,
        "slavename": row.slave,
        "workername": row.slave,
        "scheduler": buildset.scheduler,
        "requestid": row.request,
    }
    for name in ("branch", "revision", "repository", "project"):
        known[name] = buildset.source.get(name, "" if name in {"repository", "project"} else None)
    properties.update(known, "Build")
    return properties
