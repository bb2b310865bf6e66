"""
Implementations of the roles that record their calls.
"""

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed

from buildbot_lite.model.hello import Hello, Welcome
from buildbot_lite.model.outcome import Outcome
from buildbot_lite.model.shell_request import ShellRequest
from buildbot_lite.model.spec import Spec
from buildbot_lite.wire.roles import Command, Slave
from buildbot_lite.wire.shells import OpenShell, ShellTerminal

HELLO = Hello(home="h" * 16, incarnation="i", keeper="k", boot="b", version="1", platform={"system": "Linux"})
WELCOME = Welcome(name="bot1", version="1", hints=("tcp:farm.example:9989",))


class RecordingCommand:
    """
    A `Command` that records its calls.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.streams: dict[str, bytes] = {}
        self.answer: Exception | Deferred[Any] | None = None
        self.again: tuple[str, ...] = ()

    def append(self, stream: str, offset: int, data: bytes) -> Deferred[int]:
        self.calls.append(("append", stream, offset, len(data)))
        if isinstance(self.answer, Exception):
            return fail(self.answer)
        if self.answer is not None:
            return self.answer
        self.streams[stream] = self.streams.get(stream, b"")[:offset] + data
        return succeed(len(self.streams[stream]))

    def read(self, name: str, offset: int, size: int) -> Deferred[bytes]:
        self.calls.append(("read", name, offset, size))
        return succeed(bytes(range(256))[offset : offset + size])

    def finished(self, outcome: Outcome) -> Deferred[tuple[str, ...]]:
        self.calls.append(("finished", outcome))
        return succeed(self.again)


class RecordingShell:
    """
    Both ends of a shell, `OpenShell` and `ShellTerminal`, which record their calls.  *answer*: that of `input` and
    `resize`.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.answer: Deferred[None] | None = None
        self.lost = False

    def _called(self, *call: Any) -> Deferred[None]:
        self.calls.append(call)
        return succeed(None)

    def input(self, data: bytes) -> Deferred[None]:
        self.calls.append(("input", data))
        return self.answer or succeed(None)

    def end_input(self) -> Deferred[None]:
        return self._called("end_input")

    def resize(self, rows: int, columns: int) -> Deferred[None]:
        self.calls.append(("resize", rows, columns))
        return self.answer or succeed(None)

    def hang_up(self) -> Deferred[None]:
        return self._called("hang_up")

    def output(self, data: bytes) -> Deferred[None]:
        return self._called("output", data)

    def errors(self, data: bytes) -> Deferred[None]:
        return self._called("errors", data)

    def ended(self, exit_code: int, reason: str) -> Deferred[None]:
        return self._called("ended", exit_code, reason)

    def when_lost(self, callback: Callable[[], None]) -> None:
        raise NotImplementedError


class RecordingSlave:
    """
    A `Slave` that records its calls.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.commands: dict[str, Command] = {}
        self.answer: Exception | None = None
        self.shell = RecordingShell()
        self.terminal: ShellTerminal | None = None

    def start(self, id: str, spec: Spec, secrets: Mapping[str, str], command: Command) -> Deferred[None]:
        self.calls.append(("start", id, spec, dict(secrets)))
        self.commands[id] = command
        return succeed(None) if self.answer is None else fail(self.answer)

    def resume(self, id: str, command: Command, have: Mapping[str, int]) -> Deferred[None]:
        self.calls.append(("resume", id, dict(have)))
        self.commands[id] = command
        return succeed(None)

    def interrupt(self, id: str, reason: str) -> Deferred[None]:
        self.calls.append(("interrupt", id, reason))
        return succeed(None)

    def disown(self, id: str) -> Deferred[None]:
        self.calls.append(("disown", id))
        return succeed(None)

    def open_shell(self, request: ShellRequest, terminal: ShellTerminal) -> Deferred[OpenShell]:
        self.calls.append(("open_shell", request))
        self.terminal = terminal
        return succeed(self.shell) if self.answer is None else fail(self.answer)

    def drop(self, reason: str) -> None:
        raise NotImplementedError

    def when_lost(self, callback: Callable[[], None]) -> None:
        raise NotImplementedError


class RecordingDesk:
    """
    A `Desk` that records its calls and the slaves that attached.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.slaves: list[Slave] = []
        self.answer: Exception | None = None

    def attach(self, slave: Slave, hello: Hello, key: str) -> Deferred[Welcome]:
        self.calls.append(("attach", hello, key))
        self.slaves.append(slave)
        return succeed(WELCOME) if self.answer is None else fail(self.answer)
