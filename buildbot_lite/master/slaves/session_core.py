"""
The data of a session, its timers, and the messages to the slave that its state machine causes.
"""

from typing import Protocol

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ...deferreds import background
from ...errors import LinkLostError
from ...model.hello import Hello
from ...model.lease import master_deadline
from ...wire.roles import Slave
from .command import DispatchedCommand

ENDING = 60.0
"""Seconds without output after which an interrupted command counts as lost."""
LONGEST_ENDING = 600.0
"""Seconds after which an interrupted command counts as lost even if output still arrives."""


class SessionListener(Protocol):
    """
    Is told when slaves attach and when their links are lost.  The slave registry is one.
    """

    def slave_attached(self, name: str, hello: Hello, news: str) -> None:
        """
        Called when the slave *name* attached.  *news*: what happened meanwhile, for people.
        """

    def slave_lost(self, name: str) -> None:
        """
        Called when the link of the slave *name* was lost.
        """


@define
class Core:
    """
    The data of a session, whatever its state.

    By command id: *commands*: those that the slave still keeps; *interrupts*: why each is to be killed; *deadlines*:
    the timers after which each counts as lost while the slave is disconnected; *endings*: the timers after which each
    interrupted command counts as lost.  *greeted*: the last hello.  *away_since*: when the link was lost, in seconds of
    the monotonic clock.
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
        Start the timer for the grace of *command*, after which it counts as lost.
        """
        if command.grace is not None:
            wait = master_deadline(command.grace)
            sentence = f"{self.name} was away for longer than the grace of {command.grace / 60:.3g} min"
            self.deadlines[command.id] = self.clock.callLater(wait, command.lose, sentence)

    def clear_deadline(self, id: str) -> None:
        """
        Stop the timer for the grace of the command *id*.
        """
        call = self.deadlines.pop(id, None)
        if call is not None and call.active():
            call.cancel()

    def grace_left(self) -> float | None:
        """
        Seconds until the first deadline; None if there is none.
        """
        ends = [call.getTime() for call in self.deadlines.values() if call.active()]
        return max(0.0, min(ends) - self.clock.seconds()) if ends else None

    def expect_end(self, command: DispatchedCommand) -> None:
        """
        Count the interrupted *command* as lost as soon as no output has arrived for `ENDING` seconds.
        """
        if command.id not in self.endings:
            self._lose_if_silent(command, -1, LONGEST_ENDING)

    def _lose_if_silent(self, command: DispatchedCommand, received: int, delay: float) -> None:
        if command.received == received or delay <= 0:
            command.lose(f"{self.name} did not end it within {LONGEST_ENDING - delay:.0f} s")
        else:
            self.endings[command.id] = self.clock.callLater(
                ENDING, self._lose_if_silent, command, command.received, delay - ENDING
            )

    def lose_all(self, reason: str) -> None:
        """
        Give up all commands.  *reason*: for people.
        """
        for command in list(self.commands.values()):
            command.lose(reason)

    def forget(self, command: DispatchedCommand) -> None:
        """
        Remove *command* and its timers.
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
        Have the slave send the rest of the streams of *command*, and report its end.
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
            # If the link was lost, the hello of the next one reports the state of the command.
            if failure.check(LinkLostError) is None:
                command.refused(str(failure.value))

        background(answer.addErrback(refused), self.log, f"sending a command to {self.name}")
