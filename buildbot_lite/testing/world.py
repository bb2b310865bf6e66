"""
The farm around one build in a test, which survives crashes of the master: `memory` has its parts.
"""

import hashlib
import random
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater
from twisted.python.failure import Failure

from ..errors import NotFoundError
from ..master.builds.build import Build
from ..master.builds.build_context import BuildContext
from ..master.builds.build_progress import Ended
from ..master.builds.journal import (
    Journal,
)
from ..master.slaves.command_streams import ARTIFACT, STDIO, Source, log_of
from ..master.slaves.session import Session
from ..master.steps.step import BuildStep
from ..model.hello import Hello
from ..model.http_request import HttpAnswer, HttpRequest
from ..model.names import directory_name
from ..model.properties import Json, Properties
from ..model.rendering import View
from ..model.results import Result
from .memory import IgnoringListener, MemoryEntryStreams, MemoryJournal, MemoryRecorder, MemorySource, MemoryTriggers
from .script import (
    Answer,
    Asked,
    Script,
    ScriptedSlave,
)

_DIRECTORY = directory_name("test")
_DIRECTORIES = {
    "artifactsdir": f"/master/artifacts/{_DIRECTORY}/1",
    "basedir": "/slave/work",
    "builddir": f"/slave/work/{_DIRECTORY}",
    "workdir": f"/slave/work/{_DIRECTORY}",
}


@frozen
class Finished:
    """
    The result of a step in a test.

    *ended*: the end of the build.  *asked*: the commands that reached the slave, in order.  *logs*: by name, without
    artifacts.  *published*: path on the master → the artifact that was copied there.  *triggered*: scheduler and
    properties of each triggered build.  *requests*: over HTTP, with the values of secrets; one that a crash
    interrupted may be there twice.
    """

    result: Result
    summary: str
    hidden: bool
    ended: Ended
    asked: Sequence[Asked]
    logs: Mapping[str, bytes]
    artifacts: Mapping[str, bytes]
    remarks: Sequence[str]
    properties: Mapping[str, Json]
    triggered: Sequence[tuple[str, Mapping[str, Json]]]
    requests: Sequence[HttpRequest]
    published: Mapping[str, str] = field(factory=dict)

    @property
    def commands(self) -> list[str]:
        """
        The texts of the commands that reached the slave.
        """
        return [asked.text for asked in self.asked]

    def log(self, name: str = STDIO) -> str:
        """
        The log *name* as text; empty if there is no such log.
        """
        return self.logs.get(name, b"").decode("utf-8", "replace")


