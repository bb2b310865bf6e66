"""
Composes a slave, without the connection to its master.

`SlaveAssembly` has the parts of every slave.  `LocalSlave` is a slave in the master's own process, linked in memory: it
runs the master's own commands (``MasterShellCommand``) under a keeper, so that they, too, outlive the master's process.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from ..errors import BuildbotLiteError, ConfigError
from ..model.hello import Welcome
from ..model.shell_request import ShellRequest
from ..wire.loopback import LoopbackDesk, LoopbackLink
from ..wire.roles import Desk
from .agent import Agent
from .directory import SlaveDirectory
from .keeper_client import KeeperClient
from .leftovers import LeftoverKind, Leftovers
from .policy import DEFAULT_POLICY, Policy
from .removal import Removal
from .safe_paths import SafePaths
from .session import Session
from .shells import Shells
from .transfer import TransferContext
from .worker_process import WorkerProcesses

T = TypeVar("T")

REATTACH = 0.5
"""Seconds after which a `LocalSlave` attaches again."""


class SlaveAssembly:
    """
    Keeper client, agent and session in *directory*, which is locked, under *policy*.

    *welcomed*, *refused*: as for `Session`.  *env*: the slave's environment.  *leftovers*: how to find and
    remove what builds have left; None: nothing is removed.  `ConfigError` when the user of the policy
    has no permission to enter the work directory.
    """

    def __init__(
        self,
        directory: SlaveDirectory,
        reactor: Any,
        *,
        welcomed: Callable[[Welcome], None],
        refused: Callable[[BuildbotLiteError], None],
        env: Mapping[str, str] = os.environ,
        policy: Policy = DEFAULT_POLICY,
        leftovers: LeftoverKind | None = None,
    ) -> None:
        self.directory = directory
        if policy.owner_of_files is not None:
            self.directory.share(policy.owner_of_files)
            if sentence := policy.why_unreachable(self.directory.work):
                raise ConfigError(sentence)

        def in_thread(function: Callable[[], T]) -> Deferred[T]:
            return deferToThreadPool(reactor, reactor.getThreadPool(), function)

        paths = SafePaths(
            self.directory.work, beyond=policy.directories, owner=policy.owner_of_files, umask=policy.umask
        )
        self.in_thread = in_thread
        self.client = KeeperClient(self.directory.keeper, reactor)
        self.variables = policy.inherited(env)
        self.shells = Shells(
            reactor, work=paths.root, make=lambda path: paths.make(path).path, env=self.variables, policy=policy
        )
        self.removal = Removal(self.directory.work, self.variables, in_thread)
        self.agent = Agent(
            client=self.client,
            keeper_directory=self.directory.keeper,
            context=TransferContext(paths, self.directory.transfers, in_thread, reactor, WorkerProcesses(reactor)),
            env=self.variables,
            clock=reactor,
            policy=policy,
            shells=self.shells,
        )
        self.session = Session(
            agent=self.agent,
            client=self.client,
            directory=self.directory,
            clock=reactor,
            welcomed=welcomed,
            refused=refused,
            leftovers=None if leftovers is None else self._leftovers(leftovers, reactor),
        )

    def _leftovers(self, kind: LeftoverKind, clock: IReactorTime) -> Leftovers:
        as_command = evolve(kind, words=lambda left: self.as_command(kind.words(left)))
        return Leftovers(as_command, self.removal, clock)

    def as_command(self, words: Sequence[str]) -> list[str]:
        """
        The *words* of a program of this process's own, so that it has the rights of the commands that made what it
        removes.
        """
        return [os.fsdecode(word) for word in self.shells.words(ShellRequest(tuple(words)))]


class LocalSlave:
    """
    A slave in this process.  Call ``start()``, ``attach_to(desk)``, and finally ``stop()``; its commands go on.
    """

    _log = Logger()

    def __init__(self, directory: str, reactor: Any) -> None:
        self._reactor = reactor
        own_directory = SlaveDirectory(directory)
        own_directory.make()
        self._assembly = SlaveAssembly(own_directory, reactor, welcomed=self._welcomed, refused=self._refused)
        self._desk: Desk | None = None
        self._link: LoopbackLink | None = None
        self._waiting: IDelayedCall | None = None

    def start(self) -> None:
        """
        Attach to a keeper, which is started if there is none.
        """
        self._assembly.session.start()

    def attach_to(self, desk: Desk) -> None:
        """
        Attach to *desk*, and again whenever it drops the link.
        """
        self._desk = desk
        self._attach()

    async def stop(self, *, kill: bool = False) -> None:
        """
        Drop the link.  *kill*: also kill all commands, which otherwise go on.
        """
        self._desk = None
        if self._waiting is not None and self._waiting.active():
            self._waiting.cancel()
        if self._link is not None:
            self._link.drop("stopped")
        await self._assembly.session.stop(kill=kill)

    def _attach(self) -> None:
        if self._desk is not None:
            link = self._link = LoopbackLink()
            self._assembly.session.connected(LoopbackDesk(self._desk, link), link)
            link.when_lost(self._attach_later)

    def _welcomed(self, _: Welcome) -> None:
        self._log.info("ready to run the master's own commands")

    def _refused(self, error: BuildbotLiteError) -> None:
        self._log.error("the master refuses its own slave: {sentence}", sentence=str(error))
        self._attach_later()

    def _attach_later(self) -> None:
        if self._desk is not None and (self._waiting is None or not self._waiting.active()):
            self._waiting = self._reactor.callLater(REATTACH, self._attach)
