"""
What a slave does for its master.

::

               ┌ AgentLink ────────────┐        ┌ Agent ────────────────────────┐
    master ──► │ start resume interrupt│ ─────► │ Work by id:                   │ ──► keeper
               │ disown                │        │   Errand    (under the keeper)│
    Command ◄──│ couriers, pace        │ ◄───── │   Transfer  (done here)       │ ──► work/
               └───────────────────────┘ changed└───────────────────────────────┘
                 as long as one link              as long as this process

The agent holds everything that was asked for until the master has committed its outcome, or disowned it; links come
and go.  Whatever belongs to one link (who is told, how much is in flight) is in `link.AgentLink`, and goes with it, so
that an answer can never be taken for that of another link.
"""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

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
from ..keeper.wrapper import UMASK
from ..model.hello import (
    MOST_HELD,
    HeldCommand,
    Life,
)
from ..model.outcome import Outcome
from ..model.spec import (
    Run,
    Spec,
    fingerprint,
)
from ..storage.files import remove
from .held import SlaveCommand
from .keeper_command import KeeperCommand
from .policy import DEFAULT_POLICY, Policy
from .transfer import TransferContext
from .transfers import (
    INPUT,
    new_transfer,
    saved_transfers,
)

_ID = re.compile(r"[A-Za-z0-9_-]{1,100}\Z")
MOST_STARTS = 3
"""How often a start that no keeper has claimed is handed to a keeper."""


class CommandKeeper(Protocol):
    """
    The keeper, as far as the agent needs it.  Nothing here waits: the answers come to the agent's own methods.
    """

    def start(
        self,
        id: str,
        *,
        fingerprint: str,
        spec: Run,
        secrets: Mapping[str, str],
        workdir: str,
        env: Mapping[str, str],
        stdin_path: str | None,
        root: str | None = None,
        wrapper: Sequence[str] = (),
        owner: tuple[int, int] | None = None,
        umask: int = UMASK,
    ) -> None:
        """
        Run it.  ``claimed`` or ``refused`` follows.
        """

    def interrupt(self, id: str, reason: str) -> None:
        """
        Kill it; ``ended`` follows.
        """

    def forget(self, id: str) -> None:
        """
        Kill and forget it; ``forgotten`` follows.
        """


class LinkEnd(Protocol):
    """
    Our end of a link, as far as the agent knows of it.
    """

    def lost(self) -> None:
        """
        There is another one now.
        """

    def streams_changed(self, id: str) -> None:
        """
        There is more of *id* to bring.
        """

    def fetches(self, id: str) -> bool:
        """
        Whether the input of *id* is on its way.
        """


