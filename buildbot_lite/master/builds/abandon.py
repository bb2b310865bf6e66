"""
Ending the commands of a build that cannot be continued.

Such a build is tried again from its beginning.  A command of the first attempt may still run on a slave that is not
connected, and two attempts must never run at the same time.  So the second attempt waits until the slave was told to
end the command, or was disconnected for longer than the command's lease.

The builds that the first attempt triggered and waited for are cancelled: the second attempt triggers its own.
"""

from collections.abc import Sequence

from twisted.internet.defer import Deferred, succeed

from ...model.outcome import Seal
from ...model.spec import from_document
from ...storage.records.journal import COMMAND, TRIGGERED
from ..slaves.command import DispatchedCommand
from ..slaves.command_streams import WritableStream
from .build_context import BuildContext
from .journal import JournalEntry


async def abandon(build: BuildContext) -> None:
    """
    Wait until none of the commands that *build* started can run any more.
    """
    await abandon_entries(build, build.journal.unfinished())


async def abandon_entries(build: BuildContext, entries: Sequence[JournalEntry]) -> None:
    """
    Wait until none of the commands of *entries* without an outcome can run any more.
    """
    waiting = []
    for entry in entries:
        if entry.kind == COMMAND and entry.outcome is None:
            command = DispatchedCommand(
                id=build.command_id(entry),
                spec=from_document(entry.intent["spec"]),
                secrets={},
                # None (no lease): only the slave or an admin can confirm the command's end.  0: a transfer, which ends
                # with the connection.
                grace=entry.intent["spec"].get("grace", 0.0),
                streams=_DiscardingStreams(),
                sources={},
                unwanted=True,
            )
            waiting.append(Deferred.fromCoroutine(build.session_at(entry.intent["where"]).run(command)))
    build.journal.live()
    for each in waiting:
        await each


async def cancel_children(build: BuildContext, reason: str, entries: Sequence[JournalEntry] | None = None) -> None:
    """
    Cancel the builds that *build* still waits for in *entries*; None: in all.
    """
    for entry in build.journal.unfinished() if entries is None else entries:
        if entry.kind == TRIGGERED and entry.outcome is None:
            await build.triggers.cancel(int(entry.intent["buildset"]), reason)


class _DiscardingStreams:
    """
    The streams of an unwanted command.
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
        return succeed(True)
