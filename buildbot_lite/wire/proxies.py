"""
Proxies for the other side's objects, with the types of the roles.

Each wraps a Foolscap reference: it encodes the arguments, calls, and decodes the answer.  A call fails with
`LinkLostError` when the link is lost, with the other side's error when it refused, and with `MessageError` when the
answer violates the contract.
"""

from collections.abc import Callable, Mapping
from typing import Any

from foolscap.referenceable import Referenceable
from twisted.internet.defer import Deferred

from ..model import spec as specs
from ..model.hello import Hello, Welcome
from ..model.outcome import Outcome
from ..model.shell_request import ShellRequest
from ..model.spec import Spec
from .codec import lengths_to_bytes, streams_from_bytes
from .contract import LONGEST_REASON
from .failures import translated
from .limits.send_backlog import SendBacklog
from .roles import (
    Command,
    Link,
    Slave,
)
from .shells import ExposedTerminal, OpenShell, ShellTerminal

ExposeCommand = Callable[[Command], Referenceable]
ExposeSlave = Callable[[Slave], Referenceable]


class Remote:
    """
    A Foolscap reference, with its link.
    """

    def __init__(self, reference: Any) -> None:
        self._reference = reference
        self.link: Link = reference.tracker.broker.link

    @property
    def backlog(self) -> SendBacklog:
        """
        The bytes sent on the link that the peer has not read.
        """
        backlog: SendBacklog = self._reference.tracker.broker.backlog
        return backlog

    def count_stream_bytes(self, size: int) -> None:
        """
        Refund the CPU time for *size* bytes of a stream that are being sent (`limits.cpu_share`).
        """
        self._reference.tracker.broker.count_stream_bytes(size)

    def _call(self, method: str, **arguments: Any) -> Deferred[Any]:
        answer: Deferred[Any] = self._reference.callRemote(method, **arguments)
        return answer.addErrback(translated)


class RemoteCommand(Remote):
    """
    A `Command`, on the master.
    """

    def append(self, stream: str, offset: int, data: bytes) -> Deferred[int]:
        return self._call("append", stream=stream.encode(), offset=offset, data=data)

    def read(self, name: str, offset: int, size: int) -> Deferred[bytes]:
        return self._call("read", name=name.encode(), offset=offset, size=size)

    def finished(self, outcome: Outcome) -> Deferred[tuple[str, ...]]:
        return self._call("finished", outcome=outcome.to_bytes()).addCallback(streams_from_bytes)


class RemoteSlave(Remote):
    """
    A `Slave` at the other end.  *expose* wraps a command so that the slave can call it.
    """

    def __init__(self, reference: Any, expose: ExposeCommand) -> None:
        super().__init__(reference)
        self._expose = expose

    def start(self, id: str, spec: Spec, secrets: Mapping[str, str], command: Command) -> Deferred[None]:
        return self._call("start", id=id.encode(), spec=specs.to_bytes(spec, secrets), command=self._expose(command))

    def resume(self, id: str, command: Command, have: Mapping[str, int]) -> Deferred[None]:
        return self._call("resume", id=id.encode(), command=self._expose(command), have=lengths_to_bytes(have))

    def interrupt(self, id: str, reason: str) -> Deferred[None]:
        return self._call("interrupt", id=id.encode(), reason=_cut(reason))

    def disown(self, id: str) -> Deferred[None]:
        return self._call("disown", id=id.encode())

    def open_shell(self, request: ShellRequest, terminal: ShellTerminal) -> Deferred[OpenShell]:
        exposed = ExposedTerminal(terminal)
        opening = self._call("open_shell", request=request.to_bytes(), terminal=exposed)
        return opening.addCallback(RemoteOpenShell)

    def drop(self, reason: str) -> None:
        self.link.drop(reason)

    def when_lost(self, callback: Callable[[], None]) -> None:
        self.link.when_lost(callback)


class RemoteTerminal(Remote):
    """
    A `ShellTerminal` at the other end of a link.
    """

    def output(self, data: bytes) -> Deferred[None]:
        self.count_stream_bytes(len(data))
        return self._call("output", data=data)

    def errors(self, data: bytes) -> Deferred[None]:
        self.count_stream_bytes(len(data))
        return self._call("errors", data=data)

    def ended(self, exit_code: int, reason: str) -> Deferred[None]:
        return self._call("ended", exit_code=exit_code, reason=_cut(reason))

    def when_lost(self, callback: Callable[[], None]) -> None:
        self.link.when_lost(callback)


class RemoteOpenShell(Remote):
    """
    An `OpenShell` at the other end of a link.
    """

    def input(self, data: bytes) -> Deferred[None]:
        self.count_stream_bytes(len(data))
        return self._call("input", data=data)

    def end_input(self) -> Deferred[None]:
        return self._call("end_input")

    def resize(self, rows: int, columns: int) -> Deferred[None]:
        return self._call("resize", rows=rows, columns=columns)

    def hang_up(self) -> Deferred[None]:
        return self._call("hang_up")


class RemoteDesk(Remote):
    """
    A `Desk` on the master.  *expose* wraps a slave so that the master can call it.
    """

    def __init__(self, reference: Any, expose: ExposeSlave) -> None:
        super().__init__(reference)
        self._expose = expose

    def attach(self, slave: Slave, hello: Hello, key: str = "") -> Deferred[Welcome]:
        """
        Attach *slave*.  *key* is ignored: the master takes it from the TLS connection.
        """
        return self._call("attach", slave=self._expose(slave), hello=hello.to_bytes()).addCallback(Welcome.from_bytes)


def _cut(text: str) -> bytes:
    return text.encode("utf-8", "replace")[:LONGEST_REASON]
