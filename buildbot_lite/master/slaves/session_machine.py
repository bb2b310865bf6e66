"""
The state machine of one slave's session.

::

    away --attached--> present <--attached-- gone
      ^                 |    |               ^  ^
      '------ lost -----'    '--- banned ----'  |
      '------- given up, banned ----------------'

- present: the slave is connected, and gets commands.
- away: it is disconnected.  Each command continues, but has a deadline, after which it counts as lost (`model.lease`).
- gone: an admin declared it lost, or its FURL was revoked.  All commands are lost immediately, and so are new ones,
  until the slave attaches again.

It is a state machine because links, builds and admins act on a session independently.
"""

from typing import Protocol

from attrs import evolve, frozen
from automat import TypeMachineBuilder

from ...model.hello import (
    HeldCommand,
    Hello,
    Life,
)
from ...wire.roles import Slave
from .command import DispatchedCommand
from .session_core import Core


class Inputs(Protocol):
    """
    The inputs of the state machine.
    """

    def attached(self, link: Slave, hello: Hello) -> None:
        """
        The slave attached on *link*, with *hello*.
        """

    def lost(self, link: Slave) -> None:
        """
        *link* was lost.
        """

    def requested(self, command: DispatchedCommand) -> None:
        """
        A build wants to run *command*.
        """

    def interrupted(self, id: str, reason: str) -> None:
        """
        The command *id* is to be killed.
        """

    def settled(self, command: DispatchedCommand) -> None:
        """
        *command* is released: the slave need not keep it any longer.
        """

    def dismissed(self, reason: str) -> None:
        """
        The current link is to be closed.
        """

    def given_up(self, reason: str) -> None:
        """
        An admin declared the slave's machine lost.
        """

    def banned(self, reason: str) -> None:
        """
        The slave's FURL was revoked.
        """


@frozen
class Attachment:
    """
    The current link of a slave, and its hello, without the list of held commands, which may be long.
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

machine = _builder.build()


def _leave(core: Core, attachment: Attachment, reason: str) -> None:
    core.away_since = core.clock.seconds()
    attachment.link.drop(reason)
    core.listener.slave_lost(core.name)
    core.lose_all(reason)


def _reconcile(core: Core, link: Slave, hello: Hello, command: DispatchedCommand, held: HeldCommand | None) -> None:
    """
    Start, resume, lose or disown *command*, after a comparison with *held*, the slave's report of it, if there is one.
    """
    if command.is_given_up:
        return  # the slave is told to disown it when the outcome is committed
    if command.unwanted:
        core.disown(link, command.id)
        command.lose(f"{core.name} disowned it")
    elif command.home is not None and hello.home != command.home:
        command.lose(f"{core.name} came back with another directory; the commands of the old one are lost")
    elif held is None:
        # The keeper records a command in the slave's directory before it starts it, so this one never started.
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
    A phrase for people: whether only the link was lost, or the slave process or the machine was restarted.
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
