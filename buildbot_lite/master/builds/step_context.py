"""
What a running step has at hand: the one door between a step's code and the world.

Each method of `StepContext` becomes an entry of the build's journal here, so that whatever the step learns, it learns
again in a replay.  Commands go to the slave's session (or to that of the master's own keeper), and are the only thing
that can take long.
"""

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from attrs import define, evolve, field, frozen
from twisted.internet.defer import CancelledError, Deferred, DeferredList, succeed

from ...deferreds import shielded
from ...errors import (
    BuildbotLiteError,
    ConfigError,
    FileError,
)
from ...model.display import printable
from ...model.json_reader import encode
from ...model.outcome import (
    Ending,
    Outcome,
    Remark,
    Seal,
    Why,
)
from ...model.properties import Json
from ...model.rendering import View, rendered_environment
from ...model.results import Result
from ...model.spec import (
    SECRET_REFERENCE,
    Run,
    Spec,
    to_document,
)
from ..slaves.command import RemoteCommand
from ..slaves.command_streams import EntryStreams, Source
from ..slaves.session import Session
from ..steps.step import CommandResult
from .abandon import (
    COMMAND,
    TRIGGERED,
    command_id,
)
from .journal import (
    Done,
    Journal,
    JournalEntry,
)
from .recorder import BuildRecorder
from .redaction import Redaction
from .triggered import MOST_CHILDREN, Child

T = TypeVar("T")

MOST_RANDOM = 1024
# Longer arguments, and those of several lines, are shown as an ellipsis.
LONGEST_SHOWN = 100
MOST_LISTED = 15


class SlaveLostError(BuildbotLiteError):
    """
    The slave was lost in mid-command: the build is tried again.
    """


class OutcomeUnknownError(BuildbotLiteError):
    """
    The master stopped while this was being done, and nobody knows whether it was.  It is not done twice.
    """


class ReadableEntryStreams(EntryStreams, Protocol):
    """
    A shelf that can also be read.
    """

    def read(self, name: str, offset: int, size: int) -> bytes:
        """
        At most *size* bytes of a stream; nothing when it does not exist.
        """

    def seals(self) -> dict[str, Seal]:
        """
        The length and checksum of every stream as it is now.
        """


class BuildStreams(Protocol):
    """
    Where the streams of a build stand.
    """

    def entry(self, step: int, ordinal: int, artifact: str | None = None) -> ReadableEntryStreams:
        """
        Those of one journal entry.  *artifact*: what an uploaded stream is called.
        """


class TriggeredBuilds(Protocol):
    """
    Who starts other builds.
    """

    def trigger(
        self, scheduler: str, parent: str, properties: Mapping[str, Json], source: Mapping[str, Json]
    ) -> Deferred[int]:
        """
        Ask the Triggerable called *scheduler*, once for each *parent*; answers the buildset.
        """

    def when_finished(self, buildset: int) -> Deferred[Result]:
        """
        Fires with its result, also when it has finished long ago.
        """

    def children(self, buildset: int) -> Deferred[Sequence[Child]]:
        """
        What has become of each of its requests so far.
        """

    async def cancel(self, buildset: int, reason: str) -> Sequence[Child]:
        """
        End those that have not ended; answers which.
        """


@frozen
class BuildContext:
    """
    What all benches of one build share.

    *nonce*: of which command ids are made.  *home*: the slave's directory when the build began.  *grace*: seconds.
    *env*: the builder's.  *secret*: looks a secret's value up.  *inputs*: what was submitted, by kind.
    *revealed*: the secrets that the build's commands have been told so far; *veil*: hides their values in text of ours.
    *master_directory*: in which master.cfg is.  *random*: gives bytes.  *on_lost*: "retry" or "fail", for steps that
    say neither.  *room*: whether the slave may send so many bytes now.
    *begun*: the commands so far, for people.  *used*: the kinds of input that steps asked for or passed on;
    *inherited*: whether the inputs are those of a parent build.
    """

    nonce: str
    builder_directory: str
    session: Session
    own_session: Session
    home: str | None
    grace: float
    env: Mapping[str, Any]
    journal: Journal
    recorder: BuildRecorder
    streams: BuildStreams
    view: View
    secret: Callable[[str], Awaitable[str]]
    triggers: TriggeredBuilds
    inputs: Mapping[str, tuple[Source, int, str]]
    wall: Callable[[], float]
    live: "LiveCommands"
    revealed: set[str] = field(factory=set)
    redaction: Redaction = field(factory=Redaction)
    master_directory: str = "."
    random: Callable[[int], bytes] = os.urandom
    on_lost: str = "retry"
    room: Callable[[int], bool] = lambda size: True
    begun: list[str] = field(factory=list)
    used: set[str] = field(factory=set)
    inherited: bool = False

    def session_at(self, where: str) -> Session:
        """
        The session of "slave" or "master".
        """
        return self.own_session if where == "master" else self.session


