"""
The HTTP steps: a row for each argument, and requests to a real server.
"""

from typing import Any

from twisted.internet import reactor as _reactor  # noqa: TID251 - a real server
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from buildbot_lite.errors import ConfigError
from buildbot_lite.http_client import LARGEST_ANSWER, MOST_RECEIVED, HttpClient
from buildbot_lite.master.steps import http_step
from buildbot_lite.model.http_request import METHODS, HttpAnswer, HttpRequest
from buildbot_lite.model.results import Result
from buildbot_lite.plugins import steps, util
from buildbot_lite.testing import Finished, replay, run

REACTOR: Any = _reactor
URL = "https://example.org/builds"
FINE = {URL: HttpAnswer(201, [["Server", "s"], ["Set-Cookie", "sid=1"]], "done\n")}


def sent(step: Any, **more: Any) -> HttpRequest:
    """
    The request of *step*.
    """
    (request,) = run(step, pages=FINE, **more).requests
    return request


class HttpStepTests(SynchronousTestCase):
    """
    Promise 8.6: HTTP requests of steps.
    """

    def test_arguments(self) -> None:
        """
        What each argument makes of the request.
        """
        form = [["a", "1"], ["a", "2"], ["b", "x y"]]
        rows: list[tuple[dict[str, Any], dict[str, Any]]] = [
            ({}, {"method": "POST", "url": URL, "body": None, "form": None, "timeout": 60.0, "follows": True}),
            ({"method": "OPTIONS"}, {"method": "OPTIONS"}),
            ({"params": {"a": [1, "2"], "b": "x y", "c": None}}, {"params": form}),
            ({"data": {"a": [1, 2], "b": util.Interpolate("x y")}}, {"form": form, "body": None}),
            ({"data": "text"}, {"body": "text", "form": None, "headers": {}}),
            ({"json": {"b": [True]}}, {"body": '{"b":[true]}', "headers": {"Content-Type": "application/json"}}),
            ({"json": 1, "headers": {"content-type": "x"}}, {"body": "1", "headers": {"content-type": "x"}}),
            ({"headers": {"X-A": 3}}, {"headers": {"X-A": "3"}}),
            ({"cookies": {"a": "1", "b": "2"}}, {"headers": {"Cookie": "a=1; b=2"}}),
            ({"auth": ("me", "pw")}, {"auth": ["me", "pw"]}),
            ({"timeout": 5}, {"timeout": 5.0}),
            ({"allow_redirects": False}, {"follows": False}),
            ({"method": "HEAD"}, {"follows": False}),
            ({"method": "HEAD", "allow_redirects": True}, {"follows": True}),
            ({"verify": True}, {"url": URL}),
        ]
        for given, expected in rows:
            with self.subTest(given):
                request = sent(steps.HTTPStep(URL, **given))
                self.assertEqual({name: getattr(request, name) for name in expected}, expected)
        for name in ("POST", "GET", "PUT", "DELETE", "HEAD", "OPTIONS"):
            self.assertEqual(sent(getattr(steps, name)(url=URL)).method, name)

    def test_secrets(self) -> None:
        """
        Secrets are put in when the request is sent; no log has them, also when the server repeats them.
        """
        step = steps.PUT(
            URL,
            data={"key": util.Secret("token")},
            headers={"X-Token": util.Interpolate("t %(secret:token)s"), "X-Own": "own", "X-Shown": "shown"},
            auth=("me", util.Secret("token")),
            hide_request_headers=["x-own"],
            hide_response_headers=["Server"],
        )
        echo = HttpAnswer(
            200, [["Server", "s"], ["X-Echo", "hunter 22"], ["Set-Cookie", "sid=1"]], "you said hunter 22"
        )
        ran = replay(step, pages={URL: echo}, secrets={"token": "hunter 22"})
        request = ran.requests[0]
        self.assertEqual((request.form, request.auth), ([["key", "hunter 22"]], ["me", "hunter 22"]))
        self.assertEqual(request.headers["X-Token"], "t hunter 22")
        self.assertNotIn("hunter", repr((ran.logs, ran.remarks, ran.summary)))
        self.assertEqual(
            ran.log("log"),
            f"PUT {URL}\nX-Token: <HIDDEN>\nX-Own: <HIDDEN>\nX-Shown: shown\nAuthorization: <HIDDEN>\n\n"
            "Status: 200\nServer: <HIDDEN>\nX-Echo: *********\nSet-Cookie: <HIDDEN>\n",
        )
        self.assertEqual(ran.log("content"), "you said *********")

    def test_result(self) -> None:
        """
        A status of 400 or more is a failure, and so is no answer.
        """
        for answer, result, summary in [
            (HttpAnswer(200), Result.SUCCESS, "Status code: 200"),
            (HttpAnswer(302), Result.SUCCESS, "Status code: 302"),
            (HttpAnswer(400), Result.FAILURE, "Status code: 400"),
            (HttpAnswer(503), Result.FAILURE, "Status code: 503"),
            (HttpAnswer(error="refused"), Result.FAILURE, f"GET {URL}: refused"),
        ]:
            ran = replay(steps.GET(URL), pages={URL: answer})
            self.assertEqual((ran.result, ran.summary), (result, summary))

    def test_restarts(self) -> None:
        """
        What was answered is not asked again; a request that a restart interrupted is repeated only if that is harmless.
        """
        for name in ("GET", "PUT", "DELETE", "HEAD", "OPTIONS"):
            replay(getattr(steps, name)(URL), pages=FINE)
        error = self.assertRaises(AssertionError, replay, steps.POST(URL), pages=FINE)
        self.assertIn("whether it happened is unknown, and it is not repeated", str(error))

    def test_mistakes(self) -> None:
        """
        What could not be sent, or would show a password.
        """
        rows: list[tuple[dict[str, Any], str]] = [
            ({}, "url"),
            ({"url": "ftp://h/"}, "an address like"),
            ({"url": "https://h/\r\nX: y"}, "an address like"),
            ({"url": "https://h:99999/"}, "an address like"),
            ({"url": "https://me:swordfish@h/"}, "use auth="),
            ({"url": URL, "method": "PATCH"}, "method"),
            ({"url": URL, "headers": {"a b": "c"}}, "not a valid header"),
            ({"url": URL, "headers": {"a": "b\nc"}}, "not a valid header"),
            ({"url": URL, "headers": "a"}, "a dictionary"),
            ({"url": URL, "data": "a", "json": 1}, "exclude each other"),
            ({"url": URL, "data": 3}, "text"),
            ({"url": URL, "json": {1, 2}}, "JSON"),
            ({"url": URL, "auth": "swordfish"}, "must be a pair"),
            ({"url": URL, "timeout": 0}, "timeout"),
            ({"url": URL, "timeout": 4000}, "timeout"),
            ({"url": URL, "verify": False}, "verify must be True"),
            ({"url": URL, "proxies": {}}, "proxies"),
        ]
        for given, sentence in rows:
            with self.subTest(given):
                error = self.assertRaises(ConfigError, steps.HTTPStep, **given)
                self.assertIn(sentence, str(error))
                self.assertNotIn("'swordfish'", str(error))

    def test_unknown_secret(self) -> None:
        """
        Without the secret nothing is sent.
        """
        ran: Finished = run(steps.GET(URL, headers={"X": util.Secret("none")}), pages=FINE)
        self.assertEqual((ran.result, ran.requests), (Result.EXCEPTION, ()))


