"""
The implementation of `StepContext`, the only API through which a step causes or observes side effects.

Each effect becomes an entry of the build's journal, so that the step gets the same answers in a replay.  Commands are
sent to the slave's session, or to the session of the master's own keeper.
"""

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from functools import wraps
from itertools import islice
from time import monotonic
from types import SimpleNamespace
from typing import Any, ParamSpec, TypeVar, cast

from attrs import asdict, evolve
from twisted.internet.defer import Deferred

from ...errors import (
    BuildbotLiteError,
    ConfigError,
)
from ...http_client import basic
from ...model.http_request import IDEMPOTENT, HttpAnswer, HttpRequest
from ...model.locks import LockUse
from ...model.names import relative_path
from ...model.properties import Json
from ...model.rendering import View, is_renderable, render, rendered_environment
from ...model.results import Result
from ...model.source_stamps import FIELDS
from ...model.spec import (
    SECRET_REFERENCE,
    Run,
    Spec,
)
from ...model.time_limit import OverdueError, in_turns, unlimited
from ...model.user_functions import limited
from ...storage.records.artifacts import USED
from ...storage.records.journal import LOCK
from ..config.artifacts import WantedArtifact
from ..config.matrix import labelled
from ..slaves.command_streams import STDIO, Source
from ..steps.context import CommandResult
from ..steps.master_paths import absolute
from ..steps.recipe import Recipe
from ..steps.step import BuildStep
from .build_context import MOST_STEPS, BuildContext
from .journal import Done, JournalEntry
from .overdue import OverdueEnd
from .step_commands import StepCommands, WantedCommand, secrets_in
from .step_effects import StepEffects
from .step_logs import StepLogs
from .step_time import StepTime
from .step_triggers import StepTriggers

P = ParamSpec("P")
T = TypeVar("T")

U = TypeVar("U")

LOOK_ORDINAL = -3
"""The ordinal of the mark that the first `JournaledContext.look_through` of a step was given up; below: of the next."""
MOST_RANDOM = 1024
"""Bytes; the most that one call of `JournaledContext.random` returns."""


class OutcomeUnknownError(BuildbotLiteError):
    """
    The master stopped during an effect.  Whether the effect happened is unknown, and it is not repeated.
    """


