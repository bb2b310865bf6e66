"""
The master's state of one slave, kept across links.

::

    away --attached--> present <--attached-- gone
      ^                 |    |               ^  ^
      '------ lost -----'    '--- banned ----'  |
      '------- given up, banned ----------------'

Commands outlive a change between away and present.  While the slave is present it runs them; while it is away each has
a deadline, after which it counts as lost (`model.lease`).  A slave is gone when an admin declares it lost or
bans it: every command is lost at once, and so are new ones, until it attaches again.

A state machine, because links, builds and admins act on a session independently.
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
"""Seconds without output after which an interrupted command counts as lost."""
LONGEST_ENDING = 600.0
"""Seconds after which it counts as lost even if output arrives."""


class SessionListener(Protocol):
    """
    The receiver of what happens to sessions: the slave registry.
    """

    def slave_attached(self, name: str, hello: Hello, news: str) -> None:
        """
        The slave *name* attached; *news* tells people what happened while it was away.
        """

    def slave_lost(self, name: str) -> None:
        """
        The link of the slave *name* is lost.
        """


class Inputs(Protocol):
    """
    The inputs of the state machine.
    """

    def attached(self, link: Slave, hello: Hello) -> None:
        """
        The slave attached on *link*.
        """

    def lost(self, link: Slave) -> None:
        """
        *link* is lost.
        """

    def requested(self, command: DispatchedCommand) -> None:
        """
        A build runs *command*.
        """

    def interrupted(self, id: str, reason: str) -> None:
        """
        Kill the command *id*, because of *reason*.
        """

    def settled(self, command: DispatchedCommand) -> None:
        """
        *command* is over, and the slave need not hold it.
        """

    def dismissed(self, reason: str) -> None:
        """
        Cut the present link, because of *reason*.
        """

    def given_up(self, reason: str) -> None:
        """
        An admin says that the slave's machine is lost.
        """

    def banned(self, reason: str) -> None:
        """
        The slave's FURL was revoked.
        """


@define
class Core:
    """
    The data of a session in every state.

    By command id: *commands*, those that are not settled; *interrupts*, the reason for killing each; *deadlines*, when
    each counts as lost while the slave is away; *endings*, when each interrupted command counts as lost.  *greeted*:
    the last hello.  *away_since*: monotonic seconds.
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
        Start the grace of *command*, after which it counts as lost.
        """
        if command.grace is not None:
            wait = master_deadline(command.grace)
            sentence = f"{self.name} was away for longer than the grace of {command.grace / 60:.3g} min"
            self.deadlines[command.id] = self.clock.callLater(wait, command.lose, sentence)

    def clear_deadline(self, id: str) -> None:
        """
        Stop the grace of the command *id*: the slave is present, or the command is over.
        """
        call = self.deadlines.pop(id, None)
        if call is not None and call.active():
            call.cancel()

    def expect_end(self, command: DispatchedCommand) -> None:
        """
        Count the interrupted *command* as lost when no output arrives for `ENDING` seconds.
        """
        if command.id not in self.endings:
            self._check_progress(command, -1, LONGEST_ENDING)

    def _check_progress(self, command: DispatchedCommand, received: int, delay: float) -> None:
        if command.received == received or delay <= 0:
            command.lose(f"{self.name} did not end it within {LONGEST_ENDING - delay:.0f} s")
        else:
            self.endings[command.id] = self.clock.callLater(
                ENDING, self._check_progress, command, command.received, delay - ENDING
            )

    def lose_all(self, reason: str) -> None:
        """
        Give up every command, because of *reason*.
        """
        for command in list(self.commands.values()):
            command.lose(reason)

    def forget(self, command: DispatchedCommand) -> None:
        """
        Drop *command* and its timers.
        """
        self.clear_deadline(command.id)
        ending = self.endings.pop(command.id, None)
        if ending is not None and ending.active():
            ending.cancel()
        self.commands.pop(command.id, None)
        self.interrupts.pop(command.id, None)

    def send(self, link: Slave, command: DispatchedCommand) -> None:
        """
        Start *command* on the slave.
        """
        self._check_answer(link.start(command.id, command.spec, command.secrets, command), command)

    def resume(self, link: Slave, command: DispatchedCommand) -> None:
        """
        Have the slave send what is missing of *command*, and report its end.
        """
        have = command.stored_lengths()
        if have is not None:
            self._check_answer(link.resume(command.id, command, have), command)

    def interrupt(self, link: Slave, id: str) -> None:
        """
        Have the slave kill the command *id*.
        """
        background(link.interrupt(id, self.interrupts[id]), self.log, f"interrupt of {id} on {self.name}")

    def disown(self, link: Slave, id: str) -> None:
        """
        Have the slave kill and forget the command *id*.
        """
        background(link.disown(id), self.log, f"disowning {id} on {self.name}")

    def _check_answer(self, answer: Deferred[None], command: DispatchedCommand) -> None:
        def refused(failure: Failure) -> None:
            # If the link was lost instead, the hello of the next one says what became of the command.
            if failure.check(LinkLostError) is None:
                command.refused(str(failure.value))

        background(answer.addErrback(refused), self.log, f"telling {self.name}")


@frozen
class Attachment:
    """
    The present link of a slave, and its hello without the list of held commands.
    """

    link: Slave
    hello: Hello


_builder = TypeMachineBuilder(Inputs, Core)
_away = _builder.state("away")


def _present(inputs: Inputs, core: Core, link: Slave, hello: Hello) -> Attachment:
    return Attachment(link, evolve(hello, held=()))


_present_state = _builder.state("present", _present)


def _for_a_reason(inputs: Inputs, core: Core, reason: str) -> str:
    return reason


_gone_state = _builder.state("gone", _for_a_reason)


@_away.upon(Inputs.attached).to(_present_state)
def _arrive(inputs: Inputs, core: Core, link: Slave, hello: Hello) -> None:
    _greet(core, link, hello)


def _greet(core: Core, link: Slave, hello: Hello) -> None:
    news = _news(core, hello)
    held = {item.id: item for item in hello.held}
    for command in list(core.commands.values()):
        core.clear_deadline(command.id)
        _reconcile(core, link, hello, command, held.pop(command.id, None))
    for unknown in held:
        core.disown(link, unknown)
    core.greeted = evolve(hello, held=())  # the list may be megabytes
    core.listener.slave_attached(core.name, hello, news)


@_present_state.upon(Inputs.attached).loop()
def _reconnected(inputs: Inputs, core: Core, old: Attachment, link: Slave, hello: Hello) -> None:
    # The slave connected again before the master noticed that the old link was dead.  Both inputs are queued, because
    # a self-transition keeps its state data, the old link.
    old.link.drop("connected again")
    inputs.lost(old.link)
    inputs.attached(link, hello)


@_present_state.upon(Inputs.lost).to(_away)
def _depart(inputs: Inputs, core: Core, attachment: Attachment, link: Slave) -> None:
    core.away_since = core.clock.seconds()
    for command in core.commands.values():
        core.set_deadline(command)
    core.listener.slave_lost(core.name)


@_present_state.upon(Inputs.requested).loop()
def _send(inputs: Inputs, core: Core, attachment: Attachment, command: DispatchedCommand) -> None:
    core.commands[command.id] = command
    _reconcile(core, attachment.link, attachment.hello, command, None)


@_away.upon(Inputs.requested).loop()
def _wait_for_resumption(inputs: Inputs, core: Core, command: DispatchedCommand) -> None:
    core.commands[command.id] = command
    core.set_deadline(command)


@_present_state.upon(Inputs.interrupted).loop()
def _interrupt(inputs: Inputs, core: Core, attachment: Attachment, id: str, reason: str) -> None:
    if id in core.commands:
        core.interrupts[id] = reason
        core.interrupt(attachment.link, id)


@_away.upon(Inputs.interrupted).loop()
def _remember_interrupt(inputs: Inputs, core: Core, id: str, reason: str) -> None:
    if id in core.commands:
        core.interrupts[id] = reason


@_present_state.upon(Inputs.settled).loop()
def _settle(inputs: Inputs, core: Core, attachment: Attachment, command: DispatchedCommand) -> None:
    core.forget(command)
    if command.is_given_up and not command.unwanted:
        core.disown(attachment.link, command.id)


@_away.upon(Inputs.settled).loop()
def _settle_away(inputs: Inputs, core: Core, command: DispatchedCommand) -> None:
    core.forget(command)


@_present_state.upon(Inputs.dismissed).loop()
def _dismiss(inputs: Inputs, core: Core, attachment: Attachment, reason: str) -> None:
    attachment.link.drop(reason)


_away.upon(Inputs.dismissed).loop().returns(None)
_away.upon(Inputs.lost).loop().returns(None)


@_away.upon(Inputs.given_up).to(_gone_state)
@_away.upon(Inputs.banned).to(_gone_state)
def _give_up(inputs: Inputs, core: Core, reason: str) -> None:
    core.lose_all(reason)


@_present_state.upon(Inputs.given_up).to(_gone_state)
def _give_up_here(inputs: Inputs, core: Core, attachment: Attachment, reason: str) -> None:
    for command in core.commands.values():
        core.disown(attachment.link, command.id)
    _leave(core, attachment, reason)


@_present_state.upon(Inputs.banned).to(_gone_state)
def _ban(inputs: Inputs, core: Core, attachment: Attachment, reason: str) -> None:
    _leave(core, attachment, reason)


@_gone_state.upon(Inputs.attached).to(_present_state)
def _come_back(inputs: Inputs, core: Core, reason: str, link: Slave, hello: Hello) -> None:
    _greet(core, link, hello)


@_gone_state.upon(Inputs.requested).loop()
def _lose(inputs: Inputs, core: Core, reason: str, command: DispatchedCommand) -> None:
    command.lose(reason)


@_gone_state.upon(Inputs.settled).loop()
def _settle_gone(inputs: Inputs, core: Core, reason: str, command: DispatchedCommand) -> None:
    core.forget(command)


_gone_state.upon(Inputs.interrupted).loop().returns(None)
_gone_state.upon(Inputs.dismissed).loop().returns(None)
_gone_state.upon(Inputs.lost).loop().returns(None)
_gone_state.upon(Inputs.given_up).loop().returns(None)
_gone_state.upon(Inputs.banned).loop().returns(None)

_machine = _builder.build()


def _leave(core: Core, attachment: Attachment, reason: str) -> None:
    core.away_since = core.clock.seconds()
    attachment.link.drop(reason)
    core.listener.slave_lost(core.name)
    core.lose_all(reason)


def _reconcile(core: Core, link: Slave, hello: Hello, command: DispatchedCommand, held: HeldCommand | None) -> None:
    """
    Compare *command* with *held*, the slave's report of it; then start, resume, lose or disown it.
    """
    if command.is_given_up:
        return  # the slave disowns it when its outcome is committed
    if command.unwanted:
        core.disown(link, command.id)
        command.lose(f"{core.name} disowned it")
    elif command.home is not None and hello.home != command.home:
        command.lose(f"{core.name} came back with another directory; the commands of the old one are lost")
    elif held is None:
        # The keeper claims a command in the slave's directory before it starts it: this one never started.
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
    For people: whether the slave's link, process or machine was interrupted.
    """
    before = core.greeted
    if before is None:
        return "attached"
    absence = core.clock.seconds() - core.away_since
    if before.boot != hello.boot:
        return f"back after {absence:.1f} s: the machine was rebooted"
    if before.incarnation != hello.incarnation:
        return f"back after {absence:.1f} s: the slave process was restarted"
    return f"reconnected after {absence:.1f} s"


