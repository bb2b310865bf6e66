"""
What strangers may send over HTTP: each form gets one answer, and none a line in the log.
"""

import json
from collections.abc import Mapping
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.logger import LogEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.web.api.definitions import BASE
from buildbot_lite.web.api.problems import PROBLEM, problem
from buildbot_lite.web.page_request import takes_gzip
from buildbot_lite.web.serving.http_channel import origin_form
from buildbot_lite.web.serving.rooms import LARGEST_FORM
from buildbot_lite.web.serving.site import SILENCE

from .pages_case import PagesCase, received

HOST = b"Host: localhost\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
FORM = b"code=1234"


def get(target: bytes = b"/healthz", headers: bytes = b"", *, method: bytes = b"GET", version: bytes = b"1.1") -> bytes:
    """
    A request without a body.
    """
    return method + b" " + target + b" HTTP/" + version + b"\r\n" + HOST + headers + b"\r\n"


def post(headers: bytes, body: bytes = FORM, *, version: bytes = b"1.1") -> bytes:
    """
    A request with a body, whose length is in *headers*.
    """
    return get(b"/enter", headers, method=b"POST", version=version) + body


REFUSED: Mapping[bytes, int] = {
    # Two lengths, or one that a proxy might understand in another way.
    post(b"Content-Length: 9\r\n" + CHUNKED): 400,
    post(CHUNKED + b"Content-Length: 9\r\n"): 400,
    post(b"Content-Length: 9\r\nContent-Length: 9\r\n"): 400,
    post(b"Content-Length: 9, 9\r\n"): 400,
    post(b"Content-Length: +9\r\n"): 400,
    post(b"Content-Length: -9\r\n"): 400,
    post(b"Content-Length:\r\n"): 400,
    post(b"Content-Length : 9\r\n"): 400,
    post(b"Content-Length: " + b"9" * 5000 + b"\r\n"): 413,
    post(b"Transfer-Encoding: identity\r\nContent-Length: 9\r\n"): 400,
    post(CHUNKED * 2, b"0\r\n\r\n"): 400,
    post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"): 400,
    post(b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n"): 400,
    post(b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n"): 400,
    post(CHUNKED, b"0\r\n\r\n", version=b"1.0"): 400,
    post(CHUNKED, b"-1\r\nx\r\n0\r\n\r\n"): 400,
    post(CHUNKED, b"0x1\r\nx\r\n0\r\n\r\n"): 400,
    post(CHUNKED, b"f" * 5000 + b"\r\n"): 400,
    post(CHUNKED, b"1;" + b"a" * 20000 + b"\r\n"): 400,
    # Trailers, of which each line would take memory.
    post(CHUNKED, b"9\r\ncode=1234\r\n0\r\nX: a\r\n\r\n"): 400,
    post(CHUNKED, b"0\r\n" + b"a\r\n" * 600): 400,
    # Two names of this server.
    get(headers=b"Host: evil.example\r\n"): 400,
    get(headers=b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n"): 400,
    b"GET /healthz HTTP/1.1\r\nHost: evil.example@localhost\r\n\r\n": 421,
    b"GET / HTTP/1.1\r\nHost: evil.example@localhost\r\n\r\n": 421,
    b"GET / HTTP/1.1\r\nHost: \xff\xfe\r\n\r\n": 421,
    get(b"http://evil.example/"): 421,
    # Too much of a head, or none.
    get(b"/" + b"a" * 20000): 414,
    get(headers=b"X: " + b"a" * 20000 + b"\r\n"): 431,
    get(headers=b"".join(b"X%d: a\r\n" % number for number in range(501))): 400,
    get(headers=b"X: a\x00b\r\n"): 400,
    get(headers=b"X\r\n"): 400,
    get(headers=b": x\r\n"): 400,
    b"GET / HTTP/1.1\r\n Host: localhost\r\n\r\n": 400,
    b"GET /\r\n\r\n": 400,
    b"GET / HTTP/2.0\r\n\r\n": 400,
    b"G\xffT / HTTP/1.1\r\n\r\n": 400,
    get(b"/a\x00b"): 400,
    get(b"/\xff"): 400,
    # What is nothing here.
    get(method=b"post"): 501,
    get(method=b"TRACE"): 405,
    get(b"localhost:80", method=b"CONNECT"): 404,
    get(b"/%2e%2e/%2e%2e/etc/passwd"): 404,
    get(b"/static/..%2f..%2fpages.py"): 404,
    get(b"/builders/a%00b"): 404,
    get(b"/builders/%ed%a0%80"): 404,
    get(b"//evil.example/"): 404,
}


class HostileRequestsTests(PagesCase):
    def setUp(self) -> None:
        super().setUp()
        self.events: list[LogEvent] = []
        observer: Any = self.events.append
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def hang_up(self) -> None:
        """
        All clients are gone.
        """
        for each in self.connections:
            each.connectionLost(Failure(ConnectionDone()))
        self.connections.clear()

    def test_one_answer(self) -> None:
        """
        Promise 10.7: what is no proper request gets one answer that says so, whatever follows it, and is no line in the
        log, also when its client hangs up.
        """
        for request, status in REFUSED.items():
            transport = self.send(request)
            self.connections[-1].dataReceived(get())
            answers = transport.value()
            self.assertEqual(received(answers).status, status, request[:200])
            if status in {400, 413, 414, 431}:
                self.assertTrue(transport.disconnecting, request[:200])
                self.assertEqual(answers.count(b"HTTP/1.1 4"), 1, answers)
            self.hang_up()
        self.assertEqual(self.events, [])

    def test_long_address(self) -> None:
        """
        Promise 10.7: the refusal of an address that is too long is a document below the API, and a sentence elsewhere.
        """
        long = f"{BASE}/builds?builder={'a' * 20000}".encode()
        for target in (long, b"http://localhost:8010" + long):
            answer = received(self.send(get(target)).value())
            self.assertEqual(answer.headers["content-type"], PROBLEM)
            expected = json.loads(problem(414, "This address is too long.").body)
            self.assertEqual((answer.status, json.loads(answer.body)), (414, expected))
        answer = received(self.send(get(b"/builds?builder=" + b"a" * 20000)).value())
        self.assertEqual(answer.headers["content-type"], "text/plain; charset=utf-8")
        self.assertEqual((answer.status, answer.body), (414, b"This address is too long.\n"))

    def test_documents(self) -> None:
        """
        Promise 10.5: whatever is refused below the API is refused with a document that has the status and a sentence,
        by whichever part of the program; elsewhere with a sentence.
        """
        refused = {
            request.replace(b"/enter", b"/api/v1/enter", 1).replace(b"/healthz", b"/api/v1/farm", 1): status
            for request, status in REFUSED.items()
            if b"/enter" in request or b"/healthz" in request
        }
        refused[get(f"{BASE}/builders/%ff".encode())] = 404
        refused[get(b"/%61p%69/v1/nothing")] = refused[get(b"http://localhost:8010/%61pi/v1/nothing")] = 404
        # A request line is one of the API's as far as it says so.
        for line in (
            b"GET /api/v1/farm",
            b"GET /api/v1/farm ",
            b"GET /%61pi/v1/farm FTP/1.1",
            b"GET /api/v1/a b HTTP/1.1",
        ):
            refused[line + b"\r\n\r\n"] = 400
        self.assertGreater(len(refused), 25)
        for request, status in refused.items():
            answer = received(self.send(request).value())
            self.assertEqual((answer.status, answer.headers.get("content-type")), (status, PROBLEM), request[:200])
            document = json.loads(answer.body)
            self.assertEqual((document["status"], document["detail"][-1:]), (status, "."), request[:200])
        for elsewhere in (get(headers=b"X\r\n"), b"GET /builders\r\n\r\n", b"/api/ /builders HTTP/1.1\r\n\r\n"):
            answer = received(self.send(elsewhere).value())
            self.assertEqual(answer.headers["content-type"], "text/plain; charset=utf-8")
            self.assertTrue(answer.body.endswith(b".\n"))

    def test_accepted(self) -> None:
        """
        Odd forms that mean one thing only are answered: names with a port, a final dot or in capitals, an address with
        the name in it, folded headers, many cookies and proxies.
        """
        for headers in (
            b"Host: LocalHost.:80\r\n",
            b"Host: [::1]:8010\r\n",
            b"Host: 127.0.0.1\r\n",
            b"",
            b"Host: localhost\r\nX: a\r\n b\r\n",
            b"Host: localhost\r\nCookie: " + b"; ".join(b"a%d=b" % number for number in range(1500)) + b"\r\n",
            b"Host: localhost\r\n" + b"Cookie: farm-session=aaaaaaaaaaaaaaaa\r\n" * 300,
            b"Host: localhost\r\nCookie: \xff;;;===,\x01\r\n",
            b"Host: localhost\r\nX-Forwarded-For: " + b",".join([b"192.0.2.1"] * 1500) + b"\r\n",
            b"Host: localhost\r\nRange: bytes=" + b",".join([b"0-1"] * 3000) + b"\r\n",
        ):
            transport = self.send(b"GET /builds HTTP/1.1\r\n" + headers + b"\r\n")
            self.assertEqual(received(transport.value()).status, 200, headers[:100])
        self.assertEqual(received(self.send(get(b"HTTP://localhost/builds?x=1")).value()).status, 200)
        # The host of the target counts, whatever the header says.
        self.assertEqual(received(self.send(get(b"http://localhost?", b"")).value()).status, 200)
        self.hang_up()
        self.assertEqual(self.events, [])

    def test_pipelined(self) -> None:
        """
        A thousand requests at once are answered one after the other, also those that are refused at once.
        """
        for target, status in ((b"/healthz", b" 200 "), (b"http://evil.example/", b" 421 ")):
            transport = self.send(get(target) * 1000)
            self.assertEqual(transport.value().count(b"HTTP/1.1" + status), 1000)

    def test_silent(self) -> None:
        """
        A client that sends nothing, or a part of a request, is cut without a line in the log.
        """
        for part in (
            b"",
            b"GET / HT",
            b"GET / HTTP/1.1\nHost: localhost\n\n",
            b"\x16\x03\x01\x02\x00",
            post(CHUNKED, b"f"),
        ):
            transport = self.send(part)
            self.clock.advance(SILENCE + 1)
            self.assertTrue(transport.disconnecting, part)
            self.hang_up()
        self.assertEqual(self.events, [])

    def test_large_body(self) -> None:
        """
        A webhook may have a larger body than other requests, however its address is written.
        """
        for target, status in (
            (b"/change_hook/github", 404),
            (b"http://localhost/change_hook/github", 404),
            (b"/change_hoo%6b/github", 404),
            (b"/enter", 400),
        ):
            body = b"x" * (LARGEST_FORM + 1)
            transport = self.send(get(target, b"Content-Length: %d\r\n" % len(body), method=b"POST"))
            self.connections[-1].dataReceived(body[:-1])
            room = self.factory.rooms.hooks if b"change_hook" in target else self.factory.rooms.forms
            self.assertEqual(room.held, LARGEST_FORM)
            self.connections[-1].dataReceived(body[-1:])
            self.assertEqual(received(transport.value()).status, status)
            self.assertEqual(room.held, 0)


class FormsTests(SynchronousTestCase):
    def test_origin_form(self) -> None:
        """
        Of the address in a request, the host and the rest (RFC 9112, 3.2.2).
        """
        for target, parts in {
            b"/a?b=http://c/": (None, b"/a?b=http://c/"),
            b"*": (None, b"*"),
            b"http://a/b": (b"a", b"/b"),
            b"HTTPS://a:1?b": (b"a:1", b"/?b"),
            b"http:///b": (b"", b"/b"),
        }.items():
            self.assertEqual(origin_form(target), parts)

    def test_gzip(self) -> None:
        """
        The answer is compressed for who takes gzip (RFC 9110, 12.5.3).
        """
        for header in ("gzip", "br, GZIP;q=0.5", "*", "gzip;q=1, *;q=0", "deflate,gzip ; q=0.001"):
            self.assertTrue(takes_gzip(header), header)
        for header in ("", "br", "gzip;q=0", "gzip; q=0.000", "*;q=0", "*, gzip;q=0", "gzipped", "," * 99 + "gzip"):
            self.assertFalse(takes_gzip(header), header)
