"""
A fake link between two processes, in memory, that fails in all ways in which a real link fails.

::

    slave                      FakeLink                       master
    LinkEnd ──call──► to master  ═══════════►  delivered ──► the role there
            ◄──answer── to slave ◄═══════════  delivered ◄── its answer

Messages are delivered in order, when the test decides, or never.  A broken link notifies neither end; each end notices
at its own time (`LinkEnd.lose`), and messages in transit are lost.  So an answer may be lost after its call arrived,
and one end may connect again while the other still uses the old link.
"""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.python.failure import Failure

from buildbot_lite.errors import DefectError, LinkLostError
from buildbot_lite.model.hello import Hello, Welcome
from buildbot_lite.model.outcome import Outcome
from buildbot_lite.model.spec import Spec
from buildbot_lite.wire.failures import INTERNAL_ERROR, is_expected
from buildbot_lite.wire.roles import (
    Command,
    Desk,
    Slave,
)

T = TypeVar("T")


@define(eq=False)
class LinkEnd:
    """
    One end of a fake link: the role `wire.roles.Link`.
    """

    link: "FakeLink"
    name: str
    inbox: deque[Callable[[], None]] = field(factory=deque)
    lost: bool = False
    key: str = "key"
    _waiting: set[Deferred[Any]] = field(factory=set)
    _when_lost: list[Callable[[], None]] = field(factory=list)

    @property
    def other(self) -> "LinkEnd":
        return self.link.master if self is self.link.slave else self.link.slave

    def silence(self) -> float:
        return 0.0 if self.link.broken is None else self.link.now() - self.link.broken

    def drop(self, reason: str) -> None:
        self.link.cut()
        self.lose()

    def when_lost(self, callback: Callable[[], None]) -> None:
        if self.lost:
            callback()
        else:
            self._when_lost.append(callback)

    def lose(self) -> None:
        """
        Notice at this end that the link is lost.
        """
        if self.lost:
            return
        self.link.cut()
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
        Kill the process at this end: no callback is called any more.
        """
        self.link.cut()
        self.lost = True
        self.inbox.clear()
        self._when_lost.clear()
        self._waiting.clear()

    def call(self, function: Callable[..., Deferred[T]], *arguments: Any) -> Deferred[T]:
        """
        Call *function* at the other end.
        """
        if self.lost:
            return fail(LinkLostError())
        answer: Deferred[T] = Deferred()
        self._waiting.add(answer)

        def arrived() -> None:
            maybeDeferred(function, *arguments).addBoth(answered)  # type: ignore[unused-awaitable]  # answered() never fails

        def answered(result: T | Failure) -> None:
            if isinstance(result, Failure) and not is_expected(result):
                self.link.defects.append(result)
                result = Failure(DefectError(INTERNAL_ERROR))
            if not self.other.lost:
                self.link.say(self, lambda: back(result))

        def back(result: T | Failure) -> None:
            if answer in self._waiting:
                self._waiting.discard(answer)
                answer.callback(result)

        self.link.say(self.other, arrived)
        return answer


class FakeLink:
    """
    A link with two ends.  *now*: the simulated time.  ``broken``: the time since when no message passes, or None.
    *defects*: collects unexpected exceptions.
    """

    def __init__(self, now: Callable[[], float], defects: list[Failure]) -> None:
        self.now = now
        self.defects = defects
        self.broken: float | None = None
        self.slow = False
        self.slave = LinkEnd(self, "slave")
        self.master = LinkEnd(self, "master")

    @property
    def ends(self) -> tuple[LinkEnd, LinkEnd]:
        return self.slave, self.master

    def cut(self) -> None:
        """
        Stop passing messages, without notifying the ends.
        """
        if self.broken is None:
            self.broken = self.now()

    def say(self, to: LinkEnd, what: Callable[[], None]) -> None:
        """
        Put a message for *to* in transit.
        """
        if self.broken is None and not to.lost:
            to.inbox.append(what)

    def deliver(self, to: LinkEnd, most: int = 1) -> bool:
        """
        Deliver at most *most* messages in transit; returns whether there was one.
        """
        some = False
        while most and to.inbox and self.broken is None:
            to.inbox.popleft()()
            most -= 1
            some = True
        return some


@define
class CommandOverLink:
    """
    A `Command` at the other end.
    """

    command: Command
    end: LinkEnd

    def append(self, stream: str, offset: int, data: bytes) -> Deferred[int]:
        return self.end.call(self.command.append, stream, offset, data)

    def read(self, name: str, offset: int, size: int) -> Deferred[bytes]:
        return self.end.call(self.command.read, name, offset, size)

    def finished(self, outcome: Outcome) -> Deferred[tuple[str, ...]]:
        return self.end.call(self.command.finished, outcome)


@define
class SlaveOverLink:
    """
    A `Slave` at the other end; *disowned* is called with the ids that the master disowns.
    """

    slave: Slave
    end: LinkEnd
    disowned: Callable[[str], None]

    def start(self, id: str, spec: Spec, secrets: Mapping[str, str], command: Command) -> Deferred[None]:
        return self.end.call(self.slave.start, id, spec, secrets, CommandOverLink(command, self.end.other))

    def resume(self, id: str, command: Command, have: Mapping[str, int]) -> Deferred[None]:
        return self.end.call(self.slave.resume, id, CommandOverLink(command, self.end.other), have)

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
class DeskOverLink:
    """
    A `Desk` at the other end.
    """

    desk: Desk
    end: LinkEnd
    disowned: Callable[[str], None]

    def attach(self, slave: Slave, hello: Hello, key: str = "") -> Deferred[Welcome]:
        far = SlaveOverLink(slave, self.end.other, self.disowned)
        return self.end.call(self.desk.attach, far, hello, self.end.key)
