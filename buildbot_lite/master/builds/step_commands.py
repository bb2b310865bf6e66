"""
How a step runs a command, on its slave or in the master's own keeper.

The journal's entry has the rendered command; its outcome comes from the slave's session, also in a replay, where the
command is looked for by its id.
"""

from collections.abc import Mapping
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred

from ...errors import BuildbotLiteError, FileError
from ...model.command_lines import command_line, listed
from ...model.json_reader import encode
from ...model.outcome import (
    Ending,
    Outcome,
    Why,
)
from ...model.spec import (
    SECRET_REFERENCE,
    Run,
    Spec,
    to_document,
)
from ...storage.records.journal import COMMAND
from ..slaves.command import DispatchedCommand
from ..slaves.command_streams import STDIO, Source, log_of
from ..steps.context import CommandResult
from .build_context import BuildContext
from .journal import Done, JournalEntry
from .step_effects import StepEffects
from .step_logs import StepLogs


class SlaveLostError(BuildbotLiteError):
    """
    The slave was lost while a command ran, and the build is tried again.
    """


@frozen(kw_only=True)
class WantedCommand:
    """
    A command that a step asks for.  *repeats*: the build is tried again if the slave is lost.  The other fields are
    those of `StepContext.command`.
    """

    spec: Spec
    repeats: bool
    on_master: bool = False
    sources: Mapping[str, Source] | None = None
    artifact: str | None = None
    log: str = STDIO

    def intent(self) -> dict[str, Any]:
        """
        What the journal records before the command is sent.
        """
        where = "master" if self.on_master else "slave"
        intent: dict[str, Any] = {"spec": to_document(self.spec), "where": where, "artifact": self.artifact}
        if self.log != STDIO:
            intent["log"] = self.log
        return intent


class StepCommands:
    """
    Runs commands for one step.
    """

    def __init__(self, build: BuildContext, effects: StepEffects, logs: StepLogs) -> None:
        self._build = build
        self._effects = effects
        self._logs = logs

    async def run(self, wanted: WantedCommand) -> CommandResult:
        """
        Run a command, or get its recorded outcome.

        `FileError` if the master could not store the output; `SlaveLostError` if the build must be tried again.
        """
        build, intent = self._build, wanted.intent()
        # An earlier command may have written a secret to a file, so the keeper masks it in this command's output, too.
        build.revealed.update(secrets_in(intent["spec"]))
        if isinstance(wanted.spec, Run):
            line = command_line(wanted.spec)
            self._logs.remark(f"{line}  (in {wanted.spec.workdir})", wanted.log)
            build.begun.append(line)

        async def perform(entry: JournalEntry, resumed: bool) -> Done:
            return await self._perform(wanted, entry, resumed=resumed)

        entry = await self._effects.perform(
            COMMAND, intent, perform, properties=build.recorded_properties, live_at_once=False
        )
        outcome = Outcome.from_document(entry.outcome)
        self._logs.add_output(outcome.streams, wanted.log)
        self._check_lost(outcome, repeats=wanted.repeats)
        streams = build.streams.entry(entry.step, entry.ordinal, wanted.artifact, wanted.log)
        final = {name.partition("~")[0]: name for name in outcome.streams}

        def read(name: str, limit: int) -> bytes:
            return streams.read(final.get(name, name), 0, limit)

        def read_end(name: str, limit: int) -> bytes:
            name = final.get(name, name)
            length = outcome.streams[name].length if name in outcome.streams else 0
            return streams.read(name, max(0, length - limit), min(length, limit))

        return CommandResult(outcome, read, read_end)

    async def _perform(self, wanted: WantedCommand, entry: JournalEntry, *, resumed: bool) -> Done:
        build = self._build
        if wanted.on_master:
            build.check_trusted("This build may run no command on the master")
        session = build.session_at("master" if wanted.on_master else "slave")
        streams = build.streams.entry(entry.step, entry.ordinal, wanted.artifact, wanted.log)
        command = DispatchedCommand(
            id=build.command_id(entry),
            spec=wanted.spec,
            secrets={name: await build.secret_of(name) for name in sorted(build.revealed)},
            grace=build.grace if wanted.repeats else None,
            streams=streams,
            sources=wanted.sources or {},
            home=None if wanted.on_master else build.home,
            resumed=resumed,
            room=(lambda size: True) if wanted.on_master else build.room,
        )
        self._effects.check_open()  # it may have been closed while secrets were looked up
        running = Deferred.fromCoroutine(session.run(command))
        with build.live.running(command.id, session), self._logs.growing(streams, wanted.log):
            build.journal.live()
            outcome = await running
        remarks = self._logs.placed(outcome.remarks, wanted.log)
        seals = {log_of(name, wanted.log): seal for name, seal in outcome.streams.items()}
        return Done(outcome.to_document(), seals, remarks, command.committed, held=True)

    def _check_lost(self, outcome: Outcome, *, repeats: bool) -> None:
        if outcome.why is Why.STORAGE:
            raise FileError(outcome.sentence)
        # When a command's lease expired, the slave had lost the master, which is the same.  A stopped build can run no
        # more commands on a lost slave, whatever *on_lost* says.
        if (outcome.ending is Ending.LOST or outcome.why is Why.LEASE) and (repeats or self._build.live.reason):
            # All these commands are about to be repeated.
            if begun := self._build.begun:
                self._logs.remark(f"these had started: {listed(begun)}", STDIO)
            raise SlaveLostError(outcome.sentence)


def secrets_in(document: Mapping[str, Any]) -> list[str]:
    """
    The names of the secrets to which *document*, of JSON, has references.
    """
    # JSON escapes the NULs of a reference; the name in it has no characters that JSON escapes.
    return SECRET_REFERENCE.findall(encode(document).decode("ascii").replace("\\u0000", "\0"))
