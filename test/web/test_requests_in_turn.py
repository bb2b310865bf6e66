"""
Requests wait before klein knows them.
"""

import tracemalloc
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from buildbot_lite.web.dispatcher import MOST_ADMITTED, Pages
from buildbot_lite.web.page_request import PageRequest
from buildbot_lite.web.root import SiteRoot
from buildbot_lite.web.routes import ROUTES
from buildbot_lite.web.serving.site import make_factory
from buildbot_lite.web.view import FarmView, Reply, Route

from .pages_case import PagesCase


def _many(separator: str) -> str:
    """
    Different words between *separator*, 6000 bytes.
    """
    return separator.join(f"{number:x}" for number in range(4096, 4096 + 1200))


class RequestsInTurnTests(PagesCase):
    """
    *begun*: what each page that is asked for at ``/slow`` waits for, in its turn; *outside*: those at ``/outside``.
    """

    def setUp(self) -> None:
        super().setUp()
        self.begun: list[Deferred[None]] = []
        self.outside: list[Deferred[None]] = []
        self.known = 0

    def tearDown(self) -> None:
        """
        Nobody waits any more: the garbage collector would resume them in another test.
        """
        while self.connections:
            self.hang_up()
        self.clock.pump([60.0] * 10)
        super().tearDown()

    def serve(self) -> None:
        """
        Serve the pages, and ``/slow``, ``/outside`` and ``/quick``.
        """

        async def slow(view: FarmView, asked: PageRequest) -> Reply:
            self.begun.append(Deferred())
            await self.begun[-1]
            return Reply(200, b"slow")

        async def outside(view: FarmView, asked: PageRequest) -> Reply:
            self.outside.append(Deferred())
            await asked.outside_turn(self.outside[-1])
            return Reply(200, b"outside")

        async def quick(view: FarmView, asked: PageRequest) -> Reply:
            await asked.outside_turn(succeed(None))
            return Reply(200, b"quick")

        pages = Pages(
            self.view,
            (
                *ROUTES,
                Route("/slow", slow, kept=0),
                Route("/outside", outside, kept=0),
                Route("/quick", quick, kept=0),
            ),
        )
        answer = pages._answer

        async def answer_known(*of: Any) -> Any:
            self.known += 1
            return await answer(*of)

        self.patch(pages, "_answer", answer_known)
        self.factory = make_factory(SiteRoot(pages.resource(), None), self.clock)
        self.factory.doStart()

    def hang_up(self, place: int = 0) -> None:
        """
        Close the connection at *place*, the oldest first.
        """
        self.connections.pop(place).connectionLost(Failure(ConnectionDone()))

    def ask(self, path: str) -> Any:
        """
        Ask for *path* on a new connection.
        """
        return self.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    def test_known(self) -> None:
        """
        Promise 10.10: of a thousand requests that wait for their turn, klein knows only some; all are answered in
        their order.
        """
        self.serve()
        answers = [self.ask("/slow") for _ in range(300)]
        self.assertEqual(self.known, MOST_ADMITTED // 2)
        ended = 0
        while ended < 300:
            for each in self.begun[ended:]:
                each.callback(None)
                ended += 1
            self.clock.advance(0)
            self.assertLessEqual(self.known, ended + MOST_ADMITTED // 2)
        self.assertTrue(all(each.value().endswith(b"slow") for each in answers))

    def test_outside(self) -> None:
        """
        Promise 10.10: what waits for the master or a file keeps nobody from being admitted.
        """
        self.serve()
        for _ in range(2 * MOST_ADMITTED):
            self.ask("/outside")
        self.assertEqual(len(self.outside), 2 * MOST_ADMITTED)
        self.assertIn(b"200 OK", self.ask("/quick").value())

    def test_gone(self) -> None:
        """
        Who hangs up while it waits is never known to klein; who hangs up in between gives its place on.
        """
        self.serve()
        half = MOST_ADMITTED // 2
        for _ in range(half + 20):
            self.ask("/slow")
        for _ in range(10):
            self.hang_up(half)
        for _ in range(5):
            self.hang_up()
        # The next have been chosen, and one of them is gone before it begins.
        self.hang_up(half - 5)
        self.clock.advance(0)
        self.clock.advance(0)
        self.assertEqual(self.known, half + 5)

    def test_memory(self) -> None:
        """
        Promise 10.10: what waits keeps its address once, of however many fields or segments it is made.
        """
        self.serve()
        for _ in range(MOST_ADMITTED):
            self.ask("/slow")
        for address in ("/slow?" + "a" * 6000, f"/slow?{_many('&')}", f"/slow/{_many('/')}"):
            with self.subTest(address=address[:10]):
                tracemalloc.start()
                self.addCleanup(tracemalloc.stop)
                for _ in range(100):
                    self.ask(address)
                self.assertLess(tracemalloc.get_traced_memory()[0] / 100, 6000 + 9000)
                tracemalloc.stop()

    def test_segments(self) -> None:
        """
        A path that has waited is split as one that has not.
        """
        self.serve()
        answers = [self.ask("/%73low") for _ in range(MOST_ADMITTED)]
        ended = 0
        while ended < len(self.begun):
            self.begun[ended].callback(None)
            self.clock.advance(0)
            ended += 1
        self.assertTrue(all(each.value().endswith(b"slow") for each in answers))

    def test_cheap(self) -> None:
        """
        Whether the process is well is told, and files of the pages are sent, however many wait.
        """
        self.serve()
        for _ in range(MOST_ADMITTED):
            self.ask("/slow")
        self.assertIn(b"200 OK", self.ask("/healthz").value())
        self.assertIn(b"404 Not Found", self.ask("/static/nothing.css").value())