class Agent:
    """
    Everything that this slave holds.  *env* is what its commands inherit; *keeper_directory* is where the spools are;
    *policy* are the slave's own, which no master can change.
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
    ) -> None:
        self._policy = policy
        self.clock = clock
        self.context = context
        self._client = client
        self._keeper_directory = keeper_directory
        self._env = dict(env)
        self._held: dict[str, SlaveCommand] = {}
        self._keeper_commands: dict[str, KeeperCommand] = {}  # also those that are being forgotten
        self._starts: dict[str, tuple[Callable[[], None], int]] = {}  # not claimed yet, and how often to try
        self._link: LinkEnd | None = None
        self._disowned = False

    def start(self) -> None:
        """
        Take up the transfers that an earlier process left.

        Not when this is made: its process may be about to fork (twistd does), and a transfer has children.
        """
        for transfer in saved_transfers(self.context, self._changed):
            self._held[transfer.id] = transfer
            transfer.begin()

    # What links ask.

    def linked(self, end: LinkEnd) -> None:
        """
        There is a new link, which takes the place of the former one.
        """
        if self._link is not None:
            self._link.lost()
        self._link = end
        self._disowned = False

    def find(self, id: str) -> SlaveCommand | None:
        """
        What is held under *id*.
        """
        return self._held.get(id)

    def check(self, id: str) -> None:
        """
        Raise unless something may be started under *id*.
        """
        if not _ID.match(id):
            raise MessageError(f"{id!r:.100} is no command's id.")
        if len(self._held) >= MOST_HELD:
            raise RefusedError(f"This slave already holds {MOST_HELD} commands.")

    def run(self, id: str, spec: Run, secrets: Mapping[str, str], stdin_path: str | None) -> SlaveCommand:
        """
        Have the keeper run something.
        """
        workdir = self.context.paths.make(spec.workdir)
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
        Do a transfer.
        """
        transfer = new_transfer(id, fingerprint(spec), spec, self.context, self._changed)
        self._held[id] = transfer
        transfer.begin()
        return transfer

    def drop_refused(self, id: str) -> None:
        """
        The keeper would not have it.
        """
        self._starts.pop(id, None)
        self._held.pop(id, None)
        self._keeper_commands.pop(id, None)
        self._discard_input(id)

    async def forget(self, id: str) -> None:
        """
        Kill it if it still runs, and forget it.
        """
        held = self._held.pop(id, None)
        self._starts.pop(id, None)
        if held is not None:
            await held.forget()
            self._discard_input(id)

    async def forget_everything(self) -> None:
        """
        Nobody is there any more who may want any of it; nor what a keeper says that it holds, until there is a link.
        """
        self._disowned = True
        if self._held:
            self.log.info("ending and forgetting all commands: {ids}", ids=", ".join(sorted(self._held)))
        for going in [Deferred.fromCoroutine(self.forget(id)) for id in list(self._held)]:
            await going

    def input_path(self, id: str) -> str:
        """
        Where the standard input of *id* waits for its process.
        """
        return os.path.join(self.context.directory, id + INPUT)

    # What the session asks.

    async def held(self) -> tuple[HeldCommand, ...]:
        """
        Everything that is held, once it is known of each whether the keeper has claimed it.
        """
        for held in list(self._held.values()):
            with suppress(BuildbotLiteError):  # refused: then it is not held
                await held.when_claimed()
        return tuple(
            HeldCommand(held.id, held.fingerprint, held.life, dict(held.lengths())) for held in self._held.values()
        )

    def leave(self) -> None:
        """
        This process is about to end.
        """
        for held in self._held.values():
            held.leave()

    @property
    def idle(self) -> bool:
        """
        Whether nothing is held.
        """
        return not self._held

    # What the keeper tells.

    def attached(self, held: Mapping[str, tuple[str, Life, Mapping[str, int]]]) -> None:
        """
        A keeper is on the line, perhaps another one than before; *held* has fingerprint, life and lengths by id.
        """
        for id, (mark, life, lengths) in held.items():
            self._starts.pop(id, None)
            command = self._keeper_commands.get(id) or self._adopt(id, mark)
            command.held(life, lengths)
            if id not in self._held:
                self._client.forget(id)  # it was asked for while nobody listened
            self._changed(id)
        for id, command in list(self._keeper_commands.items()):
            if id not in held:
                self._missing(id, command)
        self._sweep_inputs()
        if self._disowned:
            background(self.forget_everything(), self.log, "ending commands that nobody wants")

    def claimed(self, id: str) -> None:
        """
        The keeper has claimed it.
        """
        self._starts.pop(id, None)
        if id in self._keeper_commands:
            self._keeper_commands[id].claimed()

    def grew(self, id: str, lengths: Mapping[str, int]) -> None:
        """
        Its streams are longer now.
        """
        if id in self._keeper_commands:
            self._keeper_commands[id].grew(lengths)
            self._changed(id)

    def ended(self, id: str, outcome: Outcome, life: Life = Life.ENDED) -> None:
        """
        It is over.
        """
        self._starts.pop(id, None)
        if id in self._keeper_commands:
            self._keeper_commands[id].ended(outcome, life)
            self._changed(id)

    def refused(self, id: str, sentence: str) -> None:
        """
        The keeper will not have it.
        """
        command = self._keeper_commands.get(id)
        if command is not None and not command.settled:
            self.log.warn("{id} was not started: {sentence}", id=id, sentence=sentence)
            self.drop_refused(id)
            command.refused(sentence)

    def forgotten(self, id: str) -> None:
        """
        The keeper has forgotten it.
        """
        command = self._keeper_commands.pop(id, None)
        if command is not None:
            command.forgotten()

    # Between the two.

    def _adopt(self, id: str, mark: str) -> KeeperCommand:
        command = KeeperCommand(id, mark, self._client, self._keeper_directory)
        self._keeper_commands[id] = command
        self._held[id] = command
        return command

    def _missing(self, id: str, command: KeeperCommand) -> None:
        """
        The keeper that is here now has never heard of *id*.
        """
        start, left = self._starts.get(id, (None, 0))
        if id not in self._held:
            self.forgotten(id)
        elif start is not None and left and not command.interrupted:
            # It was not claimed, hence nothing was spawned: to hand it on cannot start it twice.
            self._starts[id] = (start, left - 1)
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
        Remove the inputs of commands that a former process fetched and never started.
        """
        for name in os.listdir(self.context.directory):
            id, ending = os.path.splitext(name)
            if ending == INPUT and id not in self._held and (self._link is None or not self._link.fetches(id)):
                remove(os.path.join(self.context.directory, name))

    def _discard_input(self, id: str) -> None:
        remove(self.input_path(id))
