"""
The master's memory of one slave, across links.

::

    away --attached--> present <--attached-- gone
      ^                 |    |               ^  ^
      '------ lost -----'    '--- banned ----'  |
      '------- given up, banned ----------------'

Orders outlive the first two states.  While the slave is present they are with it; while it is away each has a
deadline, after which it counts as lost (`model.lease`).  A slave is gone when an admin says so: then every order is
lost at once, until it attaches.

A machine, because the wire, the builds and the operator all speak at once.
"""

from collections.abc import Iterable
from typing import Protocol

from attrs import define, evolve, field, frozen
from automat import TypeMachineBuilder
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ...deferreds import background
from ...errors import LinkLostError
from ...model.hello import (
    HeldCommand,
    Hello,
    Life,
)
from ...model.lease import master_deadline
from ...model.outcome import Outcome
from ...wire.roles import Slave
from .command import DispatchedCommand

ENDING = 60.0
"""Seconds for which nothing arrives of a command that is to end, until it counts as lost."""
LONGEST_ENDING = 600.0
"""Seconds after which it does in any case."""


class SessionListener(Protocol):
    """
    Who wants to know when slaves come and go.
    """

    def slave_attached(self, name: str, hello: Hello, news: str) -> None:
        """
        It is here; *news* says for people what happened meanwhile.
        """

    def slave_lost(self, name: str) -> None:
        """
        Its link is gone.
        """


class Inputs(Protocol):
    """
    What can happen to a session.
    """

    def attached(self, link: Slave, hello: Hello) -> None:
        """
        The slave is on the line.
        """

    def lost(self, link: Slave) -> None:
        """
        That line is gone.
        """

    def requested(self, command: DispatchedCommand) -> None:
        """
        A build wants something done.
        """

    def interrupted(self, id: str, reason: str) -> None:
        """
        Somebody wants it to end.
        """

    def settled(self, command: DispatchedCommand) -> None:
        """
        It is over, one way or another.
        """

    def dismissed(self, reason: str) -> None:
        """
        Cut the line.
        """

    def given_up(self, reason: str) -> None:
        """
        An admin says that the machine is gone.
        """

    def banned(self, reason: str) -> None:
        """
        An admin does not want it any more.
        """


@define
class Core:
    """
    What a session knows in every state.
    """

    name: str
    clock: IReactorTime
    listener: SessionListener
    log: Logger
    commands: dict[str, DispatchedCommand] = field(factory=dict)
    interrupts: dict[str, str] = field(factory=dict)
    deadlines: dict[str, IDelayedCall] = field(factory=dict)
    endings: dict[str, IDelayedCall] = field(factory=dict)
    greeted: Hello | None = None
    away_since: float = 0.0

    def set_deadline(self, command: DispatchedCommand) -> None:
        """
        From now on the order's grace runs.
        """
        if command.grace is not None:
            wait = master_deadline(command.grace)
            sentence = f"{self.name} was away for longer than the grace of {command.grace / 60:.3g} min"
            self.deadlines[command.id] = self.clock.callLater(wait, command.lose, sentence)

    def clear_deadline(self, id: str) -> None:
        """
        The slave is here, or the order is over.
        """
        call = self.deadlines.pop(id, None)
        if call is not None and call.active():
            call.cancel()

    def expect_end(self, command: DispatchedCommand) -> None:
        """
        It is to end, and is waited for as long as something of it arrives.
        """
        if command.id not in self.endings:
            self._look_whether_it_ends(command, -1, LONGEST_ENDING)

    def _look_whether_it_ends(self, command: DispatchedCommand, received: int, left: float) -> None:
        if command.received == received or left <= 0:
            command.lose(f"{self.name} did not end it within {LONGEST_ENDING - left:.0f} s")
        else:
            self.endings[command.id] = self.clock.callLater(
                ENDING, self._look_whether_it_ends, command, command.received, left - ENDING
            )

    def lose_all(self, reason: str) -> None:
        """
        Nothing that was ordered will come to an end.
        """
        for command in list(self.commands.values()):
            command.lose(reason)

    def forget(self, command: DispatchedCommand) -> None:
        """
        The order is over.
        """
        self.clear_deadline(command.id)
        ending = self.endings.pop(command.id, None)
        if ending is not None and ending.active():
            ending.cancel()
        self.commands.pop(command.id, None)
        self.interrupts.pop(command.id, None)

    def send(self, link: Slave, command: DispatchedCommand) -> None:
        """
        Have it started.
        """
        self._tell(link.start(command.id, command.spec, command.secrets, command), command)

    def resume(self, link: Slave, command: DispatchedCommand) -> None:
        """
        Have it reported on again.
        """
        have = command.stored_lengths()
        if have is not None:
            self._tell(link.resume(command.id, command, have), command)

    def interrupt(self, link: Slave, id: str) -> None:
        """
        Pass an interrupt on.
        """
        background(link.interrupt(id, self.interrupts[id]), self.log, f"interrupt of {id} on {self.name}")

    def disown(self, link: Slave, id: str) -> None:
        """
        Nobody here wants it.
        """
        background(link.disown(id), self.log, f"disowning {id} on {self.name}")

    def _tell(self, told: Deferred[None], command: DispatchedCommand) -> None:
        def refused(failure: Failure) -> None:
            # When the line broke instead, the next attachment tells what became of it.
            if failure.check(LinkLostError) is None:
                command.refused(str(failure.value))

        background(told.addErrback(refused), self.log, f"telling {self.name}")


