"""
The rest of answers whose head is known.
"""

from collections.abc import Awaitable, Callable
from typing import Any
from unittest.mock import patch

from twisted.internet.defer import Deferred

from buildbot_lite.web.dispatcher import Pages
from buildbot_lite.web.page_request import PageRequest
from buildbot_lite.web.replies.downloads import PIECE
from buildbot_lite.web.root import SiteRoot
from buildbot_lite.web.serving.site import make_factory
from buildbot_lite.web.view import FarmView, Route, Streamed

from .pages_case import PagesCase, received
from .test_pages_log import ADDRESS, LogCase

REQUEST = b"GET /broken HTTP/1.1\r\nHost: localhost\r\n\r\n"


class DefectsTests(PagesCase):
    """
    A defect in what writes an answer.
    """

    def serve(self, write: Callable[[Any], Awaitable[None]]) -> list[str]:
        """
        Serve an answer that *write* writes; what tells when it is closed.
        """
        closed: list[str] = []

        async def broken(view: FarmView, asked: PageRequest) -> Streamed:
            headers = {"content-length": "7", "content-encoding": "gzip", "etag": '"1"'}
            return Streamed(write, headers=headers, close=lambda: closed.append("closed"))

        self.factory = make_factory(
            SiteRoot(Pages(self.view, [Route("/broken", broken, kept=0)]).resource(), None), self.clock
        )
        self.factory.doStart()
        return closed

    def test_before_head(self) -> None:
        """
        Before anything was sent, the answer is a sentence with the status 500, and the connection stays.
        """

        async def write(request: Any) -> None:
            raise KeyError("a defect")

        closed = self.serve(write)
        transport = self.send(REQUEST)
        answer = received(transport.value())
        self.assertEqual((answer.status, answer.body[:4], closed), (500, b"This", ["closed"]))
        self.assertEqual({"content-encoding", "etag"} & answer.headers.keys(), set())
        self.assertEqual(int(answer.headers["content-length"]), len(answer.body))
        self.assertFalse(transport.disconnected)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_after_head(self) -> None:
        """
        Afterwards the connection is cut.
        """
        more: Deferred[None] = Deferred()

        async def write(request: Any) -> None:
            request.write(b"abc")
            await more

        closed = self.serve(write)
        transport = self.send(REQUEST)
        self.assertEqual((transport.disconnected, closed), (False, []))
        more.errback(KeyError("a defect"))
        self.assertEqual((transport.disconnected, closed), (True, ["closed"]))
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)


class BrokenFilesTests(LogCase):
    def test_read(self) -> None:
        """
        A defect that shows while a file is sent, at its beginning or later, ends the answer.
        """
        self.log(b"x" * 100 * PIECE)
        request = f"GET {ADDRESS}/raw HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        where = "buildbot_lite.web.logs.log_reader.LogReader.read"
        with patch(where, side_effect=KeyError("a defect")):
            self.assertEqual(received(self.send(request).value()).status, 500)
        with patch(where, side_effect=[b"x", b"x", KeyError("a defect")]):
            transport = self.send(request)
        self.assertTrue(transport.disconnected)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 2)