@define
class LiveCommands:
    """
    The commands and the *buildsets* that a build is waiting for now, and whether they are to end.
    """

    buildsets: set[int] = field(factory=set)
    _running: dict[str, Session] = field(factory=dict)
    _waits: set[Deferred[Any]] = field(factory=set)
    _reason: str | None = None
    _empty: Deferred[None] = field(factory=lambda: succeed(None))

    def began(self, id: str, session: Session) -> None:
        """
        One more; it is interrupted at once when the step is being stopped.
        """
        self._running[id] = session
        if self._reason is not None:
            session.end(id, self._reason)

    def ended(self, id: str) -> None:
        """
        One less.
        """
        self._running.pop(id, None)
        if not self._running and not self._empty.called:
            self._empty.callback(None)

    def interrupt(self, reason: str) -> None:
        """
        Interrupt all, and those that come until `relent`.
        """
        self._reason = reason
        for id, session in tuple(self._running.items()):
            session.end(id, reason)
        for wait in tuple(self._waits):
            wait.cancel()

    async def drained(self, reason: str) -> None:
        """
        Interrupt what a step left running, and wait until none of it runs.
        """
        if self._running:
            for id, session in tuple(self._running.items()):
                session.interrupt(id, reason)
            self._empty = Deferred()
            await self._empty

    async def waiting_for(self, event: Deferred[T]) -> T:
        """
        What *event* gives, unless the step is stopped first.
        """
        if self._reason is not None:
            event.cancel()
        self._waits.add(event)
        try:
            return await event
        finally:
            self._waits.discard(event)

    def relent(self) -> None:
        """
        The next step may run commands again.
        """
        self._reason = None

    @property
    def reason(self) -> str:
        """
        Why the step is to end; empty when it is not.
        """
        return self._reason or ""

    @property
    def ids(self) -> Sequence[str]:
        """
        Which they are.
        """
        return tuple(self._running)


