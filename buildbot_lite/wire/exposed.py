"""
The objects that the other side may call.

Each wraps one local object with a role: it checks that the right to call it has not been revoked, decodes the
arguments, forwards the call, and encodes the answer.  Foolscap cannot revoke a reference, so every exposed object
checks its `Revocable` on each call.
"""

from collections.abc import Callable

from foolscap.api import Referenceable
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from ..errors import (
    BuildbotLiteError,
    RefusedError,
    RevokedError,
    WrongVerbError,
)
from ..model import spec as specs
from ..model.display import printable
from ..model.hello import Hello, Welcome
from ..model.outcome import Outcome
from ..model.shell_request import ShellRequest
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
    RIShell,
    RISlave,
)
from .limits.account import Account
from .proxies import RemoteCommand, RemoteSlave, RemoteTerminal
from .roles import (
    Command,
    Desk,
    Link,
    Slave,
)
from .shell_window import CalledOnce, ShellWindow, SizeWindow
from .shells import OpenShell, ShellHost


def _no_expiry() -> None:
    pass


def _keep_link(sentence: str) -> bool:
    return False


def _ignore_sentence(sentence: str) -> None:
    pass


def _no_owner() -> None:
    return None


def _any_key(key: str) -> None:
    pass


def _ignore_port(port: int) -> None:
    pass


class Revocable:
    """
    The right to use one FURL, which can be revoked.

    A grant has one object of this class as long as the process runs.  Every object that the FURL gives access to is
    exposed with it.

    - *check_expiry*: called before each use; raises when the right has expired.
    - *on_breach*: called with a sentence when the holder breaks the contract; returns whether to cut the link.
    - *on_slowed*: called with a sentence, at most once a minute, when a link is paused for using too much CPU time.
    - *most_links*: when there would be more links, the oldest one is cut whose key is not that of *owner* (None: no
      owner).
    - *on_presented*: called for each new link on which the FURL was presented, with the local port.
    - *account*: the limits that the FURL shares with others of its holder.
    - *check_key*: called before the object is handed out; raises when the FURL is not for the Tub with that key.
    """

    def __init__(
        self,
        *,
        check_expiry: Callable[[], None] = _no_expiry,
        on_breach: Callable[[str], bool] = _keep_link,
        on_slowed: Callable[[str], None] = _ignore_sentence,
        most_links: int = MOST_LINKS,
        owner: Callable[[], str | None] = _no_owner,
        on_presented: Callable[[int], None] = _ignore_port,
        account: Account | None = None,
        check_key: Callable[[str], None] = _any_key,
    ) -> None:
        self.check_key = check_key
        self.account = account or Account()
        self._on_presented = on_presented
        self._owner = owner
        self._check_expiry = check_expiry
        self._most_links = most_links
        self.on_breach = on_breach
        self.on_slowed = on_slowed
        self._refusal: BuildbotLiteError | None = None
        self._links: dict[Link, None] = {}  # oldest first

    def check(self) -> None:
        """
        Raise the refusal if the right was revoked or has expired.
        """
        if self._refusal is not None:
            raise self._refusal
        self._check_expiry()

    def used_by(self, link: Link, port: int = 0) -> None:
        """
        Note that the FURL was presented on *link*, accepted at the local *port* (0: none); revoking cuts the link.
        """
        if link not in self._links:
            if port:
                self._on_presented(port)
            while len(self._links) >= self._most_links:
                owner = self._owner()
                oldest = next((each for each in self._links if each.key != owner), next(iter(self._links)))
                del self._links[oldest]
                oldest.drop(f"its string is used on {self._most_links} newer connections")
            self._links[link] = None
            link.when_lost(lambda: self._links.pop(link, None))

    @property
    def links(self) -> tuple[Link, ...]:
        """
        The live links on which the FURL was presented.
        """
        return tuple(self._links)

    def cpu_bucket(self, clock: IReactorTime) -> TokenBucket:
        """
        The CPU time, in seconds, that all links of the holder share.
        """
        return self.account.cpu_bucket(clock)

    def revoke(self, refusal: BuildbotLiteError | None = None) -> None:
        """
        Refuse every later call with *refusal* (default: a `RevokedError`), and cut the links.
        """
        self._refusal = refusal or RevokedError()
        self.cut("its string was revoked")

    def cut(self, reason: str) -> None:
        """
        Cut the links on which the FURL was presented; *reason* goes into our log.
        """
        for link in self.links:
            link.drop(reason)