def _effect(method: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """
    Let a method of the context, which the limited code of a step awaits, be unlimited.
    """

    @wraps(method)
    async def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return await in_turns(method(*args, **kwargs), cast("JournaledContext", args[0]).time.unlimited)

    return call


class JournaledContext:
    """
    The `StepContext` of step number *step*, whose effects are recorded in the build's journal.
    """

    def __init__(self, build: BuildContext, step: int) -> None:
        self._build = build
        self.time = StepTime(build.journal, step, budget=build.budget, let_go=self._let_go)
        self._effects = StepEffects(build.journal, step, self.time)
        self.logs = StepLogs(build, self._effects)
        self._overdue = OverdueEnd(build, self._effects, self.logs)
        self._commands = StepCommands(build, self._effects, self.logs)
        self._triggers = StepTriggers(build, self._effects, self.logs)
        self._looks = 0
        self._workdir: str | None = None

    def deferred(self, work: Coroutine[Deferred[Any], Any, T]) -> Deferred[T]:
        return self.time.deferred(work)

    async def end_overdue(self) -> None:
        """
        End the step, whose code was ended by its time limit.
        """
        await self._overdue.finish()

    async def _let_go(self, over: BuildbotLiteError) -> None:
        await self._overdue.begin(over)

    def close(self) -> None:
        """
        Disconnect the step's code: its further effects fail with `CancelledError`, and its remarks are dropped.
        """
        self._effects.close()

    @property
    def view(self) -> View:
        return self._build.view

    @property
    def directory(self) -> str:
        return self._build.builder_directory

    async def render_workdir(self) -> None:
        if is_renderable(self._build.workdir):
            self._workdir = relative_path(await render(self._build.workdir, self.view))

    @property
    def workdir(self) -> str:
        directory = self._build.workdir
        if self._workdir is not None:
            return self._workdir
        if isinstance(directory, str):
            return directory
        stamps = [
            SimpleNamespace(**{"codebase": codebase, **dict.fromkeys(FIELDS), **stamp})
            for codebase, stamp in self.view.sources.items()
        ]
        return relative_path(directory(stamps))

    @property
    def master_directory(self) -> str:
        return self._build.master_directory

    async def command(self, spec: Spec, *, on_lost: str | None = None, **options: Any) -> CommandResult:
        build = self._build
        repeats = (on_lost or build.on_lost) != "fail"
        if isinstance(spec, Run):
            grace = build.grace if repeats else None
            # The user's functions are in it.
            spec = evolve(spec, grace=grace, env={**await rendered_environment(build.env, self.view), **spec.env})
        return await self._command(WantedCommand(spec=spec, repeats=repeats, **options))

    @_effect
    async def _command(self, wanted: WantedCommand) -> CommandResult:
        return await self._commands.run(wanted)

    @_effect
    async def trigger(
        self,
        names: list[str],
        properties: Mapping[str, Json],
        *,
        wait: bool,
        source: Mapping[str, Json] | None = None,
        log: str | None = None,
        matrix: Sequence[Mapping[str, Json]] = (),
        priority: int | None = None,
    ) -> dict[str, Result | None]:
        wanted = {
            label: (name, {**properties, **combination})
            for label, (name, combination) in labelled(names, matrix).items()
        }
        return await self._triggers.run(wanted, wait=wait, source=source, log=log, priority=priority)

    @_effect
    async def trigger_each(
        self, wanted: Mapping[str, tuple[str, Mapping[str, Json]]], **options: Any
    ) -> dict[str, Result | None]:
        return await self._triggers.run(wanted, **options)

    @_effect
    async def now(self) -> float:
        return float(await self._effects.once("now", None, self._build.wall))

    @_effect
    async def random(self, size: int) -> bytes:
        if not 0 <= size <= MOST_RANDOM:
            raise ConfigError(f"random() returns 0 to {MOST_RANDOM} bytes, not {size}.")
        return bytes.fromhex(await self._effects.once("random", size, lambda: self._build.random(size).hex()))

    @_effect
    async def record(self, what: str, intent: Json, ask: Callable[[], Awaitable[Json]], *, repeatable: bool) -> Json:
        return await self._record(what, intent, limited(ask, what), repeatable=repeatable)

    async def _record(self, what: str, intent: Json, ask: Callable[[], Awaitable[Json]], *, repeatable: bool) -> Json:
        async def perform(entry: JournalEntry, resumed: bool) -> Done:
            if resumed and not repeatable:
                raise OutcomeUnknownError(
                    f"The master stopped during {what!r}; whether it happened is unknown, and it is not repeated."
                )
            return Done({"answer": await ask()})

        recorded = {"what": what, "intent": intent}
        entry = await self._effects.perform("record", recorded, perform, properties=self._build.recorded_properties)
        return entry.outcome["answer"] if entry.outcome else None

    @_effect
    async def artifact(self, wanted: WantedArtifact) -> Mapping[str, Any]:
        async def perform(entry: JournalEntry, resumed: bool) -> Done:
            return Done(dict(await self._build.artifact(wanted)))

        # Fields with default values are left out, because builds of an earlier version did not record all of them.
        intent = asdict(wanted, filter=lambda attribute, value: value != attribute.default)
        entry = await self._effects.perform(USED, intent, perform, properties=self._build.recorded_properties)
        return entry.outcome or {"problem": "it was not chosen"}

    def check_trusted(self, effect: str) -> None:
        self._build.check_trusted(effect)

    @_effect
    async def publish(self, artifact: str, destination: str, mode: int | None) -> str | None:
        async def ask() -> Json:
            try:
                self._build.check_trusted("This build may not write to other places on the master")
                await self._build.publish(artifact, absolute(destination, self._build.master_directory), mode)
            except BuildbotLiteError as error:
                return str(error)
            return None

        problem = await self._record("copying an artifact", [artifact, destination, mode], ask, repeatable=True)
        return None if problem is None else str(problem)

    @_effect
    async def http(self, request: HttpRequest) -> HttpAnswer:
        build = self._build

        async def ask() -> Json:
            build.check_trusted("This build may send no request from the master")
            names = secrets_in(request.to_document())
            values = {name: await build.secret_of(name) for name in names}
            whole = request.filled(lambda text: SECRET_REFERENCE.sub(lambda found: values[found[1]], text))
            if names and whole.auth is not None:
                build.redaction.hide(" basic", basic(whole.auth).partition(" ")[2])
            self._effects.check_open()
            return (await build.http(whole)).filled(build.redaction.text).to_document()

        answer = await self._record("http", request.to_document(), ask, repeatable=request.method in IDEMPOTENT)
        return HttpAnswer(**answer)

    @_effect
    async def lock(self, uses: Sequence[LockUse]) -> None:
        """
        Wait until the step holds *uses*.  In a replay there is nothing to wait for: when the master starts, it gives
        recorded locks back to their holders.
        """
        build, step = self._build, self._effects.step

        async def perform(entry: JournalEntry, resumed: bool) -> Done:
            turn = build.locks.wait(step, uses)
            reason = build.locks.reason(step)
            if reason is not None:
                self.remark(f"waits: {reason.sentence}")
            await build.live.waiting_for(turn)
            return Done({"held": True})

        await self._effects.perform(LOCK, [use.to_document() for use in uses], perform)

    def write(self, log: str, text: str) -> None:
        unlimited(self.logs.write, log, text)

    def remark(self, text: str, log: str = STDIO) -> None:
        unlimited(self.logs.remark, text, log)

    async def others_turn(self) -> None:
        await self._build.others_turn()

    async def look_through(
        self, parts: Iterable[T], look: Callable[[T], list[U]], *, seconds: float
    ) -> tuple[list[U], bool]:
        journal, step, ordinal = self._build.journal, self._effects.step, LOOK_ORDINAL - self._looks
        self._looks += 1
        mark, left, found = journal.mark(step, ordinal), seconds, list[U]()
        for number, part in enumerate(parts):
            if mark is not None and number == mark["parts"]:
                await self._reach(ordinal)
                return found, False
            if number:
                await self.others_turn()
            began = monotonic()
            try:
                found += look(part) if journal.replaying else self.time.look(left, look, part)
            except OverdueError:
                await self._give_up(ordinal, number)
                return found, False
            left = max(0.0, left - (monotonic() - began))
        return found, True

    @_effect
    async def _reach(self, ordinal: int) -> None:
        self._build.journal.reach(self._effects.step, ordinal)

    @_effect
    async def _give_up(self, ordinal: int, parts: int) -> None:
        self._effects.check_open()
        await self._build.journal.set_mark(self._effects.step, ordinal, {"parts": parts})

    def add_steps(self, recipes: Iterable[Recipe[BuildStep]], *, last: bool) -> None:
        self._effects.check_open()
        room = MOST_STEPS - sum(len(several) for _, several in self._build.added)
        added = list(islice(recipes, room + 1))
        if len(added) > room:
            raise ConfigError(f"A step adds more than {MOST_STEPS} steps to this build.")
        # Steps of several calls for the same place keep their order.
        place = "last" if last else "next"
        before = [each for where, several in self._build.added if where == place for each in several]
        self._build.added[:] = [each for each in self._build.added if each[0] != place] + [(place, [*before, *added])]

    def input(self, name: str) -> tuple[Source, int, str] | None:
        self._build.used.add(name)
        return self._build.inputs.get(name)
