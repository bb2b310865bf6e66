"""
A line between two processes, in memory, that does everything a bad line does.

::

    slave                      Wire                       master
    End ──call──► to master  ═══════════►  delivered ──► the role there
        ◄──answer── to slave ◄═══════════  delivered ◄── its answer

What is said is delivered in order and when the test wants it, or never.  A line that broke tells neither end; each end
notices at its own time (`End.lose`), and what was under way is gone.  So an answer may be lost whose question was
heard, and one end may dial again while the other still believes in the old line.
"""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.python.failure import Failure

from buildbot_lite.errors import LinkLostError, RefusedError
from buildbot_lite.model.hello import Hello, Welcome
from buildbot_lite.model.outcome import Outcome
from buildbot_lite.model.spec import Spec
from buildbot_lite.wire.failures import OUR_FAULT, is_foreseen
from buildbot_lite.wire.roles import (
    Command,
    Desk,
    Slave,
)

T = TypeVar("T")


@define(eq=False)
class End:
    """
    One end of a line: `wire.roles.Link`.
    """

    wire: "Wire"
    name: str
    inbox: deque[Callable[[], None]] = field(factory=deque)
    lost: bool = False
    key: str = "key"
    _waiting: set[Deferred[Any]] = field(factory=set)
    _when_lost: list[Callable[[], None]] = field(factory=list)

    @property
    def other(self) -> "End":
        return self.wire.master if self is self.wire.slave else self.wire.slave

    def silence(self) -> float:
        return 0.0 if self.wire.broken is None else self.wire.now() - self.wire.broken

    def drop(self, reason: str) -> None:
        self.wire.cut()
        self.lose()

    def when_lost(self, callback: Callable[[], None]) -> None:
        if self.lost:
            callback()
        else:
            self._when_lost.append(callback)

    def lose(self) -> None:
        """
        This end notices that the line is gone.
        """
        if self.lost:
            return
        self.wire.cut()
        self.lost = True
        self.inbox.clear()
        waiting, self._waiting = self._waiting, set()
        for answer in waiting:
            answer.errback(LinkLostError())
        callbacks, self._when_lost = self._when_lost, []
        for callback in callbacks:
            callback()

    def die(self) -> None:
        """
        The process at this end is gone: nobody here notices anything any more.
        """
        self.wire.cut()
        self.lost = True
        self.inbox.clear()
        self._when_lost.clear()
        self._waiting.clear()

    def call(self, function: Callable[..., Deferred[T]], *arguments: Any) -> Deferred[T]:
        """
        Have *function* called at the other end.
        """
        if self.lost:
            return fail(LinkLostError())
        answer: Deferred[T] = Deferred()
        self._waiting.add(answer)

        def arrived() -> None:
            maybeDeferred(function, *arguments).addBoth(answered)  # type: ignore[unused-awaitable]  # answered() never fails

        def answered(result: T | Failure) -> None:
            if isinstance(result, Failure) and not is_foreseen(result):
                self.wire.defects.append(result)
                result = Failure(RefusedError(OUR_FAULT))
            if not self.other.lost:
                self.wire.say(self, lambda: back(result))

        def back(result: T | Failure) -> None:
            if answer in self._waiting:
                self._waiting.discard(answer)
                answer.callback(result)

        self.wire.say(self.other, arrived)
        return answer


class Wire:
    """
    The line.  *now*: the test's time.  ``broken``: since when nothing passes.  *defects*: exceptions that are not ours.
    """

    def __init__(self, now: Callable[[], float], defects: list[Failure]) -> None:
        self.now = now
        self.defects = defects
        self.broken: float | None = None
        self.slow = False
        self.slave = End(self, "slave")
        self.master = End(self, "master")

    @property
    def ends(self) -> tuple[End, End]:
        return self.slave, self.master

    def cut(self) -> None:
        """
        From now on nothing passes, and nobody is told.
        """
        if self.broken is None:
            self.broken = self.now()

    def say(self, to: End, what: Callable[[], None]) -> None:
        """
        Something is on its way.
        """
        if self.broken is None and not to.lost:
            to.inbox.append(what)

    def deliver(self, to: End, most: int = 1) -> bool:
        """
        Deliver what is under way; answers whether there was something.
        """
        some = False
        while most and to.inbox and self.broken is None:
            to.inbox.popleft()()
            most -= 1
            some = True
        return some


@define
class FarCommand:
    """
    A `Command` at the other end.
    """

    command: Command
    end: End

    def append(self, stream: str, offset: int, data: bytes) -> Deferred[int]:
        return self.end.call(self.command.append, stream, offset, data)

    def read(self, name: str, offset: int, size: int) -> Deferred[bytes]:
        return self.end.call(self.command.read, name, offset, size)

    def finished(self, outcome: Outcome) -> Deferred[tuple[str, ...]]:
        return self.end.call(self.command.finished, outcome)


@define
class FarSlave:
    """
    A `Slave` at the other end; *disowned* hears what the master disowns.
    """

    slave: Slave
    end: End
    disowned: Callable[[str], None]

    def start(self, id: str, spec: Spec, secrets: Mapping[str, str], command: Command) -> Deferred[None]:
        return self.end.call(self.slave.start, id, spec, secrets, FarCommand(command, self.end.other))

    def resume(self, id: str, command: Command, have: Mapping[str, int]) -> Deferred[None]:
        return self.end.call(self.slave.resume, id, FarCommand(command, self.end.other), have)

    def interrupt(self, id: str, reason: str) -> Deferred[None]:
        return self.end.call(self.slave.interrupt, id, reason)

    def disown(self, id: str) -> Deferred[None]:
        self.disowned(id)
        return self.end.call(self.slave.disown, id)

    def drop(self, reason: str) -> None:
        self.end.drop(reason)

    def when_lost(self, callback: Callable[[], None]) -> None:
        self.end.when_lost(callback)


@define
class FarDesk:
    """
    A `Desk` at the other end.
    """

    desk: Desk
    end: End
    disowned: Callable[[str], None]

    def attach(self, slave: Slave, hello: Hello, key: str = "") -> Deferred[Welcome]:
        far = FarSlave(slave, self.end.other, self.disowned)
        return self.end.call(self.desk.attach, far, hello, self.end.key)
