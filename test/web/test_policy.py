"""
Names of the server, forwarded headers, and the headers of every answer.
"""

from collections.abc import Callable, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.model.results import Result
from buildbot_lite.storage.records import streams
from buildbot_lite.web.dispatcher import Pages
from buildbot_lite.web.root import SiteRoot
from buildbot_lite.web.routes import ROUTES
from buildbot_lite.web.serving import site
from buildbot_lite.web.serving.body_room import BodyRoom
from buildbot_lite.web.serving.policy import (
    ARTIFACT_HEADERS,
    MOST_HOPS,
    PAGE_HEADERS,
    WebPolicy,
    WebVisitor,
    host_name,
    is_loopback_name,
    split_url,
)
from buildbot_lite.web.serving.site import make_factory

from .pages_case import CONTROL, PagesCase
from .test_pages import a_build

URL = "https://farm.example.org:8443/ci/"
PROXY = "10.0.0.1"
POLICY = WebPolicy.of({"url": URL, "proxies": [PROXY, "10.2.0.0/16", "2001:db8::/64"]}, "192.0.2.7")


class HostTests(SynchronousTestCase):
    def test_names(self) -> None:
        """
        The name in a Host header is compared without port, brackets, case and final dot.
        """
        for host, name in {
            "Farm.Example.org:8010": "farm.example.org",
            "farm.example.org.": "farm.example.org",
            "[::1]:8010": "::1",
            "::1": "::1",
            "127.0.0.1:8010": "127.0.0.1",
            "me:secret@farm.example.org": "farm.example.org",
            "": "",
            "[": "",
        }.items():
            self.assertEqual(host_name(host), name, host)

    def test_loopback_names(self) -> None:
        """
        Names of the loopback interface are those that no DNS can change.
        """
        for name in ("localhost", "farm.localhost", "127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"):
            self.assertTrue(is_loopback_name(name), name)
        for name in ("localhost.example.org", "127.0.0.1.example.org", "notlocalhost", "10.0.0.1", "0.0.0.0", ""):
            self.assertFalse(is_loopback_name(name), name)

    def test_accepted(self) -> None:
        """
        Promise 10.7: pages are shown to who names the host of c['buildbotURL'], the loopback interface, an IP address,
        or nothing; another name is refused, with a sentence for the admin.
        """
        for host in (
            *("farm.example.org", "FARM.example.org:8443", "localhost:8010", "127.0.0.1:8010", "[::1]:8010"),
            *("192.0.2.7:8010", "198.51.100.1", "[2001:db8::1]:8010", ""),
        ):
            self.assertIsNone(POLICY.why_refused(POLICY.visitor("192.0.2.1", {"host": host})), host)
        for host in ("evil.example", "farm.example.org.evil.example", "farm.example", "localhost,farm.example.org"):
            sentence = POLICY.why_refused(POLICY.visitor("127.0.0.1", {"host": host}))
            self.assertIn("sets c['buildbotURL'] in master.cfg", sentence or "", host)
        shown = POLICY.why_refused(POLICY.visitor("127.0.0.1", {"host": "\u202eevil" + "x" * 9000})) or ""
        self.assertTrue(shown.isprintable() and len(shown) < 400)

    def test_interface(self) -> None:
        """
        A name at which the process listens is accepted.
        """
        policy = WebPolicy.of({}, "build.example")
        self.assertIsNone(policy.why_refused(policy.visitor("192.0.2.1", {"host": "build.example:8010"})))

    def test_damaged(self) -> None:
        """
        What a master of another version tells in another form is left out.
        """
        for told in ({"url": 7, "proxies": "10.0.0.1"}, {"url": "http://[", "proxies": [7, None, "what?"]}, {}):
            self.assertEqual(WebPolicy.of(told, "").names, frozenset())
        self.assertEqual(WebPolicy.of({"proxies": "10.0.0.1"}, "").proxies, ())


