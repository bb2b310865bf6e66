"""
Giving up the commands that a build began and will not continue.

A build that cannot be continued is tried again from its beginning.  A command of the first attempt may still run, on a
slave that is away, and two attempts never run at the same time (invariant I8).  So the second attempt waits until the
slave has been told to forget the command, or has been away until the command's lease ran out.

The builds for which the first attempt waited are cancelled: the second attempt triggers its own.
"""

from twisted.internet.defer import Deferred, succeed

from ...model.outcome import Seal
from ...model.spec import from_document
from ..slaves.command import DispatchedCommand
from ..slaves.command_streams import WritableStream
from .build_context import COMMAND, TRIGGERED, BuildContext


async def abandon(build: BuildContext) -> None:
    """
    Wait until no command runs that *build* began and did not finish.
    """
    waiting = []
    for entry in build.journal.unfinished():
        if entry.kind == COMMAND and entry.outcome is None:
            command = DispatchedCommand(
                id=build.command_id(entry),
                spec=from_document(entry.intent["spec"]),
                secrets={},
                # None (no lease): only the slave or an admin can say that the command does not run.  0: a transfer.
                grace=entry.intent["spec"].get("grace", 0.0),
                streams=_DiscardingStreams(),
                sources={},
                unwanted=True,
            )
            waiting.append(Deferred.fromCoroutine(build.session_at(entry.intent["where"]).run(command)))
    build.journal.live()
    for each in waiting:
        await each


async def cancel_children(build: BuildContext, reason: str) -> None:
    """
    Cancel the builds that *build* still waits for.
    """
    for entry in build.journal.unfinished():
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
