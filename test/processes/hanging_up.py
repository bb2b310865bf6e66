"""
A client that submits, closes its standard input and disconnects: ``python hanging_up.py FURLFILE TEXT``.

This equals the stock client killed at the right moment.  After a refusal it prints the sentence.
"""

import sys
from pathlib import Path

from foolscap.api import Referenceable, Tub
from twisted.internet import reactor  # noqa: TID251 - a program of its own
from twisted.internet.defer import Deferred
from twisted.internet.task import react


class Watcher(Referenceable):  # type: ignore[misc]  # Foolscap has no types
    """
    Copies remarks to standard error.
    """

    def __init__(self) -> None:
        self.ended: Deferred[None] = Deferred()

    def remote_stderr(self, data: bytes) -> None:
        sys.stdout.buffer.write(data)

    def remote_done(self, signal: object, exitcode: int) -> None:
        self.ended.callback(None)


async def submit(furl: str, text: bytes) -> None:
    """
    Submit *text* and disconnect; a refused submission ends with its error.
    """
    tub, watcher = Tub(), Watcher()
    tub.startService()
    service = await tub.getReference(furl)
    stdin = await service.callRemote("execute", watcher=watcher)
    if stdin is None:
        await watcher.ended
    else:
        await stdin.callRemote("feed_stdin", data=text)
        await stdin.callRemote("close_stdin")
    await tub.stopService()


if __name__ == "__main__":
    furl_file, text = sys.argv[1:]
    react(lambda _: Deferred.fromCoroutine(submit(Path(furl_file).read_text().strip(), text.encode())), (), reactor)