@frozen
class Attachment:
    """
    The link on which the slave is now, and what it said of itself on it.
    """

    link: Slave
    hello: Hello


_builder = TypeMachineBuilder(Inputs, Core)
_away = _builder.state("away")


def _present(inputs: Inputs, core: Core, link: Slave, hello: Hello) -> Attachment:
    return Attachment(link, evolve(hello, held=()))


_here = _builder.state("present", _present)


def _for_a_reason(inputs: Inputs, core: Core, reason: str) -> str:
    return reason


_gone = _builder.state("gone", _for_a_reason)


@_away.upon(Inputs.attached).to(_here)
def _arrive(inputs: Inputs, core: Core, link: Slave, hello: Hello) -> None:
    _greet(core, link, hello)


def _greet(core: Core, link: Slave, hello: Hello) -> None:
    news = _news(core, hello)
    held = {item.id: item for item in hello.held}
    for command in list(core.commands.values()):
        core.clear_deadline(command.id)
        _reconcile(core, link, hello, command, held.pop(command.id, None))
    for stranger in held:
        core.disown(link, stranger)
    core.greeted = evolve(hello, held=())  # what it held may be megabytes
    core.listener.slave_attached(core.name, hello, news)


@_here.upon(Inputs.attached).loop()
def _redial(inputs: Inputs, core: Core, old: Attachment, link: Slave, hello: Hello) -> None:
    # The slave dialled again before we noticed that the old line was dead.  Both inputs are queued; this
    # transition alone would keep the old line.
    old.link.drop("dialled again")
    inputs.lost(old.link)
    inputs.attached(link, hello)


@_here.upon(Inputs.lost).to(_away)
def _depart(inputs: Inputs, core: Core, attachment: Attachment, link: Slave) -> None:
    core.away_since = core.clock.seconds()
    for command in core.commands.values():
        core.set_deadline(command)
    core.listener.slave_lost(core.name)


@_here.upon(Inputs.requested).loop()
def _send(inputs: Inputs, core: Core, attachment: Attachment, command: DispatchedCommand) -> None:
    core.commands[command.id] = command
    _reconcile(core, attachment.link, attachment.hello, command, None)


@_away.upon(Inputs.requested).loop()
def _keep(inputs: Inputs, core: Core, command: DispatchedCommand) -> None:
    core.commands[command.id] = command
    core.set_deadline(command)


@_here.upon(Inputs.interrupted).loop()
def _interrupt(inputs: Inputs, core: Core, attachment: Attachment, id: str, reason: str) -> None:
    if id in core.commands:
        core.interrupts[id] = reason
        core.interrupt(attachment.link, id)


@_away.upon(Inputs.interrupted).loop()
def _remember_interrupt(inputs: Inputs, core: Core, id: str, reason: str) -> None:
    if id in core.commands:
        core.interrupts[id] = reason


@_here.upon(Inputs.settled).loop()
def _settle(inputs: Inputs, core: Core, attachment: Attachment, command: DispatchedCommand) -> None:
    core.forget(command)
    if command.is_given_up and not command.unwanted:
        core.disown(attachment.link, command.id)


@_away.upon(Inputs.settled).loop()
def _settle_away(inputs: Inputs, core: Core, command: DispatchedCommand) -> None:
    core.forget(command)


@_here.upon(Inputs.dismissed).loop()
def _dismiss(inputs: Inputs, core: Core, attachment: Attachment, reason: str) -> None:
    attachment.link.drop(reason)


_away.upon(Inputs.dismissed).loop().returns(None)
_away.upon(Inputs.lost).loop().returns(None)


@_away.upon(Inputs.given_up).to(_gone)
@_away.upon(Inputs.banned).to(_gone)
def _give_up(inputs: Inputs, core: Core, reason: str) -> None:
    core.lose_all(reason)


@_here.upon(Inputs.given_up).to(_gone)
def _give_up_here(inputs: Inputs, core: Core, attachment: Attachment, reason: str) -> None:
    for command in core.commands.values():
        core.disown(attachment.link, command.id)
    _leave(core, attachment, reason)


@_here.upon(Inputs.banned).to(_gone)
def _ban(inputs: Inputs, core: Core, attachment: Attachment, reason: str) -> None:
    _leave(core, attachment, reason)


@_gone.upon(Inputs.attached).to(_here)
def _come_back(inputs: Inputs, core: Core, reason: str, link: Slave, hello: Hello) -> None:
    _greet(core, link, hello)


@_gone.upon(Inputs.requested).loop()
def _lose(inputs: Inputs, core: Core, reason: str, command: DispatchedCommand) -> None:
    command.lose(reason)


