"""
Implementations of the roles that record their calls.
"""

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed

from buildbot_lite.model.hello import Hello, Welcome
from buildbot_lite.model.outcome import Outcome
from buildbot_lite.model.spec import Spec
from buildbot_lite.wire.roles import Command, Slave

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


class RecordingSlave:
    """
    A `Slave` that records its calls.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.commands: dict[str, Command] = {}
        self.answer: Exception | None = None

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
