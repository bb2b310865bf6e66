"""
A slave's side of its conversation with the master.

::

    start ──► a keeper is there ──┐
    dialled(desk, link) ──────────┴──► hello ──attach──► welcome ──► the lease is renewed, every 10 s
                 ▲                                │                              │
                 └──── dialled again ◄─── refused ┴──────────── link lost ◄──────┘

Everything on one link is a sequence: it is one coroutine, which ends with the link.  What outlives the link is in the
agent, and in the keeper.

**The lease.**  A command may only run while the master may believe that it does.  So the keeper is told how long ago
the master was last heard, as long as it is heard; when no such word comes for a command's grace (less a margin), the
keeper kills it.
"""

import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from .. import __version__
from ..deferreds import OneShot, background, shielded
from ..errors import (
    BuildbotLiteError,
    KeeperLostError,
    LinkLostError,
    MessageError,
)
from ..model.hello import Hello, Welcome
from ..wire.roles import Desk, Link
from .agent import Agent
from .directory import SlaveDirectory, platform_facts
from .keeper_messages import KeeperListener
from .link import AgentLink

WORD_INTERVAL = 10.0
PAUSE_WITHOUT_KEEPER = 10.0


class KeeperLifecycle(Protocol):
    """
    The part of the keeper's client that a session needs.
    """

    @property
    def keeper(self) -> str:
        """
        The name of this run of the keeper.
        """

    @property
    def boot(self) -> str:
        """
        The name of this run of the machine.
        """

    async def ensure(self, news: KeeperListener) -> None:
        """
        Have a keeper, and hear of it.
        """

    def word(self, age: float) -> None:
        """
        The master was heard *age* seconds ago.
        """

    def detach(self) -> None:
        """
        Leave the keeper alone with its commands.
        """

    async def stop(self) -> None:
        """
        Have the keeper kill everything and end.
        """


class Session:
    """
    One process of a slave, over all its links.

    *welcomed* hears what the master says of itself.  *refused* hears why it would not have us, and decides when to dial
    again.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        agent: Agent,
        client: KeeperLifecycle,
        directory: SlaveDirectory,
        clock: IReactorTime,
        welcomed: Callable[[Welcome], None],
        refused: Callable[[BuildbotLiteError], None],
    ) -> None:
        self._agent = agent
        self._client = client
        self._directory = directory
        self._clock = clock
        self._welcomed = welcomed
        self._refused = refused
        self._incarnation = secrets.token_hex(16)
        self._ready: OneShot[None] = OneShot()
        self._drained: Callable[[], None] | None = None
        self._link: Link | None = None
        self._starting: Deferred[None] | None = None
        self._attachment: Deferred[None] | None = None

    def start(self) -> None:
        """
        See that there is a keeper, and take up what an earlier process left.
        """
        self._agent.start()
        self._starting = Deferred.fromCoroutine(self._start())
        background(_unless_cancelled(self._starting), self._log, "starting the keeper")

    def dialled(self, desk: Desk, link: Link) -> None:
        """
        The master is on the line; a former line counts as lost.
        """
        self._end_attachment()
        self._link = link
        self._attachment = Deferred.fromCoroutine(self._attend(desk, link))
        background(_unless_cancelled(self._attachment), self._log, "attaching to the master")

    def drain(self, drained: Callable[[], None]) -> None:
        """
        Take no new builds; *drained* is called when the master has none left for us.

        We attach anew to say so, and are cut off when our last build ended, so that we attach once more and hear it.
        """
        self._drained = drained
        if self._link is not None:
            self._link.drop("draining")

    @property
    def draining(self) -> bool:
        """
        Whether it takes no new builds, and has said so or is about to.
        """
        return self._drained is not None

    async def stop(self, *, kill: bool = False) -> None:
        """
        This process is to end.  What the keeper runs goes on, unless it is to be *killed*, too.
        """
        self._end_attachment()
        if self._starting is not None:
            self._starting.cancel()
        self._agent.leave()
        if kill:
            await self._client.stop()
        else:
            self._client.detach()

    async def hello(self) -> Hello:
        """
        What we say of ourselves, as soon as it is known what the keeper holds.
        """
        await self._ready.wait()
        held = await self._agent.held()
        return Hello(
            home=self._directory.name,
            incarnation=self._incarnation,
            keeper=self._client.keeper,
            boot=self._client.boot,
            version=__version__,
            space=self._directory.space(),
            draining=self.draining,
            platform=platform_facts(),
            held=held,
        )

    async def _start(self) -> None:
        while True:
            try:
                await self._client.ensure(self._agent)
                break
            except (KeeperLostError, MessageError) as error:
                self._log.error("{sentence}  Trying again.", sentence=str(error))
                await deferLater(self._clock, PAUSE_WITHOUT_KEEPER)
        self._ready.fire(None)

    async def _attend(self, desk: Desk, link: Link) -> None:
        end = AgentLink(self._agent, link.drop)
        link.when_lost(end.lost)
        try:
            welcome = await shielded(desk.attach(end, await self.hello(), link.key))
        except LinkLostError:
            return
        except BuildbotLiteError as error:
            self._refused(error)
            return
        self._welcomed(welcome)
        if self._drained is not None and welcome.idle:
            self._drained()
        while not link.lost:
            self._client.word(link.silence())
            await deferLater(self._clock, WORD_INTERVAL)

    def _end_attachment(self) -> None:
        if self._attachment is not None:
            self._attachment.cancel()


async def _unless_cancelled(task: Deferred[None]) -> None:
    with suppress(CancelledError):  # that is how it ends
        await task
