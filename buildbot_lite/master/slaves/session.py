"""
The session of a slave: builds run commands in it, however often the slave's link is lost.

`session_machine` decides what happens to commands when links come and go; `session_core` has the data.
"""

from collections.abc import Iterable

from attrs import evolve
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ...model.hello import Hello
from ...model.outcome import Outcome
from ...wire.roles import Slave
from .command import DispatchedCommand
from .session_core import Core, SessionListener
from .session_machine import Attachment, machine


class Session:
    """
    The session of the slave *name*, from the start of the master to its end.
    """

    _log = Logger()

    def __init__(self, name: str, *, clock: IReactorTime, listener: SessionListener) -> None:
        self.name = name
        self._core = Core(name, clock, listener, self._log, away_since=clock.seconds())
        self._inputs = machine(self._core)
        self._attachment: Attachment | None = None

    @property
    def hello(self) -> Hello | None:
        """
        The hello of the current link; None while the slave is disconnected.
        """
        return self._attachment.hello if self._attachment else None

    @property
    def link(self) -> Slave | None:
        """
        The slave's end of the current link; None while it is disconnected.
        """
        return self._attachment.link if self._attachment else None

    @property
    def home(self) -> str | None:
        """
        The identity of the slave's directory at its last hello; None before the first.
        """
        return self._core.greeted.home if self._core.greeted else None

    @property
    def grace_left(self) -> float | None:
        """
        Seconds until the first command of the disconnected slave counts as lost; None if none waits for it.
        """
        return self._core.grace_left()

    @property
    def live_ids(self) -> Iterable[str]:
        """
        The ids of the commands that the session has not forgotten yet.
        """
        return tuple(self._core.commands)

    def attached(self, link: Slave, hello: Hello) -> None:
        """
        Called when the slave attached on *link*.
        """
        self._attachment = Attachment(link, evolve(hello, held=()))
        self._inputs.attached(link, hello)
        link.when_lost(lambda: self._lost(link))

    async def run(self, command: DispatchedCommand) -> Outcome:
        """
        Run *command*, across any number of links, and return its outcome.
        """
        command.when_released().addCallback(lambda _: self._inputs.settled(command))  # type: ignore[unused-awaitable]  # cannot fail
        self._inputs.requested(command)
        return await command.when_over()

    def interrupt(self, id: str, reason: str) -> None:
        """
        Have the slave kill the command *id*, which then ends with an outcome.
        """
        self._inputs.interrupted(id, reason)

    def end(self, id: str, reason: str) -> None:
        """
        Have the slave kill the command *id*.  If no outcome follows, because the slave is disconnected or its machine
        hangs, the command counts as lost.

        Only for builds that are not tried again, because the command may still run on the slave.
        """
        self._inputs.interrupted(id, reason)
        if command := self._core.commands.get(id):
            self._core.expect_end(command)

    def dismiss(self, reason: str) -> None:
        """
        Close the current link, if there is one; the slave may connect again.  *reason*: for people.
        """
        self._inputs.dismissed(reason)

    def give_up(self, reason: str) -> None:
        """
        Count all commands as lost, and new ones, too, until the slave attaches again.  *reason*: for people.
        """
        self._attachment = None
        self._inputs.given_up(reason)

    def ban(self, reason: str) -> None:
        """
        Count all commands of a slave whose FURL was revoked as lost, and close its link.  Unlike `give_up`, this does
        not tell the slave to disown its commands.
        """
        self._attachment = None
        self._inputs.banned(reason)

    def _lost(self, link: Slave) -> None:
        if self._attachment is not None and self._attachment.link is link:
            self._attachment = None
            self._inputs.lost(link)
