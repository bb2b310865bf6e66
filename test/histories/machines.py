"""
A fake slave's machine, with a fake keeper that follows the keeper's contract.

The contract: a claim is on the disk before the command is spawned, a known or forgotten command is never spawned again,
an outcome is on the disk before it is reported, an expired lease kills.  The test controls the commands; each writes
text derived from its id and its stream.

Simplification: when the keeper dies, its commands die with it.  (In reality the next keeper kills them before it
accepts a connection.)
"""

import hashlib
import os
import shutil
from collections import deque
from collections.abc import Callable, Collection
from functools import lru_cache
from random import Random
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock

from buildbot_lite.keeper.command_store import spool_path
from buildbot_lite.model.hello import Life
from buildbot_lite.model.outcome import (
    Ending,
    Outcome,
    Seal,
    Why,
)
from buildbot_lite.model.spec import Run
from buildbot_lite.slave.agent import Agent
from buildbot_lite.slave.keeper_messages import KeeperListener
from buildbot_lite.slave.safe_paths import SafePaths
from buildbot_lite.slave.session import Session
from buildbot_lite.slave.transfer import TransferContext

from ..slave.fakes import InlineWorkers
from .links import LinkEnd

LONGEST_TEXT = 1 << 20


@lru_cache(64)
def text_of(id: str, stream: str) -> bytes:
    """
    The first `LONGEST_TEXT` bytes that the command *id* writes to *stream*.
    """
    return Random(f"{id}/{stream}").randbytes(LONGEST_TEXT)


@define(eq=False)
class FakeCommand:
    """
    A command of the fake keeper.
    """

    id: str
    fingerprint: str
    spec: Run
    asked: float
    life: Life = Life.RUNNING
    length: int = 0
    outcome: Outcome | None = None

    def lengths(self) -> dict[str, int]:
        return {"stdio": self.length} if self.length else {}

    def seals(self) -> dict[str, Seal]:
        data = text_of(self.id, "stdio")[: self.length]
        return {"stdio": Seal(len(data), hashlib.sha256(data).hexdigest())} if data else {}


@define(eq=False)
class KeeperLink:
    """
    The socket between the slave's keeper client and the keeper: ordered, and closed with either end.
    """

    to_keeper: deque[Callable[[], None]] = field(factory=deque)
    to_slave: deque[Callable[[], None]] = field(factory=deque)


class FakeMachine:
    """
    A machine with a slave's directory.  *spawned*, *forgot*: called with the machine and a command's id.
    """

    def __init__(
        self,
        name: str,
        directory: str,
        now: Callable[[], float],
        *,
        spawned: Callable[["FakeMachine", str], None],
        forgot: Callable[["FakeMachine", str], None],
    ) -> None:
        self.name = name
        self.directory = directory
        self.now = now
        self._spawned = spawned
        self._forgot = forgot
        self.boots = self.keepers = self.processes = 1
        self.commands: dict[str, FakeCommand] = {}
        self.forgotten: set[str] = set()
        self.line: KeeperLink | None = None
        self.process: SlaveProcess | None = None
        self.heard = now()
        self.reachable = True
        for part in ("keeper", "transfers", "work"):
            os.makedirs(os.path.join(directory, part))

    @property
    def running(self) -> list[FakeCommand]:
        """
        Return the running commands.
        """
        return [command for command in self.commands.values() if command.life is Life.RUNNING]

    # Events.

    def start(self) -> None:
        """
        Start a process of the slave.
        """
        self.processes += 1
        self.process = SlaveProcess(self)

    def kill(self) -> None:
        """
        Kill the slave's process.
        """
        if self.process is not None:
            self.process.die()
            self.process = self.line = None

    def kill_keeper(self, *, unknown: bool) -> list[str]:
        """
        Kill the keeper with its commands; the next keeper reads the disk.  Return the ids of the lost commands.
        """
        lost = [command.id for command in self.running]
        self.keepers += 1
        self.line = None
        for command in self.running:
            command.life = Life.UNKNOWN if unknown else Life.LOST
            command.outcome = Outcome.lost("The keeper that ran it ended.").but(streams=command.seals())
        if self.process is not None:
            self.process.client.attach_again()
        return lost

    def reboot(self) -> list[str]:
        """
        Simulate a power failure and a restart.
        """
        self.kill()
        self.boots += 1
        return self.kill_keeper(unknown=False)

    def write(self, command: FakeCommand, size: int) -> None:
        """
        Let a command write.
        """
        path = spool_path(self.keeper_directory, command.id, "stdio")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        data = text_of(command.id, "stdio")[command.length : command.length + size]
        with open(path, "ab") as spool:
            spool.write(data)
        command.length += len(data)
        lengths = command.lengths()
        self._tell(lambda news: news.grew(command.id, lengths))

    def end(self, command: FakeCommand, **how: Any) -> None:
        """
        Let a command end.
        """
        command.life = Life.ENDED
        command.outcome = Outcome(how.pop("ending", Ending.EXITED), streams=command.seals(), **how)
        self._tell_end(command)

    def look_at_leases(self) -> None:
        """
        Kill the commands whose leases have expired.
        """
        for command in self.running:
            if command.spec.grace is not None and min(self.now() - self.heard, self.now() - command.asked) >= max(
                command.spec.grace - 30.0, 1.0
            ):
                self.end(command, ending=Ending.KILLED, why=Why.LEASE, sentence="lease expired")

    # The keeper's end of the socket.

    @property
    def keeper_directory(self) -> str:
        return os.path.join(self.directory, "keeper")

    def attach(self) -> KeeperLink:
        """
        Connect a process of the slave, and disconnect any other.
        """
        self.line = KeeperLink()
        return self.line

    def take_start(self, id: str, fingerprint: str, spec: Run) -> None:
        if id in self.commands and self.commands[id].fingerprint == fingerprint:
            self._tell(lambda news: news.claimed(id))
            if self.commands[id].outcome is not None:
                self._tell_end(self.commands[id])
        elif id in self.commands or id in self.forgotten:
            self._tell(lambda news: news.refused(id, "It was here before; it is not started twice."))
        else:
            self.commands[id] = FakeCommand(id, fingerprint, spec, self.now())
            self._spawned(self, id)
            self._tell(lambda news: news.claimed(id))

    def take_interrupt(self, id: str, reason: str) -> None:
        command = self.commands.get(id)
        if command is not None and command.life is Life.RUNNING:
            self.end(command, ending=Ending.KILLED, why=Why.INTERRUPTED, sentence=reason)

    def take_forget(self, id: str) -> None:
        self._forgot(self, id)
        self.commands.pop(id, None)
        self.forgotten.add(id)
        shutil.rmtree(os.path.dirname(spool_path(self.keeper_directory, id, "stdio")), ignore_errors=True)
        self._tell(lambda news: news.forgotten(id))

    def take_word(self, age: float) -> None:
        self.heard = max(self.heard, self.now() - age)

    def _tell_end(self, command: FakeCommand) -> None:
        outcome, life = command.outcome, command.life
        assert outcome is not None
        self._tell(lambda news: news.ended(command.id, outcome, life))

    def _tell(self, what: Callable[[KeeperListener], None]) -> None:
        def told() -> None:
            if self.process is not None:
                what(self.process.agent)

        if self.line is not None:
            self.line.to_slave.append(told)


