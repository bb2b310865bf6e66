"""
A client of a control FURL that stays connected.
"""

import random

from foolscap.referenceable import Referenceable
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from buildbot_lite.errors import (
    BuildbotLiteError,
    FurlError,
    LinkLostError,
    NoAnswerError,
    NotFoundError,
    RevokedError,
    WrongVerbError,
)
from buildbot_lite.wire.control import Document, ExposedControl, Follower
from buildbot_lite.wire.control_client import ControlClient
from buildbot_lite.wire.exposed import ExposedDesk, Revocable
from buildbot_lite.wire.tub import Tub, TubListener

from .recording_roles import RecordingDesk
from .test_control import EchoControl
from .test_roles import failing
from .tub_case import FARM_KEY, SLAVE_KEY, SWISSNUM, TubTestCase, until, with_reactor


class EndlessControl(EchoControl):
    """
    A control whose followers never get an answer.
    """

    def follow(self, question: Document, follower: Follower) -> Deferred[Document]:
        _ = follower.chunk(b"1{}").addErrback(lambda failure: failure.trap(LinkLostError))
        return Deferred()


class ControlClientTests(TubTestCase):
    """
    A real master, and a client on a fake clock.
    """

    def setUp(self) -> None:
        super().setUp()
        self.patch(random, "uniform", lambda low, high: (low + high) / 2)
        self.clock = Clock()
        self.seen: list[str] = []
        self.refused: list[BuildbotLiteError] = []
        self.revocable = Revocable()
        self.exposed: dict[str, Referenceable] = {SWISSNUM: ExposedControl(EndlessControl(), self.revocable)}

    def farm(self, port: int = 0) -> tuple[Tub, TubListener]:
        tub = self.tub(FARM_KEY, self.exposed.get)
        return tub, tub.listen(f"tcp:{port}:interface=127.0.0.1")

    def client(self, furl: str) -> ControlClient:
        client = ControlClient(
            self.clock,
            furl,
            connected=lambda: self.seen.append("connected"),
            lost=lambda: self.seen.append("lost"),
            refused=self.refused.append,
            unreachable=lambda reason: self.seen.append("unreachable"),
            certificate=SLAVE_KEY,
        )
        client.start()
        self.addCleanup(client.stop)
        return client

    @with_reactor
    async def test_asked(self) -> None:
        """
        Promise 10.1: several questions are asked on one connection; a refusal is the master's sentence.
        """
        farm, listener = self.farm()
        client = self.client(self.furl(farm, listener))
        self.assertIsInstance(await failing(client.ask({"ask": "status"})), NoAnswerError)
        await until(lambda: client.is_connected)
        for n in range(3):
            self.assertEqual((await client.ask({"n": n}))["asked"], {"n": n})
        self.assertIsInstance(await failing(client.ask({"missing": 1})), NotFoundError)
        self.assertEqual(self.seen, ["connected"])

    @with_reactor
    async def test_lost(self) -> None:
        """
        Promise 10.1: when the link is lost, what was followed ends, and the client connects again by itself.
        """
        farm, listener = self.farm()
        client = self.client(self.furl(farm, listener))
        await until(lambda: client.is_connected)
        chunks: list[bytes] = []
        following = client.follow({"follow": "farm"}, chunks.append)
        await until(lambda: chunks == [b"1{}"])
        for broker in list(farm.brokers.values()):
            broker.drop("the test says so")
        self.assertIsInstance(await failing(following), LinkLostError)
        await until(lambda: not client.is_connected)
        self.assertIsInstance(await failing(client.follow({"follow": "farm"}, chunks.append)), NoAnswerError)
        self.clock.advance(1)
        await until(lambda: client.is_connected)
        self.assertEqual(self.seen, ["connected", "lost", "connected"])

    @with_reactor
    async def test_revoked(self) -> None:
        """
        Promise 10.7: a revoked string is cut at once, and the client says why it is refused.
        """
        farm, listener = self.farm()
        client = self.client(self.furl(farm, listener))
        await until(lambda: client.is_connected)
        self.revocable.revoke()
        await until(lambda: not client.is_connected)
        self.clock.advance(1)
        await until(lambda: bool(self.refused))
        self.assertIsInstance(self.refused[0], RevokedError)

    @with_reactor
    async def test_other_kind(self) -> None:
        """
        A slave's string is refused with a sentence.
        """
        self.exposed[SWISSNUM] = ExposedDesk(RecordingDesk(), Revocable())
        farm, listener = self.farm()
        self.client(self.furl(farm, listener))
        await until(lambda: bool(self.refused))
        self.assertIsInstance(self.refused[0], WrongVerbError)
        self.assertIn("does not permit watching", str(self.refused[0]))
        self.assertEqual(self.seen, [])

    def test_invalid(self) -> None:
        """
        What is no FURL is refused when the client is made.
        """
        self.assertRaises(FurlError, self.client, "not a string")

    @with_reactor
    async def test_traffic(self) -> None:
        """
        Promise 10.6: the bytes of all connections are counted, in both directions, also after their end.
        """
        farm, listener = self.farm()
        client = self.client(self.furl(farm, listener))
        await until(lambda: client.is_connected)
        self.assertEqual(farm.traffic.links, 1)
        before = farm.traffic.received, farm.traffic.sent
        await client.ask({"text": "x" * 100_000})
        for was, now in zip(before, (farm.traffic.received, farm.traffic.sent), strict=True):
            self.assertIn(now - was, range(100_000, 101_000))
        for broker in list(farm.brokers.values()):
            broker.drop("the test says so")
        await until(lambda: farm.traffic.links == 0)
