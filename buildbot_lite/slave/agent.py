"""
All commands that a slave holds for its master, across links.

::

               ┌ AgentLink ────────────┐        ┌ Agent ────────────────────────┐
    master ──► │ start resume interrupt│ ─────► │ SlaveCommand by id:           │ ──► keeper
               │ disown                │        │   KeeperCommand (in a keeper) │
    Command ◄──│ senders, flow control │ ◄───── │   Transfer      (in here)     │ ──► work/
               └───────────────────────┘ changed└───────────────────────────────┘
                 lives as long as one link        lives as long as this process

The agent holds each command until the master has committed its outcome or disowned it, whatever happens to links.
State of one link (the master's end, the bytes in flight) is in `link.AgentLink` and ends with it, so that an answer is
never mistaken for one on another link.
"""

import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ..deferreds import background
from ..errors import (
    BuildbotLiteError,
    KeeperLostError,
    MessageError,
    RefusedError,
)
from ..model.hello import (
    MOST_HELD,
    HeldCommand,
    Life,
)
from ..model.names import environment_to_utf8
from ..model.outcome import Outcome
from ..model.spec import (
    Run,
    Spec,
    fingerprint,
)
from ..storage.files import remove
from .agent_roles import CommandKeeper, LinkEnd
from .held import SlaveCommand
from .keeper_command import KeeperCommand
from .keeper_messages import Holding
from .policy import DEFAULT_POLICY, Policy
from .safe_paths import ResolvedPath
from .shells import Shells
from .transfer import TransferContext
from .transfers import (
    INPUT,
    new_transfer,
    saved_transfers,
)

_ID = re.compile(r"[A-Za-z0-9_-]{1,100}\Z")
MOST_STARTS = 3
"""The number of keepers, one after the other, that get the start of a command which none has claimed."""


