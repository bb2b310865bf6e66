"""
A slave's side of its conversation with the master.

::

    start ──► keeper attached ────┐
    connected(desk, link) ────────┴──► hello ──attach──► welcome ──► renew the lease, every 10 s; watch the disk
                 ▲                                │                              │
                 └─── connected again ◄── refused ┴──────────── link lost ◄──────┘

One link is one coroutine, which ends with the link.  State that outlives a link is in the agent and in the keeper.

**The lease.**  A command must not run after the master has given it up.  So while there is a link, the session tells
the keeper how long ago the master's last message came; when no such report comes for a command's grace period (less a
margin), the keeper kills it.
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
    StorageError,
    SupersededError,
)
from ..model.hello import Hello, Welcome
from ..wire.roles import Desk, Link
from .agent import Agent
from .directory import SlaveDirectory
from .disk_space import DiskSpace
from .keeper_messages import KeeperListener
from .link import AgentLink

WORD_INTERVAL = 10.0
PAUSE_WITHOUT_KEEPER = 10.0


class KeeperLifecycle(Protocol):
    """
    The part of the keeper's client that a session uses.
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

    async def ensure(self, listener: KeeperListener) -> None:
        """
        Attach to a keeper; *listener* gets its events.
        """

    def word(self, age: float) -> None:
        """
        The last message of the master came *age* seconds ago.
        """

    def detach(self) -> None:
        """
        Close the connection; the commands go on.
        """

    async def stop(self) -> None:
        """
        Have the keeper kill all commands and end.
        """


class Session:
    """
    One process of a slave, across its links.

    *welcomed*: called with the master's welcome.  *refused*: called with the error of a refusal; decides when to
    connect again.
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
        self._disk_space = DiskSpace(
            agent.context, served=directory.served, free=directory.measured_space, idle=lambda: agent.idle
        )
        self._ready: OneShot[None] = OneShot()
        self._drained: Callable[[], None] | None = None
        self._link: Link | None = None
        self._starting: Deferred[None] | None = None
        self._attachment: Deferred[None] | None = None

    def start(self) -> None:
        """
        Attach to a keeper, started if there is none, and continue the commands of an earlier process.
        """
        self._agent.start()
        self._starting = Deferred.fromCoroutine(self._start())
        background(_unless_cancelled(self._starting), self._log, "starting the keeper")

    def connected(self, desk: Desk, link: Link) -> None:
        """
        There is a link to the master; a former link counts as lost.
        """
        self._end_attachment()
        self._link = link
        self._attachment = Deferred.fromCoroutine(self._attend(desk, link))
        background(_unless_cancelled(self._attachment), self._log, "attaching to the master")

    def drain(self, drained: Callable[[], None]) -> None:
        """
        Take no new builds; *drained* is called when no build is left on this slave.

        The session drops the link and attaches again with `draining` set.  The master drops the link after the last
        build, so that the session attaches once more and gets a welcome with `idle` set.
        """
        self._drained = drained
        if self._link is not None:
            self._link.drop("draining")

    @property
    def draining(self) -> bool:
        """
        Whether `drain` was called.
        """
        return self._drained is not None

    async def stop(self, *, kill: bool = False) -> None:
        """
        End the session.  *kill*: also all commands, and the keeper; otherwise they go on.
        """
        self._end_attachment()
        if self._starting is not None:
            self._starting.cancel()
        self._agent.leave()
        if kill:
            await self._client.stop()
        else:
            self._client.detach()

    async def hello(self, master: str) -> Hello:
        """
        The `Hello` of this slave for the master with the Tub id *master*; waits until a keeper is attached.
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
            platform=self._directory.facts(),
            held=held,
            epoch=self._directory.epochs.highest(master),
            removed=self._disk_space.removed,
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
            hello = await self.hello(link.key)
            welcome = await shielded(desk.attach(end, hello, link.key))
        except LinkLostError:
            return
        except BuildbotLiteError as error:
            self._refused(error)
            return
        if welcome.epoch < self._directory.epochs.highest(link.key):
            # A master that does not compare epochs itself.
            self._refused(SupersededError())
            return
        self._note_epoch(link.key, welcome.epoch)
        self._welcomed(welcome)
        if self._drained is not None and welcome.idle:
            self._drained()
        watching = Deferred.fromCoroutine(self._watch_space(welcome, hello.space, link))
        background(_unless_cancelled(watching), self._log, "watching the disk")
        link.when_lost(watching.cancel)
        try:
            while not link.lost:
                self._client.word(link.silence())
                await deferLater(self._clock, WORD_INTERVAL)
        except CancelledError:
            watching.cancel()
            raise

    async def _watch_space(self, welcome: Welcome, told: int, link: Link) -> None:
        """
        Attach again when the master, which was *told* the free space in the hello, has to know that it changed.
        """
        if welcome.minspace:
            await self._disk_space.watch(welcome.minspace, welcome.directories, told)
            link.drop("the free space of this slave's disk changed")

    def _note_epoch(self, master: str, epoch: int) -> None:
        try:
            self._directory.epochs.note(master, epoch)
        except StorageError as error:
            # Noted by the next welcome instead; until then a copy would not be refused.
            self._log.warn("{sentence}", sentence=str(error))

    def _end_attachment(self) -> None:
        if self._attachment is not None:
            self._attachment.cancel()


async def _unless_cancelled(task: Deferred[None]) -> None:
    with suppress(CancelledError):  # the normal end
        await task