class ForwardedTests(SynchronousTestCase):
    def visitor(self, peer: str, **headers: str) -> WebVisitor:
        """
        The visitor with these headers, whose names have "_" for "-".
        """
        return POLICY.visitor(peer, {name.replace("_", "-"): value for name, value in headers.items()})

    def test_believed(self) -> None:
        """
        Promise 10.7: the address and TLS are those that a named proxy tells, but not the host: most proxies pass on
        what their clients send.
        """
        self.assertEqual(
            self.visitor(
                PROXY,
                host="farm.example.org",
                x_forwarded_for="192.0.2.9",
                x_forwarded_host="localhost",
                x_forwarded_proto="https",
            ),
            WebVisitor("192.0.2.9", "farm.example.org", secure=True),
        )
        self.assertEqual(
            self.visitor("10.2.3.4", host="x", x_forwarded_for="[2001:db8:1::9]:77").address, "2001:db8:1::9"
        )
        self.assertEqual(self.visitor("::ffff:10.0.0.1", x_forwarded_for="192.0.2.9").address, "192.0.2.9")
        self.assertFalse(self.visitor(PROXY, x_forwarded_proto="http").secure)

    def test_not_believed(self) -> None:
        """
        Promise 10.7: what another peer sends in these headers counts for nothing.
        """
        forged = {"x_forwarded_for": "127.0.0.1", "x_forwarded_host": "localhost", "x_forwarded_proto": "https"}
        for peer in ("192.0.2.9", "10.0.0.2"):
            self.assertEqual(
                self.visitor(peer, host="evil.example", **forged), WebVisitor(peer, "evil.example", secure=False)
            )

    def test_chain(self) -> None:
        """
        Of several addresses, the last that is no proxy's is the visitor's: those before it are its own invention.
        """
        for hops, address in {
            "127.0.0.1, 192.0.2.9": "192.0.2.9",
            "1.1.1.1, 192.0.2.9, 10.2.0.9": "192.0.2.9",
            "10.2.0.9": "10.2.0.9",
            "": PROXY,
            " , 192.0.2.9, ": "192.0.2.9",
            "192.0.2.9, unknown": "",
            ",".join(["192.0.2.9", *["10.2.0.9"] * MOST_HOPS]): "10.2.0.9",
        }.items():
            self.assertEqual(self.visitor(PROXY, x_forwarded_for=hops).address, address, hops[:40])
        self.assertFalse(self.visitor(PROXY, x_forwarded_proto="https, http").secure)

    def test_origin(self) -> None:
        """
        Promise 10.7: pages of ours are at the host and port that were asked for, or at c['buildbotURL'], and nowhere
        else.
        """
        visitor = self.visitor(PROXY, host="farm.example.org", x_forwarded_host="evil.example")
        for origin, is_ours in {
            "https://farm.example.org:8443": True,
            "https://FARM.example.org": True,
            "http://farm.example.org:80": True,
            "https://farm.example.org:8444": False,
            "http://farm.example.org:8443": False,
            "https://evil.example": False,
            "https://evil.example@farm.example.org": False,
            "ftp://farm.example.org": False,
            "https://farm.example.org:x": False,
            "null": False,
            "": False,
        }.items():
            self.assertIs(visitor.is_at(origin), is_ours, origin)
        self.assertFalse(WebPolicy().visitor("127.0.0.1", {}).is_at("null"))

    def test_long_urls(self) -> None:
        """
        Promise 10.10: of a URL that is longer than any of ours, nothing is remembered.
        """
        remembered: Any = urlsplit
        before = remembered.cache_info().misses
        for number in range(10):
            self.assertEqual(split_url(f"http://localhost/{number}{'a' * 6000}").path, "")
        self.assertLessEqual(remembered.cache_info().misses, before + 1)

    def test_secure(self) -> None:
        """
        Without TLS only a visitor of this machine is safe from readers between, and not one whom an unnamed proxy of
        this machine passes on.
        """
        cases: Mapping[bool, tuple[tuple[str, dict[str, str]], ...]] = {
            True: (("127.0.0.1", {"host": "localhost:8010"}), ("::1", {"host": "[::1]"}), ("127.0.0.1", {})),
            False: (
                ("192.0.2.9", {"host": "localhost"}),
                ("127.0.0.1", {"host": "farm.example.org"}),
                ("127.0.0.1", {"host": "127.0.0.1:8010", "x_forwarded_for": "192.0.2.9"}),
                (PROXY, {"host": "localhost", "x_forwarded_for": "127.0.0.1, 192.0.2.9"}),
                ("", {"host": "localhost"}),
            ),
        }
        for secure, visitors in cases.items():
            for peer, headers in visitors:
                self.assertIs(self.visitor(peer, **headers).secure, secure, (peer, headers))


