"""
A slave put together, without the line to its master.

`Crew` is what every slave consists of.  `LocalSlave` is one inside the master's own process, linked in memory: the
master's own commands (``MasterShellCommand``) go through it, so that they, too, outlive the process that asked for
them.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from ..errors import BuildbotLiteError, ConfigError
from ..model.hello import Welcome
from ..wire.loopback import MemoryDesk, MemoryLink
from ..wire.roles import Desk
from .agent import Agent
from .directory import Home
from .keeper_client import Attendant
from .policy import NO_RULES, Rules
from .safe_paths import Tree
from .session import Session
from .transfer import Means
from .worker_process import WorkerProcesses

T = TypeVar("T")

REATTACH = 0.5


class Crew:
    """
    Keeper, agent and session in *home*, which is ours alone; they keep to the *rules*.
    """

    def __init__(
        self,
        home: Home,
        reactor: Any,
        *,
        welcomed: Callable[[Welcome], None],
        refused: Callable[[BuildbotLiteError], None],
        env: Mapping[str, str] = os.environ,
        rules: Rules = NO_RULES,
    ) -> None:
        self.home = home
        if rules.owner_of_files is not None:
            self.home.share(rules.owner_of_files)
            if sentence := rules.why_unreachable(self.home.work):
                raise ConfigError(sentence)

        def apart(function: Callable[[], T]) -> Deferred[T]:
            return deferToThreadPool(reactor, reactor.getThreadPool(), function)

        tree = Tree(self.home.work, beyond=rules.directories, owner=rules.owner_of_files, umask=rules.umask)
        self.attendant = Attendant(self.home.keeper, reactor)
        self.agent = Agent(
            keeping=self.attendant,
            keeper_directory=self.home.keeper,
            means=Means(tree, self.home.transfers, apart, reactor, WorkerProcesses(reactor)),
            env=rules.inherited(env),
            clock=reactor,
            rules=rules,
        )
        self.session = Session(
            agent=self.agent,
            keeping=self.attendant,
            home=self.home,
            clock=reactor,
            welcomed=welcomed,
            refused=refused,
        )


class LocalSlave:
    """
    A slave in this process: ``start()``, ``attach_to(desk)``, in the end ``stop()``, which leaves its commands running.
    """

    _log = Logger()

    def __init__(self, directory: str, reactor: Any, *, env: Mapping[str, str] = os.environ) -> None:
        self._reactor = reactor
        home = Home(directory)
        home.make()
        self._crew = Crew(home, reactor, welcomed=self._welcomed, refused=self._refused, env=env)
        self._desk: Desk | None = None
        self._link: MemoryLink | None = None
        self._waiting: IDelayedCall | None = None

    def start(self) -> None:
        """
        See that there is a keeper; it is also attached to when it has commands already.
        """
        self._crew.session.start()

    def attach_to(self, desk: Desk) -> None:
        """
        Attach to *desk*, and again whenever it drops the link.
        """
        self._desk = desk
        self._attach()

    async def stop(self, *, kill: bool = False) -> None:
        """
        Let go of *desk*; the commands go on, unless they are to be *killed*.
        """
        self._desk = None
        if self._waiting is not None and self._waiting.active():
            self._waiting.cancel()
        if self._link is not None:
            self._link.drop("stopped")
        await self._crew.session.stop(kill=kill)

    def _attach(self) -> None:
        if self._desk is not None:
            link = self._link = MemoryLink()
            self._crew.session.dialled(MemoryDesk(self._desk, link), link)
            link.when_lost(self._again)

    def _welcomed(self, _: Welcome) -> None:
        self._log.info("ready to run the master's own commands")

    def _refused(self, error: BuildbotLiteError) -> None:
        self._log.error("the master refuses its own slave: {sentence}", sentence=str(error))
        self._again()

    def _again(self) -> None:
        if self._desk is not None and (self._waiting is None or not self._waiting.active()):
            self._waiting = self._reactor.callLater(REATTACH, self._attach)
