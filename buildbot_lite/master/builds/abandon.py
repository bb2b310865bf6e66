"""
Giving up commands that a build began and will not come to again.

A build that cannot be continued is tried again from its beginning.  But a command of the first attempt may still run,
on a slave that is away; and two attempts never run at the same time (invariant I8).  So the second waits until the
slave was told to forget the command, or was away for so long that the command's lease has run out.

Builds that the first attempt waits for are cancelled: the second asks for its own.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from twisted.internet.defer import Deferred

from ...model.outcome import Seal
from ...model.spec import from_document
from ..slaves.command import RemoteCommand
from ..slaves.command_streams import WritableStream
from ..slaves.session import Session
from .journal import JournalEntry

COMMAND = "command"
"""The kind of the journal's entries that are commands."""
TRIGGERED = "triggered"
"""The kind of those that wait for the builds which a Trigger asked for."""


class Children(Protocol):
    """
    The builds that a build asked for.
    """

    async def cancel(self, buildset: int, reason: str) -> Sequence[object]:
        """
        End the requests of *buildset* that have not ended, because of *reason*; answers which.
        """


def command_id(nonce: str, step: int, ordinal: int) -> str:
    """
    What a command is called on the wire: the build's *nonce* and the place of its entry.
    """
    return f"{nonce}-{step}-{ordinal}"


async def abandon(
    entries: Iterable[JournalEntry],
    *,
    session: Callable[[str], Session],
    nonce: str,
    live: Callable[[], None],
) -> None:
    """
    See that none of the commands that were begun in *entries* runs any more.

    *session*: of "slave" or "master", where an entry says that its command went.  *live*: called when a slave that asks
    is answered.
    """
    waiting = []
    for entry in entries:
        if entry.kind == COMMAND and entry.outcome is None:
            command = RemoteCommand(
                id=command_id(nonce, entry.step, entry.ordinal),
                spec=from_document(entry.intent["spec"]),
                secrets={},
                # Without a lease the slave's own word is needed, or an admin's.  A transfer needs none.
                grace=entry.intent["spec"].get("grace", 0.0),
                streams=_DiscardingStreams(),
                sources={},
                unwanted=True,
            )
            waiting.append(Deferred.fromCoroutine(session(entry.intent["where"]).run(command)))
    live()
    for each in waiting:
        await each


async def end_children(entries: Iterable[JournalEntry], children: Children, reason: str) -> None:
    """
    Cancel the builds that *entries* wait for: nobody will ask what became of them.
    """
    for entry in entries:
        if entry.kind == TRIGGERED and entry.outcome is None:
            await children.cancel(int(entry.intent["buildset"]), reason)


class _DiscardingStreams:
    """
    For what is not wanted.
    """

    def stream(self, name: str) -> WritableStream:
        return _DiscardedStream()

    def lengths(self) -> dict[str, int]:
        return {}


class _DiscardedStream:
    length = 0

    def append(self, offset: int, data: bytes) -> int:
        return offset + len(data)

    def seal(self, seal: Seal) -> Deferred[bool]:
        done: Deferred[bool] = Deferred()
        done.callback(True)
        return done
