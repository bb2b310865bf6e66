"""
The script of live pages, in a real browser, at a server that refuses it for a while.
"""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import ClassVar

from ..needs import needs
from .browser_case import BrowserCase

PAGE = """<!doctype html><html lang="en" data-root="/"><head><meta charset="utf-8"><title>Live</title>
<link rel="icon" href="data:,"><script src="/live.js" defer></script></head>
<body><div id="stale" hidden><p>stale</p></div>
<p><b id="age" data-age="59.2">59 s</b><b data-left="1.5">, <b>1.5 s</b> left</b></p>
<main><section id="main" data-live>{}</section></main></body></html>"""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    refuses: ClassVar[set[str]] = set()
    status: ClassVar[int] = 503
    opened: ClassVar[int] = 0
    more: ClassVar[str] = ""


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        kind = "events" if self.path.endswith("/events") else "script" if self.path == "/live.js" else "page"
        if kind in _Server.refuses:
            self.answer(_Server.status, "text/plain", "")
        elif kind == "script":
            # The pauses are shorter here.
            text = files("buildbot_lite.web").joinpath("static", "live.js").read_text()
            self.answer(200, "text/javascript", text.replace("[5000, 10000, 20000, 60000]", "[50]"))
        elif kind == "events":
            _Server.opened += 1
            self.answer(200, "text/event-stream", "retry: 3600000\n\n: open\n\n")
        else:
            self.answer(200, "text/html", PAGE.format(f"{_Server.opened} opened{_Server.more}"))

    def answer(self, status: int, kind: str, text: str) -> None:
        """
        Send the whole answer.
        """
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base names it
        pass


@needs("chromium", "chromedriver")
class LiveScriptTests(BrowserCase):
    @classmethod
    def serve(cls) -> str:
        """
        Serve one page and its stream.
        """
        server = _Server(("127.0.0.1", 0), _Answers)
        cls.addClassCleanup(server.server_close)
        cls.addClassCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/"

    def setUp(self) -> None:
        """
        Count the streams of each test.
        """
        super().setUp()
        _Server.opened = 0

    def test_refused(self) -> None:
        """
        A page whose stream is refused says that it is not live, opens another, and is made anew then; also when the
        page itself is refused meanwhile.
        """
        _Server.refuses.add("events")
        browser = self.browser.open()
        browser.until(lambda: browser.one("#stale").is_displayed(), "the notice is there")
        self.assertEqual(browser.one("#main").text, "0 opened")
        _Server.refuses.add("page")
        _Server.refuses.discard("events")
        browser.until(lambda: _Server.opened > 0, "another stream is open")
        _Server.refuses.discard("page")
        browser.until(lambda: browser.one("#main").text != "0 opened", "the page is made anew")

    def test_focus(self) -> None:
        """
        What has the focus keeps it when its part of the page is replaced, so that Tab goes on from there.
        """
        _Server.more = (
            '<a href="#x">one</a><a href="#x">again</a><details id="d"><summary>more</summary></details>'
            '<form id="f"><button name="do" value="a">a</button><button name="do" value="b">b</button></form>'
        )
        self.addCleanup(setattr, _Server, "more", "")
        for place in range(5):
            with self.subTest(place=place):
                _Server.refuses.add("events")
                _Server.opened = 0
                self.browser.open()
                self.browser.run("document.querySelectorAll('#main a, summary, button')[arguments[0]].focus()", place)
                _Server.refuses.discard("events")
                self.browser.until(lambda: not self.browser.one("#main").text.startswith("0 "), "the page is made anew")
                script = (
                    "return [...document.querySelectorAll('#main a, summary, button')].indexOf(document.activeElement)"
                )
                self.assertEqual(self.browser.run(script), place)

    def test_scrolled(self) -> None:
        """
        A part of the page that somebody scrolled stays there when it is replaced.
        """
        _Server.more = (
            '<pre id="pre" style="max-height: 50px; overflow: auto; white-space: pre">'
            f"{'<br>'.join(['wide ' * 200] * 50)}</pre>"
        )
        self.addCleanup(setattr, _Server, "more", "")
        _Server.refuses.add("events")
        browser = self.browser.open()
        browser.run("document.getElementById('pre').scrollTo(30, 40)")
        _Server.refuses.discard("events")
        browser.until(lambda: not browser.one("#main").text.startswith("0 "), "the page is made anew")
        script = "const {scrollLeft, scrollTop} = document.getElementById('pre'); return [scrollLeft, scrollTop];"
        self.assertEqual(browser.run(script), [30, 40])

    def test_session_ends(self) -> None:
        """
        When the session ends with which a page was loaded, what it shows goes, and what the server says then comes.
        """
        self.addCleanup(setattr, _Server, "status", _Server.status)
        self.addCleanup(_Server.refuses.clear)
        _Server.status = 401
        _Server.refuses.add("events")
        browser = self.browser.open()
        browser.one("#main")
        _Server.refuses.add("page")
        browser.until(lambda: not browser.all("#main"), "the page is loaded anew")

    def test_ages(self) -> None:
        """
        What goes on grows older while the page stays as it is; what should have ended is not expected any more.
        """
        browser = self.browser.open()
        browser.until(lambda: _Server.opened > 0, "the stream is open")
        browser.until(lambda: " m " in browser.one("#age").text, "a minute has passed")
        left = browser.one("[data-left]")
        browser.until(lambda: not left.is_displayed(), "nothing is left of the time")