class Agent:
    """
    The commands that this slave holds.

    *env*: the environment that commands inherit.  *keeper_directory*: the directory of the spools.  *policy*: that of
    slave.tac, which the master cannot change.  *shells*: None: none can be opened.
    """

    log = Logger()

    def __init__(
        self,
        *,
        client: CommandKeeper,
        keeper_directory: str,
        context: TransferContext,
        env: Mapping[str, str],
        clock: IReactorTime,
        policy: Policy = DEFAULT_POLICY,
        shells: Shells | None = None,
    ) -> None:
        self.shells = shells
        self._policy = policy
        self.clock = clock
        self.context = context
        self._client = client
        self._keeper_directory = keeper_directory
        # Encoded once, because it takes a tenth of the CPU time for a small command.
        self._env = environment_to_utf8(env)
        self._held: dict[str, SlaveCommand] = {}
        self._keeper_commands: dict[str, KeeperCommand] = {}  # also those that are being forgotten
        self._starts: dict[str, tuple[Callable[[], None], int]] = {}  # not claimed yet: start, and attempts left
        self._link: LinkEnd | None = None
        self._disowned = False
        self._forgetting = 0

    def start(self) -> None:
        """
        Continue the transfers of an earlier process.

        Not in the constructor, because twistd forks after it, and a transfer has child processes.
        """
        for transfer in saved_transfers(self.context, self._changed):
            self._held[transfer.id] = transfer
            transfer.begin()

    # Requests of a link.

    def linked(self, end: LinkEnd) -> None:
        """
        Use *end* from now on; the former link is lost.
        """
        if self._link is not None:
            self._link.lost()
        self._link = end
        self._disowned = False

    def find(self, id: str) -> SlaveCommand | None:
        """
        The command *id*, None if it is not held.
        """
        return self._held.get(id)

    def check(self, id: str) -> None:
        """
        `MessageError` if *id* is malformed, `RefusedError` if too many commands are held.
        """
        if not _ID.match(id):
            raise MessageError(f"{id!r:.100} is not the id of a command.")
        if len(self._held) >= MOST_HELD:
            raise RefusedError(f"This slave already holds {MOST_HELD} commands.")

    def run(
        self, id: str, spec: Run, secrets: Mapping[str, str], workdir: ResolvedPath, stdin_path: str | None
    ) -> SlaveCommand:
        """
        Have the keeper run *spec* in *workdir*, with the file *stdin_path* as its input.
        """
        command = self._adopt(id, fingerprint(spec))

        def start() -> None:
            self._client.start(
                id,
                fingerprint=command.fingerprint,
                spec=spec,
                secrets=secrets,
                workdir=workdir.path,
                env=self._env,
                stdin_path=stdin_path,
                root=os.fsdecode(workdir.root),
                wrapper=self._policy.words,
                owner=self._policy.owner_of_files,
                umask=self._policy.umask,
            )

        self._starts[id] = (start, MOST_STARTS - 1)
        start()
        return command

    def transfer(self, id: str, spec: Spec) -> SlaveCommand:
        """
        Begin the transfer *spec*.
        """
        transfer = new_transfer(id, fingerprint(spec), spec, self.context, self._changed)
        self._held[id] = transfer
        transfer.begin()
        return transfer

    def drop_refused(self, id: str) -> None:
        """
        Stop holding a command that the keeper refused.
        """
        self._starts.pop(id, None)
        self._held.pop(id, None)
        self._keeper_commands.pop(id, None)
        self._discard_input(id)

    async def forget(self, id: str) -> None:
        """
        End the command if it is running, and forget it; returns when all of its files are removed.
        """
        held = self._held.pop(id, None)
        self._starts.pop(id, None)
        if held is not None:
            self._forgetting += 1
            try:
                await held.forget()
            finally:
                self._forgetting -= 1
            self._discard_input(id)

    async def forget_everything(self) -> None:
        """
        End and forget all commands, also those that a keeper reports before there is a link again.

        Called when the slave's FURL was revoked.
        """
        self._disowned = True
        if self._held:
            self.log.info("ending and forgetting all commands: {ids}", ids=", ".join(sorted(self._held)))
        for going in [Deferred.fromCoroutine(self.forget(id)) for id in list(self._held)]:
            await going

    def input_path(self, id: str) -> str:
        """
        The file for the standard input of *id*.
        """
        return os.path.join(self.context.directory, id + INPUT)

    # Requests of the session.

    async def held(self) -> tuple[HeldCommand, ...]:
        """
        All held commands; waits until the keeper has claimed or refused each of them.
        """
        for held in list(self._held.values()):
            with suppress(BuildbotLiteError):  # a refused command is no longer held
                await held.when_claimed()
        return tuple(
            HeldCommand(held.id, held.fingerprint, held.life, dict(held.lengths())) for held in self._held.values()
        )

    def leave(self) -> None:
        """
        Stop the transfers, because this process is about to exit.  Their state stays on disk.  Shells end.
        """
        for held in self._held.values():
            held.leave()
        if self.shells is not None:
            self.shells.end_all()

    @property
    def idle(self) -> bool:
        """
        Whether no command is held, being prepared, or being ended.
        """
        preparing = self._link is not None and self._link.preparing
        return not (self._held or self._forgetting or preparing)

    # The keeper's events (`keeper_messages.KeeperListener`).

    def attached(self, held: Mapping[str, Holding]) -> None:
        for id, (mark, life, lengths) in held.items():
            self._starts.pop(id, None)
            command = self._keeper_commands.get(id) or self._adopt(id, mark)
            command.held(life, lengths)
            if id not in self._held:
                self._client.forget(id)  # it was forgotten here while no keeper was attached
            self._changed(id)
        for id, command in list(self._keeper_commands.items()):
            if id not in held:
                self._missing(id, command)
        self._sweep_inputs()
        if self._disowned:
            background(self.forget_everything(), self.log, "ending the commands of a revoked slave")

    def claimed(self, id: str) -> None:
        self._starts.pop(id, None)
        if id in self._keeper_commands:
            self._keeper_commands[id].claimed()

    def grew(self, id: str, lengths: Mapping[str, int]) -> None:
        if id in self._keeper_commands:
            self._keeper_commands[id].grew(lengths)
            self._changed(id)

    def ended(self, id: str, outcome: Outcome, life: Life = Life.ENDED) -> None:
        self._starts.pop(id, None)
        if id in self._keeper_commands:
            self._keeper_commands[id].ended(outcome, life)
            self._changed(id)

    def refused(self, id: str, sentence: str) -> None:
        command = self._keeper_commands.get(id)
        if command is not None and not command.settled:
            self.log.warn("{id} was not started: {sentence}", id=id, sentence=sentence)
            self.drop_refused(id)
            command.refused(sentence)

    def forgotten(self, id: str) -> None:
        command = self._keeper_commands.pop(id, None)
        if command is not None:
            command.forgotten()

    # Implementation.

    def _adopt(self, id: str, mark: str) -> KeeperCommand:
        command = KeeperCommand(id, mark, self._client, self._keeper_directory)
        self._keeper_commands[id] = command
        self._held[id] = command
        return command

    def _missing(self, id: str, command: KeeperCommand) -> None:
        """
        The keeper that is attached now does not hold *id*.
        """
        start, attempts_left = self._starts.get(id, (None, 0))
        if id not in self._held:
            self.forgotten(id)
        elif start is not None and attempts_left and not command.interrupted:
            # It was not claimed, so it was not spawned, and another keeper may start it.
            self._starts[id] = (start, attempts_left - 1)
            start()
        elif not command.settled:
            self.refused(id, str(KeeperLostError()))
        elif command.outcome is None:
            self.ended(id, Outcome.lost(str(KeeperLostError())), Life.LOST)

    def _changed(self, id: str) -> None:
        if self._link is not None:
            self._link.streams_changed(id)

    def _sweep_inputs(self) -> None:
        """
        Remove standard inputs that an earlier process fetched for commands which it did not start.
        """
        for name in os.listdir(self.context.directory):
            id, ending = os.path.splitext(name)
            if ending == INPUT and id not in self._held and (self._link is None or not self._link.fetches(id)):
                remove(os.path.join(self.context.directory, name))

    def _discard_input(self, id: str) -> None:
        remove(self.input_path(id))
