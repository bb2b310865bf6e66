"""
A stand-in for the master of a made-up farm: it answers a real web process over a real watch FURL.

::

    python -m test.browser.stand_in DIRECTORY < changes
    DIRECTORY/web/private/watch.furl ◄── written when it listens
    a line of standard input         ──► news to all who follow the farm: something changed; "grew PATH": only a log did

It knows only what `LiveAnswers` says; a test that changes the records writes a line.  It ends with its standard input.
"""

import json
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.stdio import StandardIO
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

from buildbot_lite.deferreds import OneShot
from buildbot_lite.errors import LinkLostError, RefusedError
from buildbot_lite.storage.files import write_whole
from buildbot_lite.wire.certificate import new_certificate
from buildbot_lite.wire.control import Document, ExposedControl, Follower
from buildbot_lite.wire.exposed import Revocable
from buildbot_lite.wire.furl import build
from buildbot_lite.wire.tub import make_tub

from ..seeded.files import DATABASE
from ..seeded.live_answers import LiveAnswers
from ..seeded.repositories import places
from ..seeded.seeding import Seeding

SWISSNUM = "s" * 32
SEEDING = "seeding.json"


class StandInControl:
    """
    The role `wire.control.Control` for *answers*, and the records in *directory*.
    """

    def __init__(self, answers: LiveAnswers, directory: Path) -> None:
        self._answers = answers
        self._directory = directory
        self._changes = 0
        self._changed: OneShot[str | None] = OneShot()

    def change(self) -> None:
        """
        Something changed.
        """
        self._changes += 1
        self._tell(None)

    def grow(self, path: str) -> None:
        """
        The log with the stream *path* has grown, and nothing else has changed.
        """
        self._tell(path)

    def _tell(self, grown: str | None) -> None:
        waiting, self._changed = self._changed, OneShot()
        waiting.fire(grown)

    def ask(self, question: Document) -> Deferred[Document]:
        answer = self._answers.to(str(question.get("ask")))
        if answer is None:
            return fail(RefusedError(f"This string does not permit {question.get('ask')!r}."))
        return succeed(answer)

    def follow(self, question: Document, follower: Follower) -> Deferred[Document]:
        return Deferred.fromCoroutine(self._follow(follower))

    async def _follow(self, follower: Follower) -> Document:
        grown: str | None = None
        try:
            while True:
                changed = self._changed.wait()
                await follower.chunk(b"1" + json.dumps(self._news(grown)).encode())
                grown = await changed
        except LinkLostError:
            return {}

    def _news(self, grown: str | None) -> dict[str, Any]:
        with closing(sqlite3.connect(f"file:{self._directory / DATABASE}?mode=ro", uri=True)) as database:
            (seq,) = database.execute("SELECT coalesce(max(seq), 0) FROM feed").fetchone()
        streams = None if grown is None else [grown]
        return {"seq": seq, "streams": streams, "live": self._changes, "revoked": [], "generation": "0" * 64}


class _Commands(LineReceiver):
    delimiter = b"\n"

    def __init__(self, control: StandInControl, reactor: Any) -> None:
        self._control = control
        self._reactor = reactor

    def lineReceived(self, line: bytes) -> None:
        command, _, path = line.decode().partition(" ")
        if command == "grew":
            self._control.grow(path)
        else:
            self._control.change()

    def connectionLost(self, reason: Failure | None = None) -> None:
        self._reactor.stop()


def main(directory: Path) -> None:
    """
    Answer until standard input ends.
    """
    from twisted.internet import reactor  # noqa: TID251 - a program of its own

    running: Any = reactor
    seeding = Seeding(**json.loads((directory / SEEDING).read_text()))
    answers = LiveAnswers(seeding)
    control = StandInControl(
        LiveAnswers(seeding, {"www": {**(answers.to("www") or {}), **places(directory)}}), directory
    )
    exposed = {SWISSNUM: ExposedControl(control, Revocable())}
    tub = make_tub(running, new_certificate(), exposed.get)
    tub.startService()
    listener = tub.listen("tcp:0:interface=127.0.0.1")
    private = directory / "web" / "private"
    os.makedirs(private, mode=0o700, exist_ok=True)
    furl = build(tub.tub_id, [f"tcp:127.0.0.1:{listener.port}"], SWISSNUM)
    write_whole(str(private / "watch.furl"), f"{furl}\n".encode())
    StandardIO(_Commands(control, running))
    running.run()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