class PolicyTests(PagesCase):
    """
    The policy at the root of the site.
    """

    def setUp(self) -> None:
        """
        A site with a policy, whose pages tell who visits.
        """
        super().setUp()
        self.policy = WebPolicy()
        self.factory = make_factory(
            SiteRoot(Pages(self.view, ROUTES).resource(), None, lambda: self.policy), self.clock
        )
        self.factory.doStart()

    def check_headers(self, answer: Any) -> None:
        """
        Every answer has all headers.
        """
        for name, value in PAGE_HEADERS.items():
            self.assertEqual(answer.headers.get(name), value, (answer.status, name))

    def test_host(self) -> None:
        """
        Promise 10.7: at every address of pages, a wrong name is answered with 421, also to a posted form; the right one
        is accepted as soon as the master tells it.
        """
        host = {"Host": "farm.example.org"}
        for method in ("GET", "HEAD", "POST"):
            for path in ("/", "/builders/b", "/static/base.css", "/nothing", "/api/v1/events"):
                self.assertEqual(self.get(path, host, method=method).status, 421, (method, path))
        refused = self.get("/", host)
        self.assertIn("by the name farm.example.org.", refused.text)
        self.check_headers(refused)
        self.policy = POLICY
        self.assertEqual(self.get("/", host).status, 200)

    def test_many_visitors(self) -> None:
        """
        Promise 10.7: connections through a proxy count for those who ask: a visitor with many streams loses the oldest
        to others, who lose none; the holder of a string is none of the visitors from its address.
        """
        self.patch(site, "MOST_CONNECTIONS", 8)
        self.policy = WebPolicy(proxies=(ip_network("127.0.0.1"),))
        self.factory = make_factory(
            SiteRoot(Pages(self.view, ROUTES).resource(), None, lambda: self.policy), self.clock
        )
        self.factory.doStart()
        self.holders.grants[CONTROL] = {"grant": 7, "label": "Ada", "may": ["status"]}
        flooding, other = {"X-Forwarded-For": "2001:db8::1"}, {"X-Forwarded-For": "192.0.2.7"}
        holding = {**flooding, "X-Forwarded-Proto": "https", "Authorization": f"Bearer {CONTROL}"}
        theirs = [self.listen(holding), self.listen(other)]
        mine = [self.listen({"X-Forwarded-For": f"2001:db8::{number}"}) for number in range(1, 7)]
        self.assertFalse(any(each.disconnected for each in (*theirs, *mine)))
        for headers in (other, other, holding):
            theirs.append(self.listen(headers))
        self.assertEqual([each.disconnected for each in mine], [True] * 3 + [False] * 3)
        self.assertFalse(any(each.disconnected for each in theirs))

    def test_bodies_of_many(self) -> None:
        """
        Promise 10.7: the bodies that come through a proxy count for those who send them, also on connections that
        carried requests of others before: a flood of one visitor displaces its own.
        """
        self.policy = WebPolicy(proxies=(ip_network("127.0.0.1"),))
        self.factory.rooms.forms = BodyRoom.of(1000)
        transports = []
        for visitor in ("192.0.2.1", *("192.0.2.9",) * 5):
            transports.append(self.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n"))
            head = (
                f"POST /enter HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: {visitor}\r\nContent-Length: 900\r\n\r\n"
            )
            self.connections[-1].dataReceived(head.encode() + b"x" * 300)
        self.assertEqual([each.disconnected for each in transports], [False, True, True, True, False, False])

    def listen(self, headers: Mapping[str, str]) -> StringTransport:
        """
        A stream of events for the client that sends *headers*.
        """
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        transport = self.send(f"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n".encode())
        self.assertIn(b"200 OK", transport.value())
        if transport.disconnected:
            self.connections[-1].connectionLost(Failure(ConnectionDone()))
        return transport

    def test_unnamed_proxy(self) -> None:
        """
        What a proxy of this machine tells that is not named is not believed, but tells its clients apart where they
        have too many connections.
        """
        visitor = WebPolicy().visitor("127.0.0.1", {"x-forwarded-for": "192.0.2.1, 192.0.2.7"})
        self.assertEqual((visitor.address, visitor.secure, visitor.behind), ("127.0.0.1", False, "192.0.2.7"))
        self.assertEqual(WebPolicy().visitor("192.0.2.1", {"x-forwarded-for": "192.0.2.7"}).behind, "")

    def test_headers(self) -> None:
        """
        Promise 10.7: a page, an error and an address that is none have the strict policy: no inline script, nothing of
        other hosts, no page inside another site's.
        """
        for path in ("/", "/nothing", "/nothing/%ff", "/static/no.css"):
            self.check_headers(self.get(path))
        policy = PAGE_HEADERS["content-security-policy"]
        self.assertTrue(policy.startswith("default-src 'none'; "))
        for word in ("unsafe", "http:", "https:", "data:", "*"):
            self.assertNotIn(word, policy)

    def test_artifacts(self) -> None:
        """
        Promise 10.7: an artifact is in a sandbox that permits neither scripts nor forms nor our origin, and its type is
        not guessed.
        """
        self.assertEqual(ARTIFACT_HEADERS["content-security-policy"], "sandbox")
        self.assertEqual(ARTIFACT_HEADERS["x-content-type-options"], "nosniff")
        build = self.successResultOf(self.records.write(a_build("linux", 1, Result.SUCCESS)))
        for name in ("report.html", "tool"):
            path = f"linux/1/{name}"
            self.successResultOf(self.records.write(_artifact(build, path)))
            file = Path(self.directory, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"<script>")
            answer = self.get(f"/builders/linux/1/artifacts/{name}")
            self.assertEqual((answer.status, answer.body), (200, b"<script>"))
            self.assertEqual({each: answer.headers.get(each) for each in ARTIFACT_HEADERS}, dict(ARTIFACT_HEADERS))


def _artifact(build: int, path: str) -> Callable[[Connection], None]:
    """
    A change of the records: an artifact of *build* with eight bytes, in the file *path*.
    """

    def change(connection: Connection) -> None:
        ordinal = len(streams.of_build(connection, build))
        stream = streams.note(connection, build, 1, ordinal, name="file", kind="artifact", path=path)
        streams.seal(connection, stream.id, 8, "0" * 64)

    return change
