"""
The slave's side of its protocol with the master, for one process of the slave.

::

    start ──► keeper attached ────┐
    connected(desk, link) ────────┴──► hello ──attach──► welcome ──► renew the lease, every 10 s; watch the disk
                 ▲                                │                              │
                 └─── connected again ◄── refused ┴──────────── link lost ◄──────┘

For each link there is one coroutine, which ends with the link.  State that outlives a link is in the agent and in the
keeper.

**The lease.**  A command must not run any longer when the master has given it up.  So while there is a link, the
session reports to the keeper how long ago the master's last message arrived.  When that was longer ago than a command's
grace period (less a margin: `model.lease`), the keeper kills the command.
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
from .leftovers import Leftovers
from .link import AgentLink

RENEWAL_INTERVAL = 10.0
"""Seconds between two renewals of the leases."""
PAUSE_WITHOUT_KEEPER = 10.0
"""Seconds between two attempts to start a keeper."""


class KeeperLifecycle(Protocol):
    """
    The part of the keeper's client that a session uses.
    """

    @property
    def keeper(self) -> str:
        """
        The identifier of this run of the keeper.
        """

    @property
    def boot(self) -> str:
        """
        The identifier of this run of the machine.
        """

    async def ensure(self, listener: KeeperListener) -> None:
        """
        Attach to a keeper; *listener* gets its events.
        """

    def renew_leases(self, age: float) -> None:
        """
        Report that the last message of the master arrived *age* seconds ago.
        """

    async def leave(self) -> None:
        """
        Close the connection; the keeper goes on while it has commands.
        """

    async def stop(self) -> None:
        """
        Make the keeper kill all commands and exit.
        """


class Session:
    """
    The links of one process of a slave.

    *welcomed*: called with the master's welcome on each link.  *refused*: called with the error when the master
    refuses; it decides when to connect again.  *leftovers*: of builds that a welcome may say are over.
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
        leftovers: Leftovers | None = None,
    ) -> None:
        self._leftovers = leftovers
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
        Attach to a keeper, which is started if there is none, and continue the commands of an earlier process.
        """
        self._agent.start()
        self._starting = Deferred.fromCoroutine(self._start())
        background(_unless_cancelled(self._starting), self._log, "starting the keeper")

    def connected(self, desk: Desk, link: Link) -> None:
        """
        Use *link*, which leads to *desk*; a former link counts as lost.
        """
        self._end_attachment()
        self._link = link
        self._attachment = Deferred.fromCoroutine(self._attend(desk, link))
        background(_unless_cancelled(self._attachment), self._log, "attaching to the master")

    def drain(self, drained: Callable[[], None]) -> None:
        """
        Take no new builds; *drained* is called when no build is left on this slave.

        The session drops the link and attaches again with `Hello.draining` set.  After the last build the master drops
        the link, so the session attaches once more, and gets a welcome with `Welcome.idle` set.
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
        End the session.  *kill*: also kill all commands; otherwise they go on in the keeper, which ends without any.
        """
        self._end_attachment()
        if self._starting is not None:
            self._starting.cancel()
        if self._leftovers is not None:
            self._leftovers.stop()
        self._agent.leave()
        if kill:
            await self._client.stop()
        else:
            await self._client.leave()

    async def hello(self, master: str) -> Hello:
        """
        The `Hello` of this slave for the master with the TubID *master*; waits until a keeper is attached.
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
            shells=self._agent.shells is not None and self._agent.shells.permitted,
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
            # Before the hello: what a build leaves that begins after the answer is not in it.
            found = {} if self._leftovers is None else await self._leftovers.find()
            hello = await self.hello(link.key)
            welcome = await shielded(desk.attach(end, hello, link.key))
        except LinkLostError:
            return
        except BuildbotLiteError as error:
            self._refused(error)
            return
        if welcome.epoch < self._directory.epochs.highest(link.key):
            # Checked here because an older master does not compare epochs itself.
            self._refused(SupersededError())
            return
        self._note_epoch(link.key, welcome.epoch)
        self._welcomed(welcome)
        if self._leftovers is not None and welcome.building is not None:
            self._leftovers.remove(found, welcome.building)
        if self._drained is not None and welcome.idle:
            self._drained()
        watching = Deferred.fromCoroutine(self._watch_space(welcome, hello.space, link))
        background(_unless_cancelled(watching), self._log, "watching the disk")
        link.when_lost(watching.cancel)
        try:
            while not link.lost:
                self._client.renew_leases(link.silence())
                await deferLater(self._clock, RENEWAL_INTERVAL)
        except CancelledError:
            watching.cancel()
            raise

    async def _watch_space(self, welcome: Welcome, reported: int, link: Link) -> None:
        """
        Attach again when the free space has changed in a way that the master must know.  *reported*: that of the hello.
        """
        if welcome.minspace:
            await self._disk_space.watch(welcome.minspace, welcome.directories, reported)
            link.drop("the free space of this slave's disk changed")

    def _note_epoch(self, master: str, epoch: int) -> None:
        try:
            self._directory.epochs.note(master, epoch)
        except StorageError as error:
            # The next welcome tries again; until then, an older copy of the farm would not be refused.
            self._log.warn("{sentence}", sentence=str(error))

    def _end_attachment(self) -> None:
        if self._attachment is not None:
            self._attachment.cancel()


async def _unless_cancelled(task: Deferred[None]) -> None:
    with suppress(CancelledError):  # the normal end
        await task