class FakeKeeperClient:
    """
    The keeper client of one process, in place of `slave.keeper_client`.
    """

    def __init__(self, machine: FakeMachine) -> None:
        self._machine = machine
        self._line: KeeperLink | None = None
        self._news: KeeperListener | None = None
        self._interrupts: dict[str, str] = {}
        self.keeper = self.boot = ""

    async def ensure(self, news: KeeperListener) -> None:
        self._news = news
        self.attach_again()

    def attach_again(self) -> None:
        """
        A keeper was started, and reports its commands.
        """
        if self._news is None:
            return
        machine = self._machine
        self._line = machine.attach()
        self.keeper, self.boot = f"keeper-{machine.keepers}", f"boot-{machine.boots}"
        held = {
            command.id: (command.fingerprint, command.life, command.lengths()) for command in machine.commands.values()
        }
        interrupts, self._interrupts = self._interrupts, {}
        for id, reason in interrupts.items():
            self.interrupt(id, reason)
        self._news.attached(held)
        for command in list(machine.commands.values()):
            if command.outcome is not None:
                machine._tell_end(command)

    def start(self, id: str, *, fingerprint: str, spec: Run, **others: Any) -> None:
        self._say(lambda: self._machine.take_start(id, fingerprint, spec))

    def interrupt(self, id: str, reason: str) -> None:
        if self._line is None:
            self._interrupts[id] = reason
        self._say(lambda: self._machine.take_interrupt(id, reason))

    def forget(self, id: str) -> None:
        self._say(lambda: self._machine.take_forget(id))

    def renew_leases(self, age: float) -> None:
        self._say(lambda: self._machine.take_word(age))

    def detach(self) -> None:
        self._line = None

    async def leave(self) -> None:
        self.detach()

    async def stop(self) -> None:
        raise NotImplementedError

    def _say(self, what: Callable[[], None]) -> None:
        if self._line is not None and self._line is self._machine.line:
            self._line.to_keeper.append(what)


@define
class FakeSlaveDirectory:
    """
    The part of a `SlaveDirectory` that a session needs.
    """

    name: str

    def space(self) -> int:
        return 1 << 40

    def measured_space(self) -> int | None:
        return self.space()

    def facts(self) -> dict[str, str]:
        return {}

    @property
    def epochs(self) -> "FakeEpochs":
        return FakeEpochs()

    @property
    def served(self) -> "FakeServedDirectories":
        return FakeServedDirectories()


class FakeEpochs:
    """
    The role of `SeenEpochs` for a farm that was never restored.
    """

    def highest(self, key: str) -> int:
        return 0

    def note(self, key: str, epoch: int) -> None:
        pass


class FakeServedDirectories:
    """
    The role of `ServedDirectories`, where the master has named none.
    """

    def names(self) -> frozenset[str]:
        return frozenset()

    def note(self, names: Collection[str]) -> None:
        pass


class SlaveProcess:
    """
    One process of a slave: the real agent and the real session.
    """

    def __init__(self, machine: FakeMachine) -> None:
        self.clock = Clock()
        self.client = FakeKeeperClient(machine)
        self.end: LinkEnd | None = None
        self.agent = Agent(
            client=self.client,
            keeper_directory=machine.keeper_directory,
            context=TransferContext(
                SafePaths(os.path.join(machine.directory, "work")),
                os.path.join(machine.directory, "transfers"),
                _at_once,
                self.clock,
                InlineWorkers(),
            ),
            env={},
            clock=self.clock,
        )
        self.session = Session(
            agent=self.agent,
            client=self.client,
            directory=FakeSlaveDirectory(f"home-of-{machine.name}"),  # type: ignore[arg-type]  # as much of it as is needed
            clock=self.clock,
            welcomed=lambda welcome: None,
            refused=lambda error: None,
        )
        self.session.start()

    def die(self) -> None:
        """
        End as by kill -9, without any cleanup.
        """
        if self.end is not None:
            self.end.die()
        self.client.detach()


def _at_once(function: Callable[[], Any]) -> Deferred[Any]:
    return execute(function)
