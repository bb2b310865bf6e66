"""
The roles in one process, connected by a link that can be cut.

The master's own commands run on a slave in its own process, and tests need links that break on demand.  Objects are
passed as they are; failures are those that the wire would deliver.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..errors import DefectError, LinkLostError, RefusedError
from ..model.hello import Hello, Welcome
from ..model.outcome import Outcome
from ..model.shell_request import ShellRequest
from ..model.spec import Spec
from .failures import INTERNAL_ERROR, is_expected
from .roles import (
    Command,
    Desk,
    Slave,
)
from .shells import OpenShell, ShellHost, ShellTerminal

T = TypeVar("T")


class LoopbackLink:
    """
    A `roles.Link` without a connection.  After `drop`, every call fails, also those that wait for their answer.
    """

    log = Logger()

    def __init__(self, key: str = "memory") -> None:
        self._key = key
        self._lost = False
        self._when_lost: list[Callable[[], None]] = []
        self._waiting: set[Deferred[Any]] = set()

    @property
    def key(self) -> str:
        return self._key

    @property
    def lost(self) -> bool:
        return self._lost

    def silence(self) -> float:
        return 0.0

    def drop(self, reason: str) -> None:
        if self._lost:
            return
        self._lost = True
        waiting, self._waiting = self._waiting, set()
        for answer in waiting:
            answer.errback(LinkLostError())
        callbacks, self._when_lost = self._when_lost, []
        for callback in callbacks:
            callback()

    def when_lost(self, callback: Callable[[], None]) -> None:
        if self._lost:
            callback()
        else:
            self._when_lost.append(callback)

    def call(self, function: Callable[..., Deferred[T]], *arguments: Any) -> Deferred[T]:
        """
        Fires with the answer of *function*; fails with `LinkLostError` if the link is lost first.
        """
        answer: Deferred[T] = Deferred()
        if self._lost:
            answer.errback(LinkLostError())
            return answer
        self._waiting.add(answer)

        def answered(result: T | Failure) -> None:
            if answer not in self._waiting:
                return  # the link was lost: the call has failed already
            self._waiting.discard(answer)
            if isinstance(result, Failure) and not is_expected(result):
                self.log.failure("a call failed; its caller is sent no details", failure=result)
                result = Failure(DefectError(INTERNAL_ERROR))
            answer.callback(result)

        maybeDeferred(function, *arguments).addBoth(answered)  # type: ignore[unused-awaitable]  # answered() never fails
        return answer


class LoopbackCommand:
    """
    A `Command` on the other side of *link*.
    """

    def __init__(self, command: Command, link: LoopbackLink) -> None:
        self._command = command
        self._link = link

    def append(self, stream: str, offset: int, data: bytes) -> Deferred[int]:
        return self._link.call(self._command.append, stream, offset, data)

    def read(self, name: str, offset: int, size: int) -> Deferred[bytes]:
        return self._link.call(self._command.read, name, offset, size)

    def finished(self, outcome: Outcome) -> Deferred[tuple[str, ...]]:
        return self._link.call(self._command.finished, outcome)


class LoopbackSlave:
    """
    A `Slave` on the other side of *link*.
    """

    def __init__(self, slave: Slave, link: LoopbackLink) -> None:
        self._slave = slave
        self.link = link

    def start(self, id: str, spec: Spec, secrets: Mapping[str, str], command: Command) -> Deferred[None]:
        return self.link.call(self._slave.start, id, spec, secrets, LoopbackCommand(command, self.link))

    def resume(self, id: str, command: Command, have: Mapping[str, int]) -> Deferred[None]:
        return self.link.call(self._slave.resume, id, LoopbackCommand(command, self.link), have)

    def interrupt(self, id: str, reason: str) -> Deferred[None]:
        return self.link.call(self._slave.interrupt, id, reason)

    def disown(self, id: str) -> Deferred[None]:
        return self.link.call(self._slave.disown, id)

    def open_shell(self, request: ShellRequest, terminal: ShellTerminal) -> Deferred[OpenShell]:
        if not isinstance(self._slave, ShellHost):
            return fail(RefusedError("This slave opens no shells."))
        opening = self.link.call(self._slave.open_shell, request, LoopbackTerminal(terminal, self.link))
        return opening.addCallback(LoopbackOpenShell, self.link)

    def drop(self, reason: str) -> None:
        self.link.drop(reason)

    def when_lost(self, callback: Callable[[], None]) -> None:
        self.link.when_lost(callback)


class LoopbackTerminal:
    """
    A `ShellTerminal` on the other side of *link*.
    """

    def __init__(self, terminal: ShellTerminal, link: LoopbackLink) -> None:
        self._terminal = terminal
        self._link = link

    def output(self, data: bytes) -> Deferred[None]:
        return self._link.call(self._terminal.output, data)

    def errors(self, data: bytes) -> Deferred[None]:
        return self._link.call(self._terminal.errors, data)

    def ended(self, exit_code: int, reason: str) -> Deferred[None]:
        return self._link.call(self._terminal.ended, exit_code, reason)

    def when_lost(self, callback: Callable[[], None]) -> None:
        self._link.when_lost(callback)


class LoopbackOpenShell:
    """
    An `OpenShell` on the other side of *link*.
    """

    def __init__(self, shell: OpenShell, link: LoopbackLink) -> None:
        self._shell = shell
        self._link = link

    def input(self, data: bytes) -> Deferred[None]:
        return self._link.call(self._shell.input, data)

    def end_input(self) -> Deferred[None]:
        return self._link.call(self._shell.end_input)

    def resize(self, rows: int, columns: int) -> Deferred[None]:
        return self._link.call(self._shell.resize, rows, columns)

    def hang_up(self) -> Deferred[None]:
        return self._link.call(self._shell.hang_up)


class LoopbackDesk:
    """
    A `Desk` on the other side of *link*, like the one that `reconnecting.connect` passes to *on_desk*.
    """

    def __init__(self, desk: Desk, link: LoopbackLink) -> None:
        self._desk = desk
        self._link = link

    def attach(self, slave: Slave, hello: Hello, key: str = "") -> Deferred[Welcome]:
        return self._link.call(self._desk.attach, LoopbackSlave(slave, self._link), hello, self._link.key)
