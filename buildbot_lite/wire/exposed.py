"""
What the other side may call.

Each object here stands before one local object that plays a role: it checks that the right to call it has not been
revoked, reads what came as bytes, forwards, and hands back bytes.  Foolscap cannot take a right back; so the right is
in `Revocable`, which every exposed object asks on each call.
"""

from collections.abc import Callable

from foolscap.api import Referenceable
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from ..errors import (
    BuildbotLiteError,
    RevokedError,
    WrongVerbError,
)
from ..model import spec as specs
from ..model.display import printable
from ..model.hello import Hello, Welcome
from ..model.outcome import Outcome
from ..model.token_bucket import TokenBucket
from .codec import (
    lengths_from_bytes,
    not_negative,
    streams_to_bytes,
    text,
)
from .contract import (
    LARGEST_CHUNK,
    LONGEST_NAME,
    MOST_LINKS,
    RICommand,
    RIDesk,
    RISlave,
)
from .limits.account import Account
from .proxies import RemoteCommand, RemoteSlave
from .roles import (
    Command,
    Desk,
    Link,
    Slave,
)


def _for_ever() -> None:
    """
    It has no end.
    """


def _pardoned(sentence: str) -> bool:
    """
    It is told that it was refused, and no more.
    """
    return False


def _let_be(sentence: str) -> None:
    """
    It is in the log anyway.
    """


def _nobody() -> None:
    """
    It belongs to whoever has it.
    """


def _whoever(key: str) -> None:
    """
    It is good for any key.
    """


def _wherever(port: int) -> None:
    """
    Nobody wants to know.
    """


class Revocable:
    """
    The right to call something, which can be taken back.

    A grant has one for as long as the process runs; whatever its FURL leads to is exposed under it.  *still* is asked
    on each call, and raises when the right has come to its end.  *breach* hears when its holder does what the contract
    does not allow, with what that was, and answers whether it is to be cut off.  *slowed* hears, now and then, that it
    is heard more slowly, and why.  *most_links*: when it was shown on more, the oldest is cut, of those that have
    another key than its *owner*, if there is one.  *shown* is called for each new link, with the local port.
    *account*: what it shares with other strings of its holder.  *check_key* raises when the string is not for the Tub
    of that key, before it is of any use to it.
    """

    def __init__(
        self,
        still: Callable[[], None] = _for_ever,
        breach: Callable[[str], bool] = _pardoned,
        slowed: Callable[[str], None] = _let_be,
        most_links: int = MOST_LINKS,
        owner: Callable[[], str | None] = _nobody,
        shown: Callable[[int], None] = _wherever,
        account: Account | None = None,
        check_key: Callable[[str], None] = _whoever,
    ) -> None:
        self.check_key = check_key
        self.account = account or Account()
        self._shown = shown
        self._owner = owner
        self._still = still
        self._most_links = most_links
        self.breach = breach
        self.slowed = slowed
        self._refusal: BuildbotLiteError | None = None
        self._links: dict[Link, None] = {}  # oldest first

    def check(self) -> None:
        """
        Nothing; or, once revoked, raises what it was revoked with.
        """
        if self._refusal is not None:
            raise self._refusal
        self._still()

    def used_by(self, link: Link, port: int = 0) -> None:
        """
        *link*, accepted at the local *port* (0: none), has shown the string: revoking the right cuts it.
        """
        if link not in self._links:
            if port:
                self._shown(port)
            while len(self._links) >= self._most_links:
                owner = self._owner()
                oldest = next((each for each in self._links if each.key != owner), next(iter(self._links)))
                del self._links[oldest]
                oldest.drop(f"its string is in use on {self._most_links} newer connections")
            self._links[link] = None
            link.when_lost(lambda: self._links.pop(link, None))

    @property
    def links(self) -> tuple[Link, ...]:
        """
        The live links on which the string was shown.
        """
        return tuple(self._links)

    def cpu_bucket(self, clock: IReactorTime) -> TokenBucket:
        """
        The time that all links together get on which the string was shown.
        """
        return self.account.cpu_bucket(clock)

    def revoke(self, refusal: BuildbotLiteError | None = None) -> None:
        """
        From now on every call is refused with *refusal* (a `RevokedError`), and the links are cut.
        """
        self._refusal = refusal or RevokedError()
        self.cut("its right was revoked")

    def cut(self, reason: str) -> None:
        """
        Cut the links on which the string was shown; *reason* goes into our log.
        """
        for link in self.links:
            link.drop(reason)


class Exposed(Referenceable):
    """
    What all of them share: the right.
    """

    log = Logger()

    def __init__(self, revocable: Revocable) -> None:
        self.revocable = revocable

    def doRemoteCall(self, methodname, args, kwargs):
        self.revocable.check()
        return super().doRemoteCall(methodname, args, kwargs)

    def remote_not_a_desk(self) -> None:
        # The slave knows by itself; this is for our log.
        self.revocable.account.log.warn("a slave was refused: {why}", why=str(WrongVerbError()))


@implementer(RIDesk)
class ExposedDesk(Exposed):
    """
    *desk*, for whoever holds a slave's FURL.
    """

    def __init__(self, desk: Desk, revocable: Revocable) -> None:
        super().__init__(revocable)
        self._desk = desk

    def remote_attach(self, slave, hello: bytes) -> Deferred[bytes]:
        greeting = Hello.from_bytes(hello)
        remote = RemoteSlave(slave, lambda command: ExposedCommand(command, self.revocable))
        return self._desk.attach(remote, greeting, remote.link.key).addCallback(Welcome.to_bytes)


@implementer(RISlave)
class ExposedSlave(Exposed):
    """
    *slave*, for the master to which it attached.
    """

    def __init__(self, slave: Slave, revocable: Revocable) -> None:
        super().__init__(revocable)
        self._slave = slave

    def remote_start(self, id: bytes, spec: bytes, command) -> Deferred[None]:
        wanted, secrets = specs.from_bytes(spec)
        return self._slave.start(text(id), wanted, secrets, RemoteCommand(command))

    def remote_resume(self, id: bytes, command, have: bytes) -> Deferred[None]:
        return self._slave.resume(text(id), RemoteCommand(command), lengths_from_bytes(have))

    def remote_interrupt(self, id: bytes, reason: bytes) -> Deferred[None]:
        return self._slave.interrupt(text(id), printable(reason.decode("utf-8", "replace")))

    def remote_disown(self, id: bytes) -> Deferred[None]:
        return self._slave.disown(text(id))


@implementer(RICommand)
class ExposedCommand(Exposed):
    """
    *command*, for the slave that runs it.
    """

    def __init__(self, command: Command, revocable: Revocable) -> None:
        super().__init__(revocable)
        self._command = command

    def remote_append(self, stream: bytes, offset: int, data: bytes) -> Deferred[int]:
        not_negative(offset)
        return self._command.append(text(stream, LONGEST_NAME), offset, data)

    def remote_read(self, name: bytes, offset: int, size: int) -> Deferred[bytes]:
        not_negative(offset)
        not_negative(size)
        return self._command.read(text(name, LONGEST_NAME), offset, min(size, LARGEST_CHUNK))

    def remote_finished(self, outcome: bytes) -> Deferred[bytes]:
        return self._command.finished(Outcome.from_bytes(outcome)).addCallback(streams_to_bytes)