class Exposed(Referenceable):
    """
    An object that checks *revocable* before each call.
    """

    log = Logger()

    def __init__(self, revocable: Revocable) -> None:
        self.revocable = revocable

    def doRemoteCall(self, methodname, args, kwargs):
        self.revocable.check()
        return super().doRemoteCall(methodname, args, kwargs)

    def remote_not_a_desk(self) -> None:
        # The slave knows already that its FURL is not for a slave; it makes this call so that our log says so.
        self.revocable.account.log.warn("a slave was refused: {why}", why=str(WrongVerbError()))


@implementer(RIDesk)
class ExposedDesk(Exposed):
    """
    *desk*, for the holder of a slave's FURL.
    """

    def __init__(self, desk: Desk, revocable: Revocable) -> None:
        super().__init__(revocable)
        self._desk = desk

    def remote_attach(self, slave, hello: bytes) -> Deferred[bytes]:
        decoded = Hello.from_bytes(hello)
        remote = RemoteSlave(slave, lambda command: ExposedCommand(command, self.revocable))
        return self._desk.attach(remote, decoded, remote.link.key).addCallback(Welcome.to_bytes)


@implementer(RISlave)
class ExposedSlave(Exposed):
    """
    *slave*, for the master to which it attached.
    """

    def __init__(self, slave: Slave, revocable: Revocable) -> None:
        super().__init__(revocable)
        self._slave = slave

    def remote_start(self, id: bytes, spec: bytes, command) -> Deferred[None]:
        command_spec, secrets = specs.from_bytes(spec)
        return self._slave.start(text(id), command_spec, secrets, RemoteCommand(command))

    def remote_resume(self, id: bytes, command, have: bytes) -> Deferred[None]:
        return self._slave.resume(text(id), RemoteCommand(command), lengths_from_bytes(have))

    def remote_interrupt(self, id: bytes, reason: bytes) -> Deferred[None]:
        return self._slave.interrupt(text(id), printable(reason.decode("utf-8", "replace")))

    def remote_disown(self, id: bytes) -> Deferred[None]:
        return self._slave.disown(text(id))

    def remote_open_shell(self, request: bytes, terminal) -> Deferred["ExposedShell"]:
        if not isinstance(self._slave, ShellHost):
            raise RefusedError("This slave opens no shells.")
        opening = self._slave.open_shell(ShellRequest.from_bytes(request), RemoteTerminal(terminal))
        return opening.addCallback(ExposedShell, self.revocable)


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


@implementer(RIShell)
class ExposedShell(Exposed):
    """
    *shell*, for the other end of a link.
    """

    def __init__(self, shell: OpenShell, revocable: Revocable) -> None:
        super().__init__(revocable)
        self._shell = shell
        self._window = ShellWindow()
        self._sizes = SizeWindow(shell.resize)
        self._end_input = CalledOnce(shell.end_input)
        self._hang_up = CalledOnce(shell.hang_up)

    def remote_input(self, data: bytes) -> Deferred[None]:
        return self._window.through(data, self._shell.input)

    def remote_end_input(self) -> Deferred[None]:
        return self._end_input()

    def remote_resize(self, rows: int, columns: int) -> Deferred[None]:
        return self._sizes.through(rows, columns)

    def remote_hang_up(self) -> Deferred[None]:
        return self._hang_up()
