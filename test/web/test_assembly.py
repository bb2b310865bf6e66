"""
The pages of a farm, as they are put together.
"""

import inspect
import os
from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.web.assembly import WRITTEN_AGAIN, FarmPages, WebParts
from buildbot_lite.web.farm import www_file
from buildbot_lite.web.farm.master_watch import MasterWatch
from buildbot_lite.web.farm.strings import WATCH, WEBHOOKS, WebStrings
from buildbot_lite.web.farm.www_file import www_told
from buildbot_lite.web.serving.rooms import Rooms
from buildbot_lite.web.serving.site import make_factory
from buildbot_lite.web_tap import application_for, farm_directory
from buildbot_lite.wire.certificate import new_certificate
from buildbot_lite.wire.endpoint import Endpoint

from .pages_case import OWN, FakeAnswers, received

TOLD = {"title": "A farm", "url": "http://farm.example.org/", "private": True, "port": 8099}


class FakeListening:
    """
    The role `Listening`.
    """

    endpoint = Endpoint(8010, interface="127.0.0.1")

    def __init__(self) -> None:
        self.ports: list[object] = []

    def told(self, port: object) -> None:
        """
        The master told a port.
        """
        self.ports.append(port)


class AssemblyTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        The directory of a master, and that of a web process in it.
        """
        self.farm = Path(self.mktemp()).absolute()
        self.web = self.farm / "web"
        (self.web / "private").mkdir(parents=True)
        (self.farm / "master.tac").touch()
        self.clock = Clock()
        self.listening: Any = FakeListening()

    def pages(self, farm: str | None) -> FarmPages:
        """
        The pages of the master in *farm*.
        """
        strings = WebStrings(str(self.web / "private"), self.clock, {})
        certificate = new_certificate()
        made = FarmPages(
            WebParts(
                reactor=self.clock,
                directory=str(self.web),
                farm=farm,
                strings=strings,
                listening=self.listening,
                submit=lambda data, take: Deferred(),
                certificate=certificate,
                rooms=Rooms(),
            )
        )
        self.addCleanup(lambda: self.successResultOf(Deferred.fromCoroutine(made.stop())))
        return made

    def status(self, pages: FarmPages, path: str) -> int:
        """
        The status of the answer to a request for *path*.
        """
        factory: Any = make_factory(pages.root(), self.clock)
        factory.doStart()
        protocol = factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
        transport = StringTransport(peerAddress=IPv4Address("TCP", "127.0.0.1", 2))
        protocol.makeConnection(transport)
        protocol.dataReceived(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return received(transport.value()).status

    def test_webhooks_alone(self) -> None:
        """
        A web.tac that has the string for webhooks and nothing else gives no pages, although a farm is above it: it was
        written for webhooks.  With ``watch=``, with ``farm=``, or without ``webhooks=`` it does.
        """
        web = str(self.web)
        given = {WEBHOOKS: "pb://x"}
        self.assertEqual(self.status(self.pages(farm_directory(web, given, None)), "/healthz"), 404)
        for farm in (
            farm_directory(web, {}, None),
            farm_directory(web, given, ".."),
            farm_directory(web, {**given, WATCH: "pb://y"}, None),
        ):
            self.assertEqual(self.status(self.pages(farm), "/healthz"), 200)

    def test_arguments(self) -> None:
        """
        Of a web.tac's arguments only the first has a place; the others have names, whatever their order is.
        """
        first, *others = inspect.signature(application_for).parameters.values()
        self.assertEqual(first.name, "webhooks")
        self.assertEqual({each.kind for each in others}, {inspect.Parameter.KEYWORD_ONLY})

    def test_full_disk(self) -> None:
        """
        What the master tells about who may read has effect although it cannot be written, which is tried again.
        """
        pages = self.pages(str(self.farm))
        master = FakeAnswers()
        pages._live.link = master
        master.answers["www"] = TOLD
        full = [OSError(28, os.strerror(28))]

        def write(path: str, data: bytes) -> None:
            if full:
                raise full.pop()
            Path(path).write_bytes(data)

        self.patch(www_file, "write_whole", write)
        pages._ask_again()
        self.assertIn("farm.example.org", pages._policy.names)
        self.assertEqual(www_told(str(self.web)), {})
        self.clock.advance(WRITTEN_AGAIN)
        self.assertEqual(www_told(str(self.web)), TOLD)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_refused(self) -> None:
        """
        Sessions have no string of the pages while the master refuses it, although it is still there.
        """
        pages = self.pages(str(self.farm))
        string = self.web / "private" / "watch.furl"
        string.touch(0o600)
        string.write_text(OWN)
        pages._parts.strings.look()
        self.assertEqual(pages._own(), OWN)
        self.patch(MasterWatch, "is_refused", True)
        self.assertIsNone(pages._own())

    def test_fresh(self) -> None:
        """
        After news of another configuration the master is asked at once, also if a page asked just before.
        """
        pages = self.pages(str(self.farm))
        master = FakeAnswers()
        pages._live.link = master
        master.answers["www"] = {**TOLD, "url": None}
        self.successResultOf(Deferred.fromCoroutine(pages._live.answer("www")))
        master.answers["www"] = TOLD
        pages._ask_again()
        self.assertIn("farm.example.org", pages._policy.names)
