"""
Preparation: from the record of a build to the object that runs it.

A build runs with the configuration that it began with, its *generation*, even if another is in force now.
"""

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from attrs import frozen
from sqlalchemy import Connection
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from ...errors import NotFoundError
from ...model.change_view import ChangeView
from ...model.http_request import HttpAnswer, HttpRequest
from ...model.names import directory_name
from ...model.properties import (
    SUBMITTED,
    Json,
    Properties,
)
from ...model.rendering import View
from ...model.source_stamps import FIELDS, is_untrusted, marks_of, stamps_of
from ...storage.inputs import InputStore
from ...storage.publishing import publish, publish_directory
from ...storage.records import builds as records_of_builds
from ...storage.records import changes, inputs, slaves
from ...storage.records import journal as records_of_journal
from ...storage.records.buildsets import Buildset
from ...storage.records.requests import Request
from ...storage.retrying import read_retrying
from ...storage.roles import Records
from ..builds import other_artifacts
from ..builds.build import Build
from ..builds.build_context import BuildContext
from ..builds.disk_reserve import DiskReserve
from ..builds.journal import Journal, JournalEntry
from ..builds.lock_waits import BuildLocks
from ..builds.locks import Locks
from ..builds.recorder import BuildRecorder
from ..builds.streams import BuildStreamFiles, StreamStorage
from ..builds.triggered import ChildBuilds, RequestSubmission
from ..config.artifacts import WantedArtifact
from ..config.build_factory import BuildFactory
from ..config.generations import Generations
from ..config.loading import Generation
from ..config.master_config import MasterConfig
from ..config.objects import BuilderConfig
from ..slaves.command_streams import Source
from ..slaves.registry import SlaveRegistry
from ..slaves.slots import directory_of
from ..steps.artifact_uses import ARTIFACTS_DIRECTORY
from .code_time import CodeTime
from .schedulers.submitting import CHANGE


@frozen
class RecordedBuild:
    """
    A build whose start is in the records: its row, its request and buildset, its *changes*, and its
    journal (empty for a new build).
    """

    row: records_of_builds.Build
    request: Request
    buildset: Buildset
    changes: Sequence[ChangeView]
    entries: Sequence[JournalEntry] = ()

    @property
    def label(self) -> str:
        """
        The name of the build for people: "builder/number".
        """
        return f"{self.row.builder}/{self.row.number}"


@frozen
class StoredInput:
    """
    A submitted input, as a command reads it: the role `command.Source`.
    """

    store: InputStore
    sha256: str

    def read(self, offset: int, size: int) -> bytes:
        """
        At most *size* bytes from *offset*.
        """
        return self.store.read(self.sha256, offset, size)


Inputs = Mapping[str, tuple[Source, int, str]]
"""By kind: the submitted input, its length in bytes and its SHA-256 in hexadecimal."""


