"""
Pages without network, master and files: requests to the application, over records in memory.
"""

import gzip
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from attrs import frozen
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import BuildbotLiteError, LinkLostError, NoAnswerError, RefusedError, RevokedError
from buildbot_lite.web.dispatcher import Pages
from buildbot_lite.web.farm.feed_streams import FeedStreams
from buildbot_lite.web.farm.live import Document, Live
from buildbot_lite.web.farm.master_watch import NewsOfFarm
from buildbot_lite.web.farm.metrics import Metrics
from buildbot_lite.web.farm.published_packages import PublishedPackages
from buildbot_lite.web.farm.stored_farm import Places
from buildbot_lite.web.holders.sessions import Sessions
from buildbot_lite.web.html.page_templates import Templates
from buildbot_lite.web.logs.farm_logs import FarmLogs
from buildbot_lite.web.root import SiteRoot
from buildbot_lite.web.routes import ROUTES
from buildbot_lite.web.serving.packing import PackingPlaces
from buildbot_lite.web.serving.rooms import Rooms
from buildbot_lite.web.serving.site import make_factory
from buildbot_lite.web.view import FarmView
from test.storage.inline import InlineWriter, database_in_memory

NOW = 1_800_000_000.0
TUB = "a" * 32
OWN = f"pb://{TUB}@127.0.0.1:1/own-secret"
CONTROL = f"pb://{TUB}@127.0.0.1:1/control-secret"


class FakeAnswers:
    """
    A master: its *answers* by question; a question without one is refused, with *away* nothing is
    answered, and with *cuts* the link is lost before each answer.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Document] = {}
        self.asked: list[str] = []
        self.away = False
        self.cuts = False

    def ask(self, question: Document) -> Deferred[Document]:
        self.asked.append(question["ask"])
        if self.away:
            return fail(NoAnswerError("No master answers."))
        if self.cuts:
            return fail(LinkLostError())
        if question["ask"] not in self.answers:
            return fail(RefusedError("This string does not permit that."))
        return succeed(self.answers[question["ask"]])


class FakeHolders:
    """
    A master, as holders of grants ask it.  *grants*: by FURL, what the master answers to ``me``.  *checked*: the FURLs
    for which that was asked.  *slow*: these questions wait here, if it is a list.  *asked*: FURL and question of
    everything else.  *refusals*: by question, with what it is refused.
    """

    def __init__(self) -> None:
        self.grants: dict[str, Document] = {}
        self.answers: dict[str, Document] = {}
        self.refusals: dict[str, BuildbotLiteError] = {}
        self.asked: list[tuple[str, Document]] = []
        self.checked: list[str] = []
        self.slow: list[Deferred[Document]] | None = None

    def ask(self, furl: str, question: Document) -> Deferred[Document]:
        if question["ask"] == "me":
            self.checked.append(furl)
            if self.slow is not None:
                self.slow.append(Deferred())
                return self.slow[-1]
        if furl not in self.grants:
            return fail(RevokedError())
        if question["ask"] == "me":
            return succeed(self.grants[furl])
        self.asked.append((furl, question))
        if (refusal := self.refusals.get(question["ask"])) is not None:
            return fail(refusal)
        return succeed(self.answers.get(question["ask"], {}))


@frozen
class Received:
    """
    An answer as the client reads it.  *headers*: by name in lower case.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """
        The body, decompressed.
        """
        body = gzip.decompress(self.body) if self.headers.get("content-encoding") == "gzip" else self.body
        return body.decode()


class PagesCase(SynchronousTestCase):
    """
    A test with the pages of an empty farm.  *records*: to write into.  *master*: what it answers.  *own*: the string
    of the pages.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000.0)
        self.master = FakeAnswers()
        self.master.answers["www"] = {"title": "A farm", "url": None, "private": False, "builders": [], "slaves": []}
        self.master.answers["status"] = {"waiting": [], "waiting_total": 0, "slaves": [], "running": []}
        self.records = InlineWriter(database_in_memory())
        self.live = Live(self.master, self.clock.seconds, lambda: NOW)
        self.directory = self.mktemp()
        self.news = NewsOfFarm()
        self.holders = FakeHolders()
        self.own: str | None = OWN
        self.sessions = Sessions(self.holders.ask, lambda: self.own, self.clock.seconds, self.wall, self.clock)
        self.news.on_news(self.sessions.changed)
        self.rooms = Rooms()
        self.view = FarmView(
            records=self.records,
            live=self.live,
            places=self.places,
            templates=Templates(),
            wall=lambda: NOW,
            news=self.news,
            events=FeedStreams(self.records.read, self.news, self.live, self.clock),
            logs=FarmLogs(self.clock, lambda function: succeed(function()), PackingPlaces(self.rooms.packing)),
            sessions=self.sessions,
            metrics=self.metrics(),
            published=PublishedPackages(lambda function: succeed(function())),
            rooms=self.rooms,
        )
        pages = Pages(self.view, ROUTES)
        root = SiteRoot(pages.resource(), None, large_forms=pages.takes_large_form)
        self.factory = make_factory(root, self.clock, self.rooms)
        self.factory.doStart()
        self.connections: list[Any] = []

    def places(self) -> Places:
        """
        Where the farm's files are.
        """
        return Places(self.directory, self.directory)

    def metrics(self, path: str | None = None) -> Metrics:
        """
        Metrics of the farm, whose counts are kept in the file *path*.
        """
        return Metrics(self.records, self.live, self.places, lambda: NOW, path)

    def wall(self) -> float:
        """
        Seconds since 1970, which pass as on `clock`.
        """
        return NOW + self.clock.seconds()

    def send(self, request: bytes) -> StringTransport:
        """
        Send the bytes of *request* on a new connection.
        """
        protocol: Any = self.factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
        transport = StringTransport(peerAddress=IPv4Address("TCP", "127.0.0.1", 2))
        self.connections.append(protocol)
        protocol.makeConnection(transport)
        protocol.dataReceived(request)
        return transport

    def post(self, path: str, fields: Mapping[str, str], headers: Mapping[str, str] | None = None) -> "Received":
        """
        The answer to a form with *fields*, sent by a page of ours.
        """
        body = urlencode(fields)
        of_form = {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(body))}
        lines = [
            f"{name}: {value}\r\n" for name, value in {"Host": "localhost:8010", **of_form, **(headers or {})}.items()
        ]
        return received(self.send(f"POST {path} HTTP/1.1\r\n{''.join(lines)}\r\n{body}".encode()).value())

    def get(self, path: str, headers: Mapping[str, str] | None = None, *, method: str = "GET") -> Received:
        """
        The answer to a request for *path*.
        """
        lines = [f"{name}: {value}\r\n" for name, value in {"Host": "localhost:8010", **(headers or {})}.items()]
        transport = self.send(f"{method} {path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode())
        return received(transport.value())


def received(data: bytes) -> Received:
    """
    The answer in *data*.
    """
    head, _, body = data.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.split(": ", 1) for line in lines)
    headers = {name.lower(): value for name, value in pairs}
    if headers.get("transfer-encoding") == "chunked":
        body = _joined(body)
    return Received(int(status.split()[1]), headers, body)


def _joined(data: bytes) -> bytes:
    pieces = []
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        pieces.append(data[:length])
        data = data[length + 2 :]
    return b"".join(pieces)
