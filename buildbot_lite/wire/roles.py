"""
Who asks what of whom, as plain typed Protocols.

Both ends of a link are written against these.  The wire implements each of them twice: as an adapter around a remote
reference, and as the exposed object that forwards to a local one.  A slave in the master's own process (which runs
``MasterShellCommand``) is linked without a wire: the same Protocols, nothing between.

::

        master                                  slave
        Desk      <-- attach(slave, hello) --   (dials)
                  --- welcome -->
        (session) --- start, resume -->         Slave
                  --- interrupt, disown -->
        Command   <-- append, read, finished -- (courier)
"""

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

from twisted.internet.defer import Deferred

from ..model.hello import Hello, Welcome
from ..model.outcome import Outcome
from ..model.spec import Spec

LATER = -1
"""What `Command.append` answers when the master has no room: send the same again after a while."""


@runtime_checkable
class Command(Protocol):
    """
    The master's end of one live command: the only authority that a running command has.
    """

    def append(self, stream: str, offset: int, data: bytes) -> Deferred[int]:
        """
        Bytes of *stream*, from *offset* on.

        Answers how many bytes of the stream the master has now: less than *offset* when something is missing before
        it.  Or `LATER`.
        """

    def read(self, name: str, offset: int, size: int) -> Deferred[bytes]:
        """
        At most *size* bytes from *offset* on of what a `Download` or *stdin_input* named; ``b""`` at its end.
        """

    def finished(self, outcome: Outcome) -> Deferred[tuple[str, ...]]:
        """
        It is over, and every byte was acknowledged.

        Answers after the outcome is committed, with ``()``: forget the command.  Otherwise with the streams whose
        checksum differs: send each again from 0, as its next generation (``stdio`` → ``stdio~1``), then finish again.
        """


@runtime_checkable
class Slave(Protocol):
    """
    The slave's end of a link.
    """

    def start(self, id: str, spec: Spec, secrets: Mapping[str, str], command: Command) -> Deferred[None]:
        """
        Do this, unless *id* was started before (then, with the same fingerprint, nothing happens).

        Fires when the command is claimed: from then on it is started at most once, ever.
        """

    def resume(self, id: str, command: Command, have: Mapping[str, int]) -> Deferred[None]:
        """
        Go on telling *command* about *id*; *have* is how many bytes of each stream the master has.
        """

    def interrupt(self, id: str, reason: str) -> Deferred[None]:
        """
        Kill it; its outcome follows.
        """

    def disown(self, id: str) -> Deferred[None]:
        """
        Kill it, forget it, and say nothing more about it.  Unknown ids are disowned already.
        """

    def drop(self, reason: str) -> None:
        """
        Cut the link.
        """

    def when_lost(self, callback: Callable[[], None]) -> None:
        """
        Call *callback* once, when the link is gone.
        """


@runtime_checkable
class Link(Protocol):
    """
    One live connection, seen from either end.
    """

    @property
    def key(self) -> str:
        """
        The Tub id of the other side: the fingerprint of its key, which it has proved to hold.
        """

    @property
    def lost(self) -> bool:
        """
        Whether it is gone.
        """

    def silence(self) -> float:
        """
        For how many seconds nothing was heard of the other side; above 10 the line was tested and has not answered.
        """

    def drop(self, reason: str) -> None:
        """
        Cut it.  *reason* is for our log.
        """

    def when_lost(self, callback: Callable[[], None]) -> None:
        """
        Call *callback* once, soon after the link is gone; also when it is gone already.
        """


@runtime_checkable
class Desk(Protocol):
    """
    What a slave's FURL designates on the master: which desk is addressed is who is calling.
    """

    def attach(self, slave: Slave, hello: Hello, key: str) -> Deferred[Welcome]:
        """
        Here I am.  *key* is the Tub id of whoever calls.
        """
