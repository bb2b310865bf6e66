"""
A slave's machine by the contract: what its keeper promises, without a keeper.

The keeper is played here, as its contract has it: a claim is on the disk before anything is spawned, what is known is
never spawned again, what was forgotten neither, an outcome is on the disk before it is told, a lease that ran out
kills.  Its commands do what the test says, and each writes text that is known from its id and its stream.

Simplified: when the keeper dies its commands die with it (really the next keeper kills them, before it says anything).
"""

import hashlib
import os
import shutil
from collections import deque
from collections.abc import Callable
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

from ..slave.fakes import AtOnce
from .wires import End

LONGEST_TEXT = 1 << 20


@lru_cache(64)
def text_of(id: str, stream: str) -> bytes:
    """
    What the command *id* would write into *stream* if it wrote for ever: ever is `LONGEST_TEXT` long.
    """
    return Random(f"{id}/{stream}").randbytes(LONGEST_TEXT)


@define(eq=False)
class Kept:
    """
    A command in the keeper's hands.
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
class Line:
    """
    The socket between attendant and keeper: in order, and lost with either.
    """

    to_keeper: deque[Callable[[], None]] = field(factory=deque)
    to_slave: deque[Callable[[], None]] = field(factory=deque)


class Machine:
    """
    One machine with a slave's directory.  *spawned* and *forgot* are told what the keeper does, with the machine.
    """

    def __init__(
        self,
        name: str,
        directory: str,
        now: Callable[[], float],
        *,
        spawned: Callable[["Machine", str], None],
        forgot: Callable[["Machine", str], None],
    ) -> None:
        self.name = name
        self.directory = directory
        self.now = now
        self._spawned = spawned
        self._forgot = forgot
        self.boots = self.keepers = self.processes = 1
        self.kept: dict[str, Kept] = {}
        self.forgotten: set[str] = set()
        self.line: Line | None = None
        self.process: Process | None = None
        self.heard = now()
        self.reachable = True
        for part in ("keeper", "transfers", "work"):
            os.makedirs(os.path.join(directory, part))

    @property
    def running(self) -> list[Kept]:
        """
        The commands that run.
        """
        return [kept for kept in self.kept.values() if kept.life is Life.RUNNING]

    # What happens to it.

    def start(self) -> None:
        """
        A slave's process starts.
        """
        self.processes += 1
        self.process = Process(self)

    def kill(self) -> None:
        """
        The slave's process dies.
        """
        if self.process is not None:
            self.process.die()
            self.process = self.line = None

    def kill_keeper(self, *, unknown: bool) -> list[str]:
        """
        The keeper dies, and its commands with it; the next one finds what is on the disk.  Answers what was lost.
        """
        lost = [kept.id for kept in self.running]
        self.keepers += 1
        self.line = None
        for kept in self.running:
            kept.life = Life.UNKNOWN if unknown else Life.LOST
            kept.outcome = Outcome.lost("The keeper that ran it is gone.").but(streams=kept.seals())
        if self.process is not None:
            self.process.client.attach_again()
        return lost

    def reboot(self) -> list[str]:
        """
        The power fails, and comes back.
        """
        self.kill()
        self.boots += 1
        return self.kill_keeper(unknown=False)

    def write(self, kept: Kept, size: int) -> None:
        """
        A command writes.
        """
        path = spool_path(self.keeper_directory, kept.id, "stdio")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        data = text_of(kept.id, "stdio")[kept.length : kept.length + size]
        with open(path, "ab") as spool:
            spool.write(data)
        kept.length += len(data)
        lengths = kept.lengths()
        self._tell(lambda news: news.grew(kept.id, lengths))

    def end(self, kept: Kept, **how: Any) -> None:
        """
        A command ends.
        """
        kept.life = Life.ENDED
        kept.outcome = Outcome(how.pop("ending", Ending.EXITED), streams=kept.seals(), **how)
        self._tell_end(kept)

    def look_at_leases(self) -> None:
        """
        Kill what the master has not been heard about for too long.
        """
        for kept in self.running:
            if kept.spec.grace is not None and min(self.now() - self.heard, self.now() - kept.asked) >= max(
                kept.spec.grace - 30.0, 1.0
            ):
                self.end(kept, ending=Ending.KILLED, why=Why.LEASE, sentence="lease expired")

    # The keeper's half of the socket.

    @property
    def keeper_directory(self) -> str:
        return os.path.join(self.directory, "keeper")

    def attach(self) -> Line:
        """
        A process of the slave is on the line, in the place of any other.
        """
        self.line = Line()
        return self.line

    def take_start(self, id: str, fingerprint: str, spec: Run) -> None:
        if id in self.kept and self.kept[id].fingerprint == fingerprint:
            self._tell(lambda news: news.claimed(id))
            if self.kept[id].outcome is not None:
                self._tell_end(self.kept[id])
        elif id in self.kept or id in self.forgotten:
            self._tell(lambda news: news.refused(id, "It was here before; it is not started twice."))
        else:
            self.kept[id] = Kept(id, fingerprint, spec, self.now())
            self._spawned(self, id)
            self._tell(lambda news: news.claimed(id))

    def take_interrupt(self, id: str, reason: str) -> None:
        kept = self.kept.get(id)
        if kept is not None and kept.life is Life.RUNNING:
            self.end(kept, ending=Ending.KILLED, why=Why.INTERRUPTED, sentence=reason)

    def take_forget(self, id: str) -> None:
        self._forgot(self, id)
        self.kept.pop(id, None)
        self.forgotten.add(id)
        shutil.rmtree(os.path.dirname(spool_path(self.keeper_directory, id, "stdio")), ignore_errors=True)
        self._tell(lambda news: news.forgotten(id))

    def take_word(self, age: float) -> None:
        self.heard = max(self.heard, self.now() - age)

    def _tell_end(self, kept: Kept) -> None:
        outcome, life = kept.outcome, kept.life
        assert outcome is not None
        self._tell(lambda news: news.ended(kept.id, outcome, life))

    def _tell(self, what: Callable[[KeeperListener], None]) -> None:
        def told() -> None:
            if self.process is not None:
                what(self.process.agent)

        if self.line is not None:
            self.line.to_slave.append(told)


class KeeperClient:
    """
    The keeper's client in one process, in place of `slave.keeper_client`.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._line: Line | None = None
        self._news: KeeperListener | None = None
        self._interrupts: dict[str, str] = {}
        self.keeper = self.boot = ""

    async def ensure(self, news: KeeperListener) -> None:
        self._news = news
        self.attach_again()

    def attach_again(self) -> None:
        """
        A keeper was started, and says what it has.
        """
        if self._news is None:
            return
        machine = self._machine
        self._line = machine.attach()
        self.keeper, self.boot = f"keeper-{machine.keepers}", f"boot-{machine.boots}"
        held = {kept.id: (kept.fingerprint, kept.life, kept.lengths()) for kept in machine.kept.values()}
        interrupts, self._interrupts = self._interrupts, {}
        for id, reason in interrupts.items():
            self.interrupt(id, reason)
        self._news.attached(held)
        for kept in list(machine.kept.values()):
            if kept.outcome is not None:
                machine._tell_end(kept)

    def start(self, id: str, *, fingerprint: str, spec: Run, **others: Any) -> None:
        self._say(lambda: self._machine.take_start(id, fingerprint, spec))

    def interrupt(self, id: str, reason: str) -> None:
        if self._line is None:
            self._interrupts[id] = reason
        self._say(lambda: self._machine.take_interrupt(id, reason))

    def forget(self, id: str) -> None:
        self._say(lambda: self._machine.take_forget(id))

    def word(self, age: float) -> None:
        self._say(lambda: self._machine.take_word(age))

    def detach(self) -> None:
        self._line = None

    async def stop(self) -> None:
        raise NotImplementedError

    def _say(self, what: Callable[[], None]) -> None:
        if self._line is not None and self._line is self._machine.line:
            self._line.to_keeper.append(what)


@define
class House:
    """
    As much of a `SlaveDirectory` as a session needs.
    """

    name: str

    def space(self) -> int:
        return 1 << 40


class Process:
    """
    One process of a slave: the real agent and the real session.
    """

    def __init__(self, machine: Machine) -> None:
        self.clock = Clock()
        self.client = KeeperClient(machine)
        self.end: End | None = None
        self.agent = Agent(
            client=self.client,
            keeper_directory=machine.keeper_directory,
            context=TransferContext(
                SafePaths(os.path.join(machine.directory, "work")),
                os.path.join(machine.directory, "transfers"),
                _at_once,
                self.clock,
                AtOnce(),
            ),
            env={},
            clock=self.clock,
        )
        self.session = Session(
            agent=self.agent,
            client=self.client,
            directory=House(f"home-of-{machine.name}"),  # type: ignore[arg-type]  # as much of it as is needed
            clock=self.clock,
            welcomed=lambda welcome: None,
            refused=lambda error: None,
        )
        self.session.start()

    def die(self) -> None:
        """
        Of kill -9: whatever it still wanted to do is not done.
        """
        if self.end is not None:
            self.end.die()
        self.client.detach()


def _at_once(function: Callable[[], Any]) -> Deferred[Any]:
    return execute(function)