@_gone.upon(Inputs.settled).loop()
def _settle_gone(inputs: Inputs, core: Core, reason: str, command: DispatchedCommand) -> None:
    core.forget(command)


_gone.upon(Inputs.interrupted).loop().returns(None)
_gone.upon(Inputs.dismissed).loop().returns(None)
_gone.upon(Inputs.lost).loop().returns(None)
_gone.upon(Inputs.given_up).loop().returns(None)
_gone.upon(Inputs.banned).loop().returns(None)

_machine = _builder.build()


def _leave(core: Core, attachment: Attachment, reason: str) -> None:
    core.away_since = core.clock.seconds()
    attachment.link.drop(reason)
    core.listener.slave_lost(core.name)
    core.lose_all(reason)


def _reconcile(core: Core, link: Slave, hello: Hello, command: DispatchedCommand, held: HeldCommand | None) -> None:
    """
    What we want against what the slave has.
    """
    if command.is_given_up:
        return  # it is disowned when that is committed
    if command.unwanted:
        core.disown(link, command.id)
        command.lose(f"{core.name} was told to forget it")
    elif command.home is not None and hello.home != command.home:
        command.lose(f"{core.name} came back with another directory; the commands of the old one are lost")
    elif held is None:
        # Its directory would know the command if it had ever been claimed.
        core.send(link, command)
        if command.id in core.interrupts:
            core.interrupt(link, command.id)
    elif held.fingerprint != command.fingerprint:
        command.lose(f"{core.name} has another command of that id")
    elif held.life in {Life.UNKNOWN, Life.LOST}:
        command.lose(_how_lost(core, hello))
    else:
        core.resume(link, command)
        if command.id in core.interrupts:
            core.interrupt(link, command.id)


def _how_lost(core: Core, hello: Hello) -> str:
    before = core.greeted
    if before is not None and before.boot != hello.boot:
        return f"{core.name} was rebooted while the command ran"
    return f"the keeper of {core.name}, which ran the command, ended"


def _news(core: Core, hello: Hello) -> str:
    """
    A blip, a restarted process and a rebooted machine are three things.
    """
    before = core.greeted
    if before is None:
        return "attached"
    gone = core.clock.seconds() - core.away_since
    if before.boot != hello.boot:
        return f"back after {gone:.1f} s: the machine was rebooted"
    if before.incarnation != hello.incarnation:
        return f"back after {gone:.1f} s: the slave process was restarted"
    return f"reconnected after {gone:.1f} s"


class Session:
    """
    One slave, as builds see it: always there, if slow to answer at times.
    """

    _log = Logger()

    def __init__(self, name: str, *, clock: IReactorTime, listener: SessionListener) -> None:
        self.name = name
        self._core = Core(name, clock, listener, self._log, away_since=clock.seconds())
        self._inputs = _machine(self._core)
        self._attachment: Attachment | None = None

    @property
    def hello(self) -> Hello | None:
        """
        What the slave said of itself on the present link; None while it is away.
        """
        return self._attachment.hello if self._attachment else None

    @property
    def home(self) -> str | None:
        """
        The directory that the slave had when it was last here.
        """
        return self._core.greeted.home if self._core.greeted else None

    @property
    def live_ids(self) -> Iterable[str]:
        """
        The commands that builds wait for.
        """
        return tuple(self._core.commands)

    def attached(self, link: Slave, hello: Hello) -> None:
        """
        The slave is on the line *link*.
        """
        self._attachment = Attachment(link, evolve(hello, held=()))
        self._inputs.attached(link, hello)
        link.when_lost(lambda: self._lost(link))

    async def run(self, command: DispatchedCommand) -> Outcome:
        """
        Have *order* done, however often the line breaks.
        """
        command.when_released().addCallback(lambda _: self._inputs.settled(command))  # type: ignore[unused-awaitable]  # cannot fail
        self._inputs.requested(command)
        return await command.when_over()

    def interrupt(self, id: str, reason: str) -> None:
        """
        Have a command killed; its outcome follows.
        """
        self._inputs.interrupted(id, reason)

    def end(self, id: str, reason: str) -> None:
        """
        Have a command killed, and count it as lost when nothing comes of that: the slave is away, or its machine hangs.

        For builds that are not tried again: on the slave the command may still run.
        """
        self._inputs.interrupted(id, reason)
        if command := self._core.commands.get(id):
            self._core.expect_end(command)

    def dismiss(self, reason: str) -> None:
        """
        Cut the present link, if there is one.
        """
        self._inputs.dismissed(reason)

    def give_up(self, reason: str) -> None:
        """
        Count everything that runs there as lost, at once, and so what comes, until the slave attaches again.
        """
        self._attachment = None
        self._inputs.given_up(reason)

    def ban(self, reason: str) -> None:
        """
        The same, and cut the link: the slave is told nothing.
        """
        self._attachment = None
        self._inputs.banned(reason)

    def _lost(self, link: Slave) -> None:
        if self._attachment is not None and self._attachment.link is link:
            self._attachment = None
            self._inputs.lost(link)