@define
class World:
    """
    The farm around one build, across crashes of the master.
    """

    answers: Sequence[Answer]
    properties: Mapping[str, Json] = field(factory=dict)
    sources: Mapping[str, Mapping[str, Json]] = field(factory=dict)
    secrets: Mapping[str, str] = field(factory=dict)
    inputs: Mapping[str, bytes] = field(factory=dict)
    triggers: Mapping[str, Result] = field(factory=dict)
    pages: Mapping[str, HttpAnswer] = field(factory=dict)
    slave: str = "bot1"
    master_directory: str = "."
    store: MemoryJournal = field(factory=MemoryJournal)
    streams: dict[tuple[int, int], MemoryEntryStreams] = field(factory=dict)
    artifacts: dict[tuple[int, int], str] = field(factory=dict)
    output_logs: dict[tuple[int, int], str] = field(factory=dict)
    # References to crashed builds, which wait for ever: collecting a coroutine would run its ``finally`` clauses.
    crashed: list[Deferred[Ended]] = field(factory=list)
    requests: list[HttpRequest] = field(factory=list)
    published: dict[str, str] = field(factory=dict)
    script: Script = field(init=False)
    other_builds: MemoryTriggers = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.script = Script(self.answers, _DIRECTORY)
        self.other_builds = MemoryTriggers(self.triggers)

    def crash(self, step: BuildStep, moment: int) -> None:
        """
        Run *step* until the master crashes at *moment*, counted from 0.
        """
        self.store.last = moment
        _, _, running = self._start(step)
        self.crashed.append(running)
        self.store.last = None

    def finish(self, step: BuildStep) -> Finished:
        """
        Run *step* to its end; the journal answers the effects that it has.
        """
        recorder, view, running = self._start(step)
        found: list[Any] = []
        running.addBoth(found.append)  # type: ignore[unused-awaitable]  # it has its result, or never will
        if self.script.complaints:
            raise AssertionError(self.script.complaints[0])
        if not found:
            raise AssertionError("The step waits for something that does not happen in this test.")
        if isinstance(found[0], Failure):
            found[0].raiseException()
        if self.script.left() and recorder.finished is not None and recorder.finished[0] is not Result.SKIPPED:
            raise AssertionError(f"The step ended {_ending(recorder)}, and did not run {self.script.left()[0]!r}.")
        result, summary, hidden = recorder.finished or (found[0].result, found[0].reason, False)
        return Finished(
            result=result,
            summary=summary,
            hidden=hidden,
            ended=found[0],
            asked=tuple(self.script.asked),
            logs=self._logs(),
            artifacts={
                name: self.streams[key].read(ARTIFACT, 0, 1 << 40)
                for key, name in self.artifacts.items()
                if key in self.streams
            },
            remarks=tuple(recorder.remarks),
            properties=view.properties.without("Slave").values(),
            triggered=tuple(self.other_builds.triggered),
            requests=tuple(self.requests),
            published=dict(self.published),
        )

    def entry(self, step: int, ordinal: int, artifact: str | None = None, log: str = STDIO) -> MemoryEntryStreams:
        self.output_logs[step, ordinal] = log
        if artifact is not None:
            self.artifacts[step, ordinal] = artifact
        return self.streams.setdefault((step, ordinal), MemoryEntryStreams())

    def _logs(self) -> dict[str, bytes]:
        logs: dict[str, bytes] = {}
        for key in sorted(self.streams):
            for name, stream in self.streams[key].streams.items():
                if name != ARTIFACT:
                    log = log_of(name, self.output_logs[key])
                    logs[log] = logs.get(log, b"") + stream.data
        return logs

    def _start(self, step: BuildStep) -> tuple[MemoryRecorder, View, Deferred[Ended]]:
        recorder, clock = MemoryRecorder(), Clock()
        properties = Properties(_DIRECTORIES, "Slave")
        properties.update(self.properties, "Test")
        view = View(properties, sources=self.sources, slave={"name": self.slave})

        def context(build: Build, journal: Journal) -> BuildContext:
            return self._context(clock, recorder, view, journal)

        build = Build(
            id=1,
            label="test/1",
            recipes=[step.recipe],
            context=context,
            store=self.store,
            clock=clock,
            started=0.0,
            recorded=tuple(self.store.entries.values()),
        )
        running = Deferred.fromCoroutine(build.run())
        while any(call.getTime() <= clock.seconds() for call in clock.getDelayedCalls()):
            clock.advance(0)
        return recorder, view, running

    def _context(self, clock: Clock, recorder: MemoryRecorder, view: View, journal: Journal) -> BuildContext:
        return BuildContext(
            nonce="test",
            builder_directory=_DIRECTORY,
            session=self._session(clock, on_master=False),
            own_session=self._session(clock, on_master=True),
            home="home",
            grace=1800.0,
            env={},
            journal=journal,
            recorder=recorder,
            streams=self,
            view=view,
            secret=self._secret,
            triggers=self.other_builds,
            inputs={name: _input(data) for name, data in self.inputs.items()},
            http=self._http,
            publish=self._publish,
            others_turn=partial(deferLater, clock, 0),
            wall=lambda: 1_700_000_000.0 + len(self.store.entries),
            random=self._random,
            master_directory=self.master_directory,
        )

    def _session(self, clock: Clock, *, on_master: bool) -> Session:
        session = Session("master" if on_master else self.slave, clock=clock, listener=IgnoringListener())
        hello = Hello(home="home", incarnation="1", keeper="1", boot="1", version="0")
        session.attached(ScriptedSlave(self.script, on_master=on_master), hello)
        return session

    async def _publish(self, artifact: str, path: str, mode: int | None) -> None:
        self.published[path] = artifact

    async def _http(self, request: HttpRequest) -> HttpAnswer:
        self.requests.append(request)
        if request.url not in self.pages:
            return HttpAnswer(error=f"there is no page {request.url} in this test")
        return self.pages[request.url]

    def _random(self, size: int) -> bytes:
        # Like the time, it depends on the number of journal entries only, so that runs can be compared.
        return random.Random(len(self.store.entries)).randbytes(size)  # noqa: S311 - not for secrets

    async def _secret(self, name: str) -> str:
        if name not in self.secrets:
            raise NotFoundError(f"There is no secret {name!r} in this test.")
        return self.secrets[name]


def _ending(recorder: MemoryRecorder) -> str:
    return f"with {recorder.finished[0].name} ({recorder.finished[1]})" if recorder.finished else "early"


def _input(data: bytes) -> tuple[Source, int, str]:
    return MemorySource(data), len(data), hashlib.sha256(data).hexdigest()