class Session:
    """
    One slave as builds see it: commands run on it, however often its link is lost.
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
        The hello of the present link; None while the slave is away.
        """
        return self._attachment.hello if self._attachment else None

    @property
    def home(self) -> str | None:
        """
        The identity of the slave's directory at its last hello; None before the first.
        """
        return self._core.greeted.home if self._core.greeted else None

    @property
    def live_ids(self) -> Iterable[str]:
        """
        The ids of the commands that are not settled.
        """
        return tuple(self._core.commands)

    def attached(self, link: Slave, hello: Hello) -> None:
        """
        The slave attached on *link*.
        """
        self._attachment = Attachment(link, evolve(hello, held=()))
        self._inputs.attached(link, hello)
        link.when_lost(lambda: self._lost(link))

    async def run(self, command: DispatchedCommand) -> Outcome:
        """
        Run *command* to its outcome, across any number of links.
        """
        command.when_released().addCallback(lambda _: self._inputs.settled(command))  # type: ignore[unused-awaitable]  # cannot fail
        self._inputs.requested(command)
        return await command.when_over()

    def interrupt(self, id: str, reason: str) -> None:
        """
        Have the command *id* killed; its outcome follows.
        """
        self._inputs.interrupted(id, reason)

    def end(self, id: str, reason: str) -> None:
        """
        Have the command *id* killed, and count it as lost if no outcome follows: the slave is away, or its machine
        hangs.

        Only for builds that are not tried again, because the command may still run on the slave.
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
        Count every command as lost, now and until the slave attaches again.
        """
        self._attachment = None
        self._inputs.given_up(reason)

    def ban(self, reason: str) -> None:
        """
        The same for a revoked slave: the link is cut, and the slave is not told to disown its commands.
        """
        self._attachment = None
        self._inputs.banned(reason)

    def _lost(self, link: Slave) -> None:
        if self._attachment is not None and self._attachment.link is link:
            self._attachment = None
            self._inputs.lost(link)
