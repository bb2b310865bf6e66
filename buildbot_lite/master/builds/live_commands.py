"""
The commands and triggered builds that a running step waits for, and their interruption.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred

from ...deferreds import OneShot
from ..slaves.session import Session

T = TypeVar("T")


@define
class LiveCommands:
    """
    The commands of a build that run now, and the *buildsets* that it waits for now.
    """

    buildsets: set[int] = field(factory=set)
    _running: dict[str, Session] = field(factory=dict)
    _waits: set[Deferred[Any]] = field(factory=set)
    _reason: str | None = None
    _empty: OneShot[None] = field(factory=OneShot)

    @property
    def ids(self) -> Sequence[str]:
        """
        The ids of the commands that run.
        """
        return tuple(self._running)

    @property
    def reason(self) -> str:
        """
        Why the step is being stopped; empty when it is not.
        """
        return self._reason or ""

    @contextmanager
    def running(self, id: str, session: Session) -> Iterator[None]:
        """
        The command *id* runs in *session* while the block does.  It is interrupted immediately if the step is being
        stopped.

        A block that the garbage collector closes does not end it: nobody is left who may go on.
        """
        self._running[id] = session
        if self._reason is not None:
            session.end(id, self._reason)
        try:
            yield
        except GeneratorExit:
            raise
        except BaseException:
            self._ended(id)
            raise
        self._ended(id)

    def _ended(self, id: str) -> None:
        self._running.pop(id, None)
        if not self._running:
            self._empty.fire(None)

    def interrupt(self, reason: str) -> None:
        """
        Interrupt all commands, and those that begin before `allow`; cancel the events of `waiting_for`.
        """
        self._reason = reason
        for id, session in tuple(self._running.items()):
            session.end(id, reason)
        for wait in tuple(self._waits):
            wait.cancel()

    def allow(self) -> None:
        """
        Allow commands again, for the next step.
        """
        self._reason = None

    async def drained(self, reason: str) -> None:
        """
        Interrupt the commands that a step left running, and wait until all have ended.
        """
        if self._running:
            empty: OneShot[None] = OneShot()
            self._empty = empty
            for id, session in tuple(self._running.items()):
                session.interrupt(id, reason)
            await empty.wait()

    async def waiting_for(self, event: Deferred[T]) -> T:
        """
        Wait for *event* and return its result.  It is cancelled when the step is stopped.
        """
        if self._reason is not None:
            event.cancel()
        self._waits.add(event)
        try:
            return await event
        finally:
            self._waits.discard(event)
