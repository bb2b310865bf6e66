"""
The requests of tests that are sent again.
"""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from twisted.trial.unittest import SynchronousTestCase

from .asking_again import got, opened, unless_busy
from .browser.crawling import crawl


class _Busy(BaseHTTPRequestHandler):
    """
    A page that is not there before the third request; ``/down`` says no time to come again, ``/busy`` is so for ever.
    """

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        there = self.path not in {"/down", "/busy"} and self.asked.count(self.path) > 2
        self.send_response(200 if there else 503)
        if self.path != "/down":
            self.send_header("Retry-After", "0.02")
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"here" if there else b"later")

    def log_message(self, *_arguments: Any) -> None:
        pass


class AskingAgainTests(SynchronousTestCase):
    """
    A web process that has no time.
    """

    def setUp(self) -> None:
        super().setUp()
        _Busy.asked.clear()
        server = ThreadingHTTPServer(("127.0.0.1", 0), _Busy)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.port = server.server_port
        self.address = f"http://127.0.0.1:{self.port}/"

    def test_again(self) -> None:
        """
        It is asked until it has time; a crawl that begins then finds its pages, and nothing broken.
        """
        self.assertEqual(got(self.port, "/a").text, "here")
        self.assertEqual(opened(f"{self.address}b").text, "here")
        found = crawl(self.address)
        self.assertEqual(([each.path for each in found.pages], found.broken), ([""], []))
        self.assertEqual(_Busy.asked, [*("/a",) * 3, *("/b",) * 3, *("/",) * 3])

    def test_bounds(self) -> None:
        """
        Not where the answer does not say when; and not for ever.
        """
        self.assertEqual((opened(f"{self.address}down").status, _Busy.asked), (503, ["/down"]))
        busy = got(self.port, "/down")
        busy.headers["Retry-After"] = "1000"
        self.assertEqual(unless_busy(lambda: busy, longest=0.05).status, 503)