class _Page(Resource):
    isLeaf = True

    def __init__(self, seen: list[tuple[Any, ...]]) -> None:
        super().__init__()
        self._seen = seen

    def render(self, request: Any) -> Any:
        auth = request.getHeader(b"authorization")
        self._seen.append((request.method, request.uri, request.getHeader(b"x-own"), auth, request.content.read()))
        if request.path == b"/never":
            return NOT_DONE_YET
        if request.path == b"/big":
            return b"x" * (2 * LARGEST_ANSWER)
        if request.path == b"/away":
            request.redirect(b"http://localhost:%d/there" % request.getHost().port)
        return b"" if request.method == b"HEAD" else "schön".encode()


class _Chatter(Protocol):
    """
    Answers with headers, without an end.
    """

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.write(b"HTTP/1.1 200 OK\r\n")
        transport.registerProducer(self, False)

    def resumeProducing(self) -> None:
        """
        Write some more.
        """
        transport: Any = self.transport
        transport.write(b"X-More: " + b"x" * 1000 + b"\r\n")

    def stopProducing(self) -> None:
        """
        Nothing: the connection is lost.
        """


class HttpClientTests(TestCase):
    """
    Promise 8.6: requests to a real server.
    """

    def setUp(self) -> None:
        self.seen: list[tuple[Any, ...]] = []
        port = REACTOR.listenTCP(0, Site(_Page(self.seen)), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.url = f"http://127.0.0.1:{port.getHost().port}"
        self.client = HttpClient(REACTOR)

    async def ask(self, path: str, method: str = "GET", **more: Any) -> HttpAnswer:
        """
        The answer.
        """
        return await self.client.ask(HttpRequest(method=method, url=self.url + path, **more))

    def test_requests(self) -> Deferred[None]:
        """
        Parameters, forms, texts and authentication arrive; the answer comes whole.
        """

        async def test() -> None:
            answer = await self.ask("/a?b=1#c", params=[["d", "e f"], ["d", "é"]], auth=["me", "pw"])
            self.assertEqual((answer.status, answer.body, answer.error), (200, "schön", ""))
            self.assertIn(["Content-Type", "text/html"], [list(pair) for pair in answer.headers])
            await self.ask("/a", "POST", form=[["k", "v w"]])
            await self.ask("/a", "PUT", body="tëxt", headers={"X-Own": "1"})
            self.assertEqual((await self.ask("/a", "HEAD")).body, "")
            self.assertEqual(
                self.seen,
                [
                    (b"GET", b"/a?b=1&d=e+f&d=%C3%A9", None, b"Basic bWU6cHc=", b""),
                    (b"POST", b"/a", None, None, b"k=v+w"),
                    (b"PUT", b"/a", b"1", None, "tëxt".encode()),
                    (b"HEAD", b"/a", None, None, b""),
                ],
            )

        return Deferred.fromCoroutine(test())

    def test_bounds(self) -> Deferred[None]:
        """
        A large answer is cut, and one that does not come is an error.
        """

        async def test() -> None:
            self.assertEqual(len((await self.ask("/big")).body), LARGEST_ANSWER)
            self.assertEqual((await self.ask("/never", timeout=0.2)).error, "no answer within 0.2 s")
            nowhere = await self.client.ask(HttpRequest("GET", "http://127.0.0.1:1/"))
            self.assertIn("ConnectionRefusedError", nowhere.error)

        return Deferred.fromCoroutine(test())

    def test_endless_headers(self) -> Deferred[None]:
        """
        A server whose headers never end is left; nothing keeps what it sent.
        """

        async def test() -> None:
            port = REACTOR.listenTCP(0, Factory.forProtocol(_Chatter), interface="127.0.0.1")
            self.addCleanup(port.stopListening)
            self.url = f"http://127.0.0.1:{port.getHost().port}"
            answer = await self.ask("/", timeout=30)
            self.assertEqual((answer.status, answer.headers), (0, ()))
            self.assertEqual(answer.error, f"the server sent more than {MOST_RECEIVED} bytes")

        return Deferred.fromCoroutine(test())

    def test_redirections(self) -> Deferred[None]:
        """
        To another host goes neither a header of the step nor its password; without follows, nothing goes there.
        """

        async def test() -> None:
            more: dict[str, Any] = {"headers": {"X-Own": "1"}, "auth": ["me", "pw"]}
            self.assertEqual((await self.ask("/away", **more)).status, 200)
            self.assertEqual([each[1:4] for each in self.seen[1:]], [(b"/there", None, None)])
            self.assertEqual((await self.ask("/away", follows=False, **more)).status, 302)
            self.assertEqual(len(self.seen), 3)

        return Deferred.fromCoroutine(test())

    def test_all_named(self) -> None:
        """
        Each method has a class.
        """
        self.assertEqual(sorted(http_step.__all__), sorted([*METHODS, "HTTPStep"]))