@frozen(kw_only=True)
class Preparation:
    """
    Makes builds out of their records.  *streams*: the directory of the logs.  *label*: a request's build, for people.
    *wall*: seconds since 1970.  *http*: sends a request for a step.  *code_time*: budgets for the code of steps.
    """

    records: Records
    slaves: SlaveRegistry
    submission: RequestSubmission
    stream_storage: StreamStorage
    reserve: DiskReserve
    locks: Locks
    label: Callable[[int], str]
    inputs: InputStore
    generations: Generations
    clock: IReactorTime
    wall: Callable[[], float]
    http: Callable[[HttpRequest], Awaitable[HttpAnswer]]
    code_time: CodeTime

    async def prepare(
        self,
        recorded: RecordedBuild,
        generation: Generation | None,
        *,
        recorder: BuildRecorder,
        streams: BuildStreamFiles,
        went_live: Callable[[], None],
    ) -> Build:
        """
        The build of *recorded*, ready to run.

        *generation*: with which it began; None when that cannot be loaded any more.  Then the build runs only as far as
        its journal goes.  *went_live*: called when the build has caught up with its journal.
        """
        submitted = await self._input_of(recorded.buildset)
        config, row = (generation or self.generations.current).config, recorded.row
        builder = config.builders.get(row.builder)
        if generation is None:
            builder = builder or BuilderConfig(row.builder, [row.slave], BuildFactory())
        if builder is None:
            raise NotFoundError(f"The builder {row.builder} is not in the configuration that the build began with.")
        directories = directories_of(builder, await self._work_directory(row.slave))
        context = partial(self._context, recorded, config, builder, submitted, directories, recorder, streams)
        return Build(
            id=row.id,
            label=recorded.label,
            recipes=[step.recipe for step in builder.steps],
            context=context,
            store=recorder,
            clock=self.clock,
            started=row.started,
            max_time=builder.max_time,
            recorded=recorded.entries,
            went_live=went_live,
            cannot="" if generation else "the configuration that it began with cannot be loaded any more",
        )

    def _context(
        self,
        recorded: RecordedBuild,
        config: MasterConfig,
        builder: BuilderConfig,
        submitted: Inputs,
        directories: Mapping[str, Json],
        recorder: BuildRecorder,
        streams: BuildStreamFiles,
        build: Build,
        journal: Journal,
    ) -> BuildContext:
        row, buildset = recorded.row, recorded.buildset
        slave = config.slaves.get(row.slave)
        artifacts = os.path.join(self.stream_storage.artifacts, directory_name(row.builder), str(row.number))
        properties = Properties({ARTIFACTS_DIRECTORY: artifacts}, "Build")
        properties.update(directories, "Slave")
        properties.update_from(properties_of(config, row, buildset))
        return BuildContext(
            nonce=row.nonce,
            builder_directory=builder.directory,
            session=self.slaves.session(row.slave),
            own_session=self.slaves.own,
            home=row.home or None,
            grace=builder.grace_on(slave) if slave else builder.grace or 0.0,
            env=builder.env,
            journal=journal,
            recorder=recorder,
            streams=streams,
            view=View(
                properties, sources=stamps_of(buildset.source), slave={"name": row.slave}, changes=recorded.changes
            ),
            secret=self._secrets_of(config),
            triggers=self._children(row, buildset),
            inputs=submitted,
            inherited=buildset.parent is not None,
            wall=self.wall,
            others_turn=partial(deferLater, self.clock, 0),
            http=self.http,
            artifact=partial(self._artifact, buildset),
            publish=partial(self._publish, builder.name, row.number),
            master_directory=self.stream_storage.basedir,
            on_lost=builder.on_lost,
            workdir=directory_of(row.slot, builder.factory.workdir),
            room=partial(self.reserve.admits, row.slave),
            locks=BuildLocks(self.locks, recorded.request.id, self.label),
            untrusted=is_untrusted(buildset.source),
            budget=self.code_time.of(f"builder {builder.name}"),
        )

    async def _work_directory(self, slave: str) -> str | None:
        member = self.slaves.get(slave)
        if member is None:
            # The slave is no longer in the configuration, but a build that began on it continues.
            row = await read_retrying(self.records, lambda connection: slaves.get(connection, slave), self.clock)
            platform = row.platform if row else {}
        else:
            platform = member.platform
        found = platform.get("work")
        return found if isinstance(found, str) and found.startswith("/") else None

    def _secrets_of(self, config: MasterConfig) -> Callable[[str], Awaitable[str]]:
        async def secret(name: str) -> str:
            if not config.slow_secrets:
                return config.secret(name)
            return str(await self.stream_storage.in_thread(lambda: config.secret(name)))

        return secret

    def _children(self, row: records_of_builds.Build, buildset: Buildset) -> ChildBuilds:
        return ChildBuilds(
            submission=self.submission,
            records=self.records,
            clock=self.clock,
            directory=self.stream_storage.streams,
            parent=row,
            input=buildset.input,
            marks=marks_of(buildset.source),
        )

    async def _artifact(self, buildset: Buildset, wanted: WantedArtifact) -> Mapping[str, str | int]:
        untrusted = is_untrusted(buildset.source)
        finding = partial(other_artifacts.find, wanted=wanted, parent=buildset.parent_build, untrusted=untrusted)
        return await read_retrying(self.records, finding, self.clock)

    async def _publish(self, builder: str, number: int, artifact: str, path: str, mode: int | None) -> None:
        storage, own = self.stream_storage, self.generations.config.own_directories(self.stream_storage.basedir)
        source = os.path.join(storage.artifacts, directory_name(builder), str(number), artifact)
        if mode is None:
            await storage.in_thread(lambda: publish_directory(source, path, basedir=storage.basedir, own=own))
        else:
            await storage.in_thread(lambda: publish(source, path, mode, basedir=storage.basedir, own=own))

    async def _input_of(self, buildset: Buildset) -> Inputs:
        input_row = buildset.input
        if input_row is None:
            return {}
        row = await read_retrying(self.records, lambda connection: inputs.get(connection, input_row), self.clock)
        if row is None:
            return {}
        return {row.kind: (StoredInput(self.inputs, row.sha256), row.length, row.sha256)}


def read_changes(connection: Connection, buildset: int) -> Sequence[ChangeView]:
    """
    The changes of *buildset*, oldest first.  For the transaction that begins its build: a read of its own
    would take another thread's turn for each build.
    """
    return [ChangeView(each.change, each.id, each.received) for each in changes.of_buildset(connection, buildset)]


def read_entries(connection: Connection, build: int) -> list[JournalEntry]:
    """
    The journal of *build*, as `Journal` takes it.
    """
    return [
        JournalEntry(row.step, row.ordinal, row.kind, row.fingerprint, row.intent, row.outcome)
        for row in records_of_journal.of_build(connection, build)
    ]


def directories_of(builder: BuilderConfig, work: str | None) -> dict[str, Json]:
    """
    The properties that say where a build is on its slave, as Buildbot sets them: *basedir*, the slave's work directory,
    and *builddir* and *workdir*, the builder's directory in it.  All others precede them.

    *work*: the path of the slave's work directory; None: a slave of version 0.1.0 does not report it.  Then the paths
    are relative to the default directory of commands: ``rm -rf %(prop:builddir)s/x`` must never be ``rm -rf /x``.
    """
    base = work or "../.."
    directory = f"{work}/{builder.directory}" if work else ".."
    return {"basedir": base, "builddir": directory, "workdir": directory}


def properties_of(config: MasterConfig, row: records_of_builds.Build, buildset: Buildset) -> Properties:
    """
    The properties with which a build starts.  Increasing precedence: the builder's default ones, the submitter's, those
    of all builds, the slave's, the builder's, the scheduler's, those that describe the build.
    """
    requested = Properties.from_document(buildset.properties)
    properties = requested.only(SUBMITTED)
    properties.update(config.properties, "global")
    properties.update_from(requested.only(CHANGE))
    if slave := config.slaves.get(row.slave):
        properties.update(slave.properties, "Slave")
    if builder := config.builders.get(row.builder):
        properties.update(builder.properties, "Builder")
    properties.update_from(requested.without(SUBMITTED).without(CHANGE))
    if builder:
        defaults = {name: value for name, value in builder.default_properties.items() if name not in properties}
        properties.update(defaults, "Builder")
    known: dict[str, Json] = {**row.identity(), "scheduler": buildset.scheduler}
    for name in FIELDS:
        known[name] = buildset.source.get(name, "" if name in {"repository", "project"} else None)
    properties.update(known, "Build")
    return properties
