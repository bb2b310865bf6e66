"""
The roles of master and slave, as typed Protocols.

Both ends of a link are written against these.  The wire implements each twice: as a proxy for a remote object, and as
an exposed object that forwards to a local one.  A slave in the master's own process (for ``MasterShellCommand``) is
connected without a network (`loopback`).

Every call fails with `LinkLostError` when the link is lost before its answer arrives, with a `RefusedError` when the
other side refuses it, and with `MessageError` when one side violates the protocol.

::

        master                                  slave
        Desk      <-- attach(slave, hello) --   (connects)
                  --- welcome -->
        (session) --- start, resume -->         Slave
                  --- interrupt, disown -->
        Command   <-- append, read, finished -- (StreamSender)
"""

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

from twisted.internet.defer import Deferred

from ..model.hello import Hello, Welcome
from ..model.outcome import Outcome
from ..model.spec import Spec

LATER = -1
"""The answer of `Command.append` when the master has no room: send the same bytes again later."""


@runtime_checkable
class Command(Protocol):
    """
    The master's end of one live command: all that a running command may call.
    """

    def append(self, stream: str, offset: int, data: bytes) -> Deferred[int]:
        """
        Append *data*, the bytes of *stream* from *offset* on, at most `contract.LARGEST_CHUNK`.

        Fires with the length of the stream on the master in bytes (less than *offset* when earlier bytes are missing),
        or with `LATER`.
        """

    def read(self, name: str, offset: int, size: int) -> Deferred[bytes]:
        """
        Fires with at most *size* bytes of the input *name* (of a `Download`, or *stdin_input*) from *offset* on;
        ``b""`` at its end.
        """

    def finished(self, outcome: Outcome) -> Deferred[tuple[str, ...]]:
        """
        Report the outcome, after every byte of the streams was acknowledged.

        Fires with ``()`` when the outcome is committed; the slave then forgets the command.  If the checksum of a
        stream is wrong, fires with the names of all such streams; the slave sends each again from 0 as its next
        generation (``stdio`` → ``stdio~1``) and calls this again.
        """


@runtime_checkable
class Slave(Protocol):
    """
    The slave's end of a link.
    """

    def start(self, id: str, spec: Spec, secrets: Mapping[str, str], command: Command) -> Deferred[None]:
        """
        Start *spec* as the command *id*; if it was started before with the same fingerprint, only resume it.

        Fires when the slave has claimed the command, which it then never starts again.  *secrets*: the value of each
        secret that *spec* names.
        """

    def resume(self, id: str, command: Command, have: Mapping[str, int]) -> Deferred[None]:
        """
        Continue to send streams and outcome of *id* to *command*.  *have*: the length of each stream on the master.
        """

    def interrupt(self, id: str, reason: str) -> Deferred[None]:
        """
        Kill the command.  `Command.finished` follows, with *reason* as the outcome's sentence.
        """

    def disown(self, id: str) -> Deferred[None]:
        """
        Kill the command and forget it; nothing more is sent about it.  No error if *id* is unknown.
        """

    def drop(self, reason: str) -> None:
        """
        Cut the link; *reason* goes into the log of this side.
        """

    def when_lost(self, callback: Callable[[], None]) -> None:
        """
        Call *callback* once, when the link is lost; also if it is lost already.
        """


@runtime_checkable
class Link(Protocol):
    """
    One live connection, at either end.
    """

    @property
    def key(self) -> str:
        """
        The TubID of the other side: the fingerprint of its key, which TLS has verified.
        """

    @property
    def lost(self) -> bool:
        """
        Whether the link is lost, which is final: a slave that connects again gets a new one.
        """

    def silence(self) -> float:
        """
        Seconds since data arrived; above 10, a ping was sent and not answered.
        """

    def drop(self, reason: str) -> None:
        """
        Cut the link; *reason* goes into the log of this side.
        """

    def when_lost(self, callback: Callable[[], None]) -> None:
        """
        Call *callback* once, soon after the link is lost; also if it is lost already.
        """


@runtime_checkable
class Desk(Protocol):
    """
    The object of a slave's FURL on the master.  Each slave has its own, so the desk identifies the slave.
    """

    def attach(self, slave: Slave, hello: Hello, key: str) -> Deferred[Welcome]:
        """
        Attach *slave*, of which *hello* is the present state; fires with the master's welcome.

        *key*: the TubID of the caller.  Refusals include `RevokedError`, `PinnedError` (the FURL belongs to another
        key) and `SupersededError` (this master is an old copy).
        """