class JournaledContext:
    """
    The bench of one step; see `StepContext` for what each method promises.
    """

    def __init__(self, build: BuildContext, step: int) -> None:
        self._build = build
        self._step = step
        self._written: dict[str, tuple[int, ReadableEntryStreams, int]] = {}
        self._lengths: dict[str, int] = {}
        self._closed = False
        self._unwritten: FileError | None = None

    def close(self) -> None:
        """
        The build goes on without the step's code: whatever that asks for from now on fails with `CancelledError`, and
        what it says is not kept.
        """
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise CancelledError

    async def _effect(
        self, kind: str, intent: Json, perform: Callable[[JournalEntry, bool], Awaitable[Done]], **options: Any
    ) -> JournalEntry:
        """
        See `Journal.effect`.
        """
        self._check_open()

        async def perform_if_open(entry: JournalEntry, resumed: bool) -> Done:
            self._check_open()  # the intent may have waited for the records
            return await perform(entry, resumed)

        return await self._build.journal.effect(self._step, kind, intent, perform_if_open, **options)

    @property
    def view(self) -> View:
        """
        See `StepContext`.
        """
        return self._build.view

    @property
    def directory(self) -> str:
        """
        See `StepContext`.
        """
        return self._build.builder_directory

    @property
    def master_directory(self) -> str:
        """
        See `StepContext`.
        """
        return self._build.master_directory

    async def command(
        self,
        spec: Spec,
        *,
        on_master: bool = False,
        sources: Mapping[str, Source] | None = None,
        artifact: str | None = None,
        on_lost: str | None = None,
    ) -> CommandResult:
        """
        See `StepContext`.
        """
        build = self._build
        repeats = (on_lost or build.on_lost) != "fail"
        if isinstance(spec, Run):
            grace = build.grace if repeats else None
            spec = evolve(spec, grace=grace, env={**await rendered_environment(build.env, self.view), **spec.env})
        document = to_document(spec)
        intent: dict[str, Any] = {"spec": document, "where": "master" if on_master else "slave", "artifact": artifact}
        session = build.session_at(intent["where"])
        # What an earlier command was told may be in a file that this one prints: the keeper is to mask it all.
        build.revealed.update(_secrets_in(document))
        self._announce(spec)

        async def perform(entry: JournalEntry, resumed: bool) -> Done:
            streams = build.streams.entry(entry.step, entry.ordinal, artifact)
            command = RemoteCommand(
                id=command_id(build.nonce, entry.step, entry.ordinal),
                spec=spec,
                secrets={name: build.redaction.hide(name, await build.secret(name)) for name in sorted(build.revealed)},
                grace=build.grace if repeats else None,
                streams=streams,
                sources=sources or {},
                home=None if on_master else build.home,
                resumed=resumed,
                room=(lambda size: True) if on_master else build.room,
            )
            self._check_open()  # the secrets may have taken their time
            running = Deferred.fromCoroutine(session.run(command))
            build.live.began(command.id, session)
            build.journal.live()
            try:
                outcome = await running
            finally:
                build.live.ended(command.id)
            remarks = [evolve(each, offset=each.offset + self._lengths.get(each.stream, 0)) for each in outcome.remarks]
            return Done(outcome.to_document(), outcome.streams, remarks, command.committed, held=True)

        entry = await self._effect(COMMAND, intent, perform, properties=self._properties, live_at_once=False)
        outcome = Outcome.from_document(entry.outcome)
        for name, seal in outcome.streams.items():
            log = name.partition("~")[0]
            self._lengths[log] = self._lengths.get(log, 0) + seal.length
        # A lease that ran out is the slave's side of the same loss.
        if outcome.why is Why.STORAGE:
            raise FileError(outcome.sentence)
        # Of a build that was stopped nothing more can be done there either, whatever *on_lost* says.
        if (outcome.ending is Ending.LOST or outcome.why is Why.LEASE) and (repeats or build.live.reason):
            self._list_begun()
            raise SlaveLostError(outcome.sentence)
        streams = build.streams.entry(entry.step, entry.ordinal, artifact)
        final = {name.partition("~")[0]: name for name in outcome.streams}
        return CommandResult(outcome, lambda log, limit: streams.read(final.get(log, log), 0, limit))

    async def trigger(
        self,
        names: list[str],
        properties: Mapping[str, Json],
        *,
        wait: bool,
        source: Mapping[str, Json] | None = None,
        log: str | None = None,
    ) -> dict[str, Result | None]:
        """
        See `StepContext`.
        """
        # Whoever passes an input on has used it; what becomes of it is the children's.
        self._build.used.update(self._build.inputs)
        source = self.view.sources.get("", {}) if source is None else source
        asked = {name: await self._ask(name, properties, source) for name in names}
        buildsets = {name: int(outcome["buildset"]) for name, outcome in asked.items()}
        if not wait:
            if log is not None:
                self.write(log, "".join(f"{name}: {_asked_for(outcome)}\n" for name, outcome in asked.items()))
            return dict.fromkeys(names)
        waits = [Deferred.fromCoroutine(self._await(name, buildset)) for name, buildset in buildsets.items()]
        ended: list[tuple[bool, Any]] = await DeferredList(waits, consumeErrors=True)
        for succeeded, failure in ended:
            if not succeeded:
                # All of them, also when the step itself is given up meanwhile.
                await shielded(self._end_children(buildsets))
                raise failure.value
        outcomes = {name: outcome for name, (_, outcome) in zip(buildsets, ended, strict=True)}
        if log is not None:
            listed = [f"{name}: {line}\n" for name, outcome in outcomes.items() for line in _listed(outcome)]
            self.write(log, "".join(listed))
        return {name: Result(outcome["result"]) for name, outcome in outcomes.items()}

    async def now(self) -> float:
        """
        See `StepContext`.
        """
        return float(await self._once("now", None, self._build.wall))

    async def random(self, size: int) -> bytes:
        """
        See `StepContext`.
        """
        if not 0 <= size <= MOST_RANDOM:
            raise ConfigError(f"random() gives 0 to {MOST_RANDOM} bytes, not {size}.")
        return bytes.fromhex(await self._once("random", size, lambda: self._build.random(size).hex()))

    async def record(self, what: str, intent: Json, ask: Callable[[], Awaitable[Json]], *, repeatable: bool) -> Json:
        """
        See `StepContext`.
        """

        async def perform(entry: JournalEntry, resumed: bool) -> Done:
            if resumed and not repeatable:
                raise OutcomeUnknownError(
                    f"The master stopped while {what} was being done, and nobody knows whether it was.  "
                    "It is not done twice."
                )
            return Done({"answer": await ask()})

        intended = {"what": what, "intent": intent}
        entry = await self._effect("record", intended, perform, properties=self._properties)
        return entry.outcome["answer"] if entry.outcome else None

    def write(self, log: str, text: str) -> None:
        """
        See `StepContext`.
        """
        self._check_open()
        if log not in self._written:
            ordinal = self._build.journal.allocate(self._step)
            self._written[log] = ordinal, self._build.streams.entry(self._step, ordinal), 0
        ordinal, streams, offset = self._written[log]
        written = self._build.redaction.text(text).encode("utf-8", "surrogateescape")
        self._written[log] = ordinal, streams, offset + len(written)
        self._lengths[log] = self._lengths.get(log, 0) + len(written)

        def append() -> None:
            try:
                streams.stream(log).append(offset, written)
            except FileError as error:
                self._unwritten = error

        # It is read at once, and must not tell what a replay would not.
        self._build.journal.once_kept(append)
        self._complain()

    def remark(self, text: str, log: str = "stdio") -> None:
        """
        See `StepContext`.  A replay does not say it again.
        """
        if not self._closed:
            self._remark(text, log)

    def _remark(self, text: str, log: str = "stdio") -> None:
        if not self._build.journal.replaying:
            masked = printable(self._build.redaction.text(text), lines=True)
            self._build.recorder.remark(self._step, Remark(log, self._lengths.get(log, 0), self._build.wall(), masked))

    def input(self, name: str) -> tuple[Source, int, str] | None:
        """
        See `StepContext`.
        """
        self._build.used.add(name)
        return self._build.inputs.get(name)

    async def settled(self) -> None:
        """
        Wait until what the step wrote itself is where it belongs; `FileError` if it cannot be.
        """
        if self._written:
            await self._build.journal.kept()
        self._complain()

    async def written(self) -> dict[int, tuple[str, Seal]]:
        """
        By ordinal, the logs that the step wrote itself, as far as they could be stored.
        """
        if self._written:
            await self._build.journal.kept()
        sealed: dict[int, tuple[str, Seal]] = {}
        for log, (ordinal, streams, _) in self._written.items():
            try:
                seal = streams.seals().get(log)
            except FileError as error:
                self._remark(str(error))
            else:
                if seal is not None:
                    sealed[ordinal] = log, seal
        return sealed

    async def _ask(self, name: str, properties: Mapping[str, Json], source: Mapping[str, Json]) -> Mapping[str, Any]:
        triggers = self._build.triggers

        async def perform(entry: JournalEntry, resumed: bool) -> Done:
            parent = command_id(self._build.nonce, entry.step, entry.ordinal)
            buildset = await triggers.trigger(name, parent, properties, source)
            children = await triggers.children(buildset)
            outcome = {"buildset": buildset, "requests": [(each.request, each.builder) for each in children]}
            self.remark(f"{name}: {_asked_for(outcome)}")
            return Done(outcome)

        intent = {"scheduler": name, "properties": dict(properties)}
        entry = await self._effect("trigger", intent, perform)
        outcome: Mapping[str, Any] = entry.outcome or {"buildset": 0}
        return outcome

    async def _await(self, name: str, buildset: int) -> Mapping[str, Any]:
        build = self._build

        async def perform(entry: JournalEntry, resumed: bool) -> Done:
            build.live.buildsets.add(buildset)
            try:
                result: Result = await build.live.waiting_for(build.triggers.when_finished(buildset))
            finally:
                build.live.buildsets.discard(buildset)
            children = await build.triggers.children(buildset)
            outcome = {
                "result": int(result),
                "builds": [each.to_document() for each in children[:MOST_CHILDREN]],
                "more": max(0, len(children) - MOST_CHILDREN),
            }
            for line in _listed(outcome):
                self.remark(f"{name}: {line}")
            return Done(outcome)

        entry = await self._effect(TRIGGERED, {"buildset": buildset}, perform)
        outcome: Mapping[str, Any] = entry.outcome or {"result": int(Result.EXCEPTION)}
        return outcome

    async def _end_children(self, buildsets: Mapping[str, int]) -> None:
        """
        Nobody waits for these builds any more.
        """
        build = self._build
        for name, buildset in buildsets.items():
            ended = await build.triggers.cancel(buildset, build.live.reason or "its step failed")
            if ended:
                self._remark(f"{name}: cancelled as well: " + ", ".join(child.label for child in ended))

    async def _once(self, kind: str, intent: Json, ask: Callable[[], Json]) -> Any:
        async def perform(entry: JournalEntry, resumed: bool) -> Done:
            return Done({"answer": ask()})

        entry = await self._effect(kind, intent, perform)
        return entry.outcome["answer"] if entry.outcome else None

    def _properties(self) -> Mapping[str, Any]:
        self._build.redaction.properties(self._build.view.properties)
        return {name: tuple(pair) for name, pair in self._build.view.properties.to_document().items()}

    def _complain(self) -> None:
        error, self._unwritten = self._unwritten, None
        if error is not None:
            raise error

    def _announce(self, spec: Spec) -> None:
        """
        What is about to be done, in words, beside the log.
        """
        if isinstance(spec, Run):
            words = spec.script if spec.script is not None else " ".join(map(_shown, spec.argv))
            said = f"$ {SECRET_REFERENCE.sub('*****', words)}"
            self._build.begun.append(said)
            self.remark(f"{said}  (in {spec.workdir})")

    def _list_begun(self) -> None:
        """
        The build is about to be done again: say what has been done already, by somebody who may mind.
        """
        begun = self._build.begun
        if begun:
            left_out = f"… {len(begun) - MOST_LISTED} earlier ones; " if len(begun) > MOST_LISTED else ""
            self.remark("these had started: " + left_out + "; ".join(each[:100] for each in begun[-MOST_LISTED:]))


def _asked_for(outcome: Mapping[str, Any]) -> str:
    return ", ".join(f"request {id} ({builder})" for id, builder in outcome.get("requests", ()))


def _listed(outcome: Mapping[str, Any]) -> list[str]:
    """
    What is said of triggered builds.  An entry of version 0.1.0 has only their result.
    """
    lines = [line for each in outcome.get("builds", ()) for line in Child.from_document(each).lines]
    more = outcome.get("more", 0)
    return [*lines, f"and {more} more"] if more else lines


def _secrets_in(document: Mapping[str, Any]) -> list[str]:
    # In canonical JSON a NUL is an escape; names have no characters that JSON would escape.
    return SECRET_REFERENCE.findall(encode(document).decode("ascii").replace("\\u0000", "\0"))


def _shown(argument: str) -> str:
    if "\n" in argument or len(argument) > LONGEST_SHOWN:
        return "…"
    return argument if argument and not set(argument) & set(" \t\n'\"$`\\|&;<>()*?#~") else repr(argument)
