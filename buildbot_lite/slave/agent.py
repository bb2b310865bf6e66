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
from .held import Work
from .keeper_command import Errand
from .policy import NO_RULES, Rules
from .transfer import Means
from .transfers import (
    INPUT,
    new_transfer,
    saved_transfers,
)

_ID = re.compile(r"[A-Za-z0-9_-]{1,100}\Z")
MOST_STARTS = 3
"""How often a start that no keeper has claimed is handed to a keeper."""


class Keeping(Protocol):
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

    def look_again(self, id: str) -> None:
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
    *rules* are the slave's own, which no master can change.
    """

    log = Logger()

    def __init__(
        self,
        *,
        keeping: Keeping,
        keeper_directory: str,
        means: Means,
        env: Mapping[str, str],
        clock: IReactorTime,
        rules: Rules = NO_RULES,
    ) -> None:
        self._rules = rules
        self.clock = clock
        self.means = means
        self._keeping = keeping
        self._keeper_directory = keeper_directory
        self._env = dict(env)
        self._work: dict[str, Work] = {}
        self._errands: dict[str, Errand] = {}  # also those that are being forgotten
        self._starts: dict[str, tuple[Callable[[], None], int]] = {}  # not claimed yet, and how often to try
        self._link: LinkEnd | None = None
        self._unwanted = False

    def start(self) -> None:
        """
        Take up the transfers that an earlier process left.

        Not when this is made: its process may be about to fork (twistd does), and a transfer has children.
        """
        for transfer in saved_transfers(self.means, self._changed):
            self._work[transfer.id] = transfer
            transfer.begin()

    # What links ask.

    def linked(self, end: LinkEnd) -> None:
        """
        There is a new link, which takes the place of the former one.
        """
        if self._link is not None:
            self._link.lost()
        self._link = end
        self._unwanted = False

    def find(self, id: str) -> Work | None:
        """
        What is held under *id*.
        """
        return self._work.get(id)

    def check(self, id: str) -> None:
        """
        Raise unless something may be started under *id*.
        """
        if not _ID.match(id):
            raise MessageError(f"{id!r:.100} is no command's id.")
        if len(self._work) >= MOST_HELD:
            raise RefusedError(f"This slave already holds {MOST_HELD} commands.")

    def run(self, id: str, spec: Run, secrets: Mapping[str, str], stdin_path: str | None) -> Work:
        """
        Have the keeper run something.
        """
        place = self.means.tree.make(spec.workdir)
        errand = self._adopt(id, fingerprint(spec))

        def start() -> None:
            self._keeping.start(
                id,
                fingerprint=errand.fingerprint,
                spec=spec,
                secrets=secrets,
                workdir=place.path,
                env=self._env,
                stdin_path=stdin_path,
                root=os.fsdecode(place.root),
                wrapper=self._rules.words,
                owner=self._rules.owner_of_files,
                umask=self._rules.umask,
            )

        self._starts[id] = (start, MOST_STARTS - 1)
        start()
        return errand

    def transfer(self, id: str, spec: Spec) -> Work:
        """
        Do a transfer.
        """
        transfer = new_transfer(id, fingerprint(spec), spec, self.means, self._changed)
        self._work[id] = transfer
        transfer.begin()
        return transfer

    def drop_refused(self, id: str) -> None:
        """
        The keeper would not have it.
        """
        self._starts.pop(id, None)
        self._work.pop(id, None)
        self._errands.pop(id, None)
        self._discard_input(id)

    async def forget(self, id: str) -> None:
        """
        Kill it if it still runs, and forget it.
        """
        work = self._work.pop(id, None)
        self._starts.pop(id, None)
        if work is not None:
            await work.forget()
            self._discard_input(id)

    async def forget_everything(self) -> None:
        """
        Nobody is there any more who may want any of it; nor what a keeper says that it holds, until there is a link.
        """
        self._unwanted = True
        if self._work:
            self.log.info("ending and forgetting all commands: {ids}", ids=", ".join(sorted(self._work)))
        for going in [Deferred.fromCoroutine(self.forget(id)) for id in list(self._work)]:
            await going

    def input_path(self, id: str) -> str:
        """
        Where the standard input of *id* waits for its process.
        """
        return os.path.join(self.means.directory, id + INPUT)

    # What the session asks.

    async def held(self) -> tuple[HeldCommand, ...]:
        """
        Everything that is held, once it is known of each whether the keeper has claimed it.
        """
        for work in list(self._work.values()):
            with suppress(BuildbotLiteError):  # refused: then it is not held
                await work.when_claimed()
        return tuple(
            HeldCommand(work.id, work.fingerprint, work.life, dict(work.lengths())) for work in self._work.values()
        )

    def leave(self) -> None:
        """
        This process is about to end.
        """
        for work in self._work.values():
            work.leave()

    @property
    def idle(self) -> bool:
        """
        Whether nothing is held.
        """
        return not self._work

    # What the keeper tells.

    def attached(self, held: Mapping[str, tuple[str, Life, Mapping[str, int]]]) -> None:
        """
        A keeper is on the line, perhaps another one than before; *held* has fingerprint, life and lengths by id.
        """
        for id, (mark, life, lengths) in held.items():
            self._starts.pop(id, None)
            errand = self._errands.get(id) or self._adopt(id, mark)
            errand.held(life, lengths)
            if id not in self._work:
                self._keeping.forget(id)  # it was asked for while nobody listened
            self._changed(id)
        for id, errand in list(self._errands.items()):
            if id not in held:
                self._missing(id, errand)
        self._sweep_inputs()
        if self._unwanted:
            background(self.forget_everything(), self.log, "ending commands that nobody wants")

    def claimed(self, id: str) -> None:
        """
        The keeper has claimed it.
        """
        self._starts.pop(id, None)
        if id in self._errands:
            self._errands[id].claimed()

    def grew(self, id: str, lengths: Mapping[str, int]) -> None:
        """
        Its streams are longer now.
        """
        if id in self._errands:
            self._errands[id].grew(lengths)
            self._changed(id)

    def ended(self, id: str, outcome: Outcome, life: Life = Life.ENDED) -> None:
        """
        It is over.
        """
        self._starts.pop(id, None)
        if id in self._errands:
            self._errands[id].ended(outcome, life)
            self._changed(id)

    def refused(self, id: str, sentence: str) -> None:
        """
        The keeper will not have it.
        """
        errand = self._errands.get(id)
        if errand is not None and not errand.settled:
            self.log.warn("{id} was not started: {sentence}", id=id, sentence=sentence)
            self.drop_refused(id)
            errand.refused(sentence)

    def forgotten(self, id: str) -> None:
        """
        The keeper has forgotten it.
        """
        errand = self._errands.pop(id, None)
        if errand is not None:
            errand.forgotten()

    # Between the two.

    def _adopt(self, id: str, mark: str) -> Errand:
        errand = Errand(id, mark, self._keeping, self._keeper_directory)
        self._errands[id] = errand
        self._work[id] = errand
        return errand

    def _missing(self, id: str, errand: Errand) -> None:
        """
        The keeper that is here now has never heard of *id*.
        """
        start, left = self._starts.get(id, (None, 0))
        if id not in self._work:
            self.forgotten(id)
        elif start is not None and left and not errand.interrupted:
            # It was not claimed, hence nothing was spawned: to hand it on cannot start it twice.
            self._starts[id] = (start, left - 1)
            start()
        elif not errand.settled:
            self.refused(id, str(KeeperLostError()))
        elif errand.outcome is None:
            self.ended(id, Outcome.lost(str(KeeperLostError())), Life.LOST)

    def _changed(self, id: str) -> None:
        if self._link is not None:
            self._link.look_again(id)

    def _sweep_inputs(self) -> None:
        """
        Remove the inputs of commands that a former process fetched and never started.
        """
        for name in os.listdir(self.means.directory):
            id, ending = os.path.splitext(name)
            if ending == INPUT and id not in self._work and (self._link is None or not self._link.fetches(id)):
                remove(os.path.join(self.means.directory, name))

    def _discard_input(self, id: str) -> None:
        remove(self.input_path(id))
