"""
Answers that take long, whose readers are looked at again when they begin to be sent.
"""

import os
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sqlalchemy import Connection
from twisted.internet.defer import Deferred

from buildbot_lite.storage.records import streams
from buildbot_lite.web.farm.live import Document, Live
from buildbot_lite.web.farm.stored_farm import Places
from buildbot_lite.web.replies.answer_rest import AnswerRest
from buildbot_lite.web.serving.fair_places import Occupant
from buildbot_lite.web.serving.fair_turns import FairTurns

from .test_pages_log import ADDRESS, LogCase

OF_BUILD = "/builders/linux/1"
ADDRESSES = (
    f"{ADDRESS}/raw",
    f"{OF_BUILD}/artifacts/file",
    "/repositories/t/hello.deb",
    f"/api/v1{OF_BUILD.replace('builders', 'builds')}/logs/0/stdio",
    f"/api/v1{OF_BUILD.replace('builders', 'builds')}/artifacts/file",
    "/api/v1/events",
)
"""Of all answers that `until_revoked` cuts."""


class UntilRevokedTests(LogCase):
    def setUp(self) -> None:
        """
        There are a log, an artifact and a public repository.
        """
        super().setUp()
        self.log(b"x" * 1000)
        directory = Path(self.directory).absolute()
        (directory / "linux" / "1").mkdir(parents=True)
        (directory / "linux" / "1" / "file").write_bytes(b"x")
        self.write(self.add_artifact)
        tree = directory / "t" / "snapshots" / "public-1-0123abcd" / "tree"
        tree.mkdir(parents=True)
        (tree / "hello.deb").write_bytes(b"hello")
        (directory / "t" / "public").symlink_to("snapshots/public-1-0123abcd/tree")
        places = Places(self.directory, self.directory, {"t": os.fspath(directory / "t")})
        # The view is frozen, and its routes have it already.
        object.__setattr__(self.view, "places", lambda: places)

    def add_artifact(self, connection: Connection) -> None:
        """
        Record the artifact, which is complete.
        """
        stream = streams.note(connection, self.build, 0, 1, name="file", kind="artifact", path="linux/1/file")
        streams.seal(connection, stream.id, 1, "0" * 64)

    def test_no_turn(self) -> None:
        """
        Promise 10.10: an answer that waits for the master when it begins to be sent has nobody's turn, neither then nor
        afterwards.
        """
        seen: list[FairTurns] = []
        asking: list[Deferred[Document]] = []
        begin, render = FairTurns.begin, AnswerRest.render

        def begin_seen(turns: FairTurns, occupant: Occupant) -> Deferred[None]:
            seen.append(turns)
            return begin(turns, occupant)

        async def late(live: Live, question: str, fresh: float = 1.0) -> Document:
            asking.append(Deferred())
            return await asking[-1]

        def render_later(rest: AnswerRest, request: Any) -> Any:
            with patch.object(Live, "fresh", return_value=None), patch.object(Live, "answer", late):
                return render(rest, request)

        self.patch(FairTurns, "begin", begin_seen)
        self.patch(AnswerRest, "render", render_later)
        for count, address in enumerate(ADDRESSES, 1):
            transport = self.send(f"GET {address} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            self.assertEqual((len(asking), transport.value()), (count, b""), address)
            asking[-1].callback(self.master.answers["www"])
            self.assertIn(b"200 OK", transport.value(), address)
            self.assertEqual(sum(turns._working.total() for turns in set(seen)), 0, address)
