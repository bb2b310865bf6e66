"""
A holder of a FURL who causes as many log lines as possible: ``python flooding.py FURLFILE COUNT``.

It makes *COUNT* times the one call that exists for the master's log: the one which says that the FURL is not a slave's.
"""

import sys
from pathlib import Path

from foolscap.api import Tub
from twisted.internet import reactor  # noqa: TID251 - a program of its own
from twisted.internet.defer import Deferred
from twisted.internet.task import react


async def flood(furl: str, count: int) -> None:
    """
    Make the call, and wait for each answer.
    """
    tub = Tub()
    tub.startService()
    submission = await tub.getReference(furl)
    for _ in range(count):
        await submission.callRemote("not_a_desk").addErrback(lambda failure: None)
    await tub.stopService()


if __name__ == "__main__":
    furl_file, count = sys.argv[1:]
    react(lambda _: Deferred.fromCoroutine(flood(Path(furl_file).read_text().strip(), int(count))), (), reactor)
