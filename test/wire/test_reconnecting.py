"""
Reconnection of slaves, and of programs that watch.
"""

import random
from collections.abc import Callable
from typing import Any, cast

from foolscap.referenceable import Referenceable
from twisted.internet import reactor  # noqa: TID251 - these tests use the network
from twisted.internet.task import Clock, deferLater
from twisted.logger import ILogObserver, LogEvent, capturedLogs, formatEvent, globalLogPublisher

from buildbot_lite.errors import (
    BuildbotLiteError,
    FurlError,
    PinnedError,
    RevokedError,
    UnknownStringError,
    WrongVerbError,
)
from buildbot_lite.wire.contract import HOLDER_BURST
from buildbot_lite.wire.control import ExposedControl, RemoteControl
from buildbot_lite.wire.exposed import ExposedDesk, Revocable
from buildbot_lite.wire.flapp import FlappService
from buildbot_lite.wire.furl import build
from buildbot_lite.wire.reconnecting import ControlConnection, DeskConnection, connect
from buildbot_lite.wire.roles import Desk, Link
from buildbot_lite.wire.tub import (
    Tub,
    TubListener,
    make_tub,
)

from .recording_roles import (
    HELLO,
    RecordingDesk,
    RecordingSlave,
)
from .test_control import EchoControl
from .test_flapp import RefusingSubmission
from .tub_case import (
    FARM_KEY,
    SLAVE_KEY,
    SWISSNUM,
    TubTestCase,
    until,
    with_reactor,
)


class ReconnectionTests(TubTestCase):
    """
    A real farm, and a slave on a fake clock.
    """

    def setUp(self) -> None:
        super().setUp()
        self.patch(random, "uniform", lambda low, high: (low + high) / 2)
        self.exposed: dict[str, Referenceable | Exception] = {SWISSNUM: ExposedDesk(RecordingDesk(), Revocable())}
        self.clock = Clock()
        self.slave = make_tub(self.clock, SLAVE_KEY)
        self.slave.startService()
        self.tubs.append(self.slave)
        self.links: list[Link] = []
        self.desks: list[Desk] = []
        self.refused: list[BuildbotLiteError] = []
        self.unreachable: list[str] = []
        self.events: list[LogEvent] = []
        observer = cast("ILogObserver", self.events.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def lookup(self, swissnum: str) -> Referenceable | None:
        found = self.exposed.get(swissnum)
        if isinstance(found, Exception):
            raise found
        return found

    def farm(self, port: int = 0) -> tuple[Tub, TubListener]:
        tub = self.tub(FARM_KEY, self.lookup)
        return tub, tub.listen(f"tcp:{port}:interface=127.0.0.1")

    def connect(self, furl: str, hints: list[str] | None = None) -> DeskConnection:
        def on_desk(desk: Desk, link: Link) -> None:
            self.desks.append(desk)
            self.links.append(link)

        return connect(self.slave, furl, hints or [], on_desk, self.refused.append, self.unreachable.append)

    def waiting(self) -> list[float]:
        """
        Return the delays until the next attempt to connect.
        """
        calls: list[Any] = list(self.clock.getDelayedCalls())
        return [
            round(call.getTime() - self.clock.seconds(), 3) for call in calls if call.func.__name__ == "_timer_expired"
        ]

    async def pauses(self, count: int, step: Callable[[], object] = lambda: None) -> list[float]:
        """
        Return the next *count* pauses between attempts to connect.
        """
        seen: list[float] = []
        for _ in range(count):
            await until(lambda: bool(self.waiting()))
            seen += self.waiting()
            step()
            self.clock.advance(seen[-1] + 0.001)
        return seen

    @with_reactor
    async def test_reconnects(self) -> None:
        """
        Half a second after the loss of its link, the slave has a new one.
        """
        farm, listener = self.farm()
        self.connect(self.furl(farm, listener))
        await until(lambda: len(self.links) == 1)

        for broker in list(farm.brokers.values()):
            broker.drop("the test says so")
        self.assertEqual(await self.pauses(1), [0.5])
        await until(lambda: len(self.links) == 2)

        self.assertTrue(self.links[0].lost)
        self.assertFalse(self.links[1].lost)

    @with_reactor
    async def test_master_away(self) -> None:
        """
        While the master is away, pauses grow to 30 seconds; the slave connects when it is back; the log has each reason
        once.
        """
        farm, listener = self.farm()
        furl, port = self.furl(farm, listener), listener.port
        await farm.stopService()
        self.connect(furl)

        pauses = await self.pauses(13)
        self.assertEqual(
            [round(pause, 2) for pause in pauses],
            [0.5, 0.75, 1.12, 1.69, 2.53, 3.8, 5.7, 8.54, 12.81, 19.22, 28.83, 30.0, 30.0],
        )
        await until(lambda: bool(self.waiting()))
        self.farm(port)
        await self.pauses(1)
        await until(lambda: len(self.links) == 1)

        lines = [event for event in self.events if "cannot connect" in str(event.get("log_format"))]
        self.assertEqual(len(lines), 1)
        self.assertEqual(self.refused, [])
        self.assertEqual(len(self.unreachable), 1)
        self.assertRegex(self.unreachable[0], rf"^tcp:127\.0\.0\.1:{port}: .*refused")

    @with_reactor
    async def test_preauthenticated(self) -> None:
        """
        Promise 3.12: a slave with a known FURL attaches while the handshake queue does not advance, from any address.
        """
        farm, listener = self.farm()
        farm.preauth.expect(SWISSNUM)
        waiting: list[Callable[[], None]] = []
        self.patch(farm.unauthenticated.handshakes, "enqueue", lambda address, begin: waiting.append(begin))
        self.connect(self.furl(farm, listener))
        await until(lambda: len(self.links) == 1)
        self.assertEqual(waiting, [])

        farm.preauth.forget(SWISSNUM)
        self.links[0].drop("the test says so")
        await self.pauses(1)
        await until(lambda: len(waiting) == 1)
        self.assertEqual(len(self.links), 1)
        waiting[0]()
        await until(lambda: len(self.links) == 2)

    @with_reactor
    async def test_refused(self) -> None:
        """
        A refused slave reports the refusal once, with the remedy, and tries again after a minute, or an hour when
        revoked (Promise 3).
        """
        del self.exposed[SWISSNUM]
        farm, listener = self.farm()
        self.connect(self.furl(farm, listener))

        self.assertEqual(await self.pauses(2), [60.0, 60.0])
        await until(lambda: bool(self.waiting()))
        self.exposed[SWISSNUM] = RevokedError()
        self.assertEqual(await self.pauses(3), [60.0, 3600.0, 3600.0])
        await until(lambda: bool(self.waiting()))
        self.assertEqual([type(error) for error in self.refused], [UnknownStringError, RevokedError])
        self.exposed[SWISSNUM] = ExposedDesk(RecordingDesk(), Revocable())
        await self.pauses(1)
        await until(lambda: len(self.links) == 1)

    @with_reactor
    async def test_wrong_kind(self) -> None:
        """
        A submission's FURL is refused; the sentence names the file with slaves' FURLs (Promise 3).
        """
        self.exposed[SWISSNUM] = FlappService(RefusingSubmission(), Revocable())
        farm, listener = self.farm()
        with capturedLogs() as events:
            self.connect(self.furl(farm, listener))

            self.assertEqual(await self.pauses(1), [60.0])
        self.assertIn(f"a slave was refused: {WrongVerbError()}", [formatEvent(event) for event in events])
        (error,) = self.refused
        self.assertIsInstance(error, WrongVerbError)
        self.assertIn("buildslave.furls", str(error))
        self.assertEqual(self.links, [])

    @with_reactor
    async def test_wrong_master(self) -> None:
        """
        A mistyped TubID, or a master with a new key, gives another error than an unreachable master (Promise 3).
        """
        _, listener = self.farm()
        self.connect(build("a" * 32, [f"tcp:127.0.0.1:{listener.port}"], SWISSNUM))

        self.assertEqual(await self.pauses(1), [60.0])
        (error,) = self.refused
        self.assertIsInstance(error, FurlError)
        self.assertIn("buildslave.furls", str(error))
        self.assertNotIn(SWISSNUM, str(error))

    def test_no_furl(self) -> None:
        """
        An invalid FURL is refused before any connection is made (Promise 3).
        """
        self.assertRaises(FurlError, self.connect, "bot1")

    @with_reactor
    async def test_another_key(self) -> None:
        """
        Promise 6.15: a FURL that is pinned to another key is refused at lookup: it gives access to no object, occupies
        no link, and uses none of its owner's CPU time.
        """

        def check(key: str) -> None:
            raise PinnedError

        desk, right = RecordingDesk(), Revocable(check_key=check)
        self.exposed[SWISSNUM] = ExposedDesk(desk, right)
        farm, listener = self.farm()
        self.connect(self.furl(farm, listener))

        self.assertEqual(await self.pauses(1), [60.0])
        self.assertEqual([str(error) for error in self.refused], [str(PinnedError())])
        self.assertEqual((self.desks, desk.calls, right.links), ([], [], ()))
        self.assertEqual(right.cpu_bucket(farm.clock).left, HOLDER_BURST)

    @with_reactor
    async def test_desk_refuses(self) -> None:
        """
        After a refusal by the desk the slave waits for a minute (Promise 3).
        """
        desk = RecordingDesk()
        desk.answer = PinnedError()
        self.exposed[SWISSNUM] = ExposedDesk(desk, Revocable())
        farm, listener = self.farm()
        connection = self.connect(self.furl(farm, listener))
        await until(lambda: len(self.desks) == 1)
        try:
            await self.desks[0].attach(RecordingSlave(), HELLO, "")
        except PinnedError as error:
            connection.refused(error)

        self.assertTrue(self.links[0].lost)
        self.assertEqual(await self.pauses(1), [60.0])
        self.assertEqual([str(error) for error in self.refused], [str(PinnedError())])

    @with_reactor
    async def test_hints(self) -> None:
        """
        A slave finds a moved master at the hints of its welcome, also after the slave was restarted.
        """
        farm, listener = self.farm()
        furl, port = self.furl(farm, listener), listener.port
        connection = self.connect(furl)
        await until(lambda: len(self.links) == 1)
        moved, elsewhere = self.farm()
        connection.add_hints([f"tcp:127.0.0.1:{elsewhere.port}"])
        self.assertNotEqual(elsewhere.port, port)

        await farm.stopService()
        await self.pauses(1)
        await until(lambda: len(self.links) == 2)
        connection.stop()
        self.links[1].drop("the test says so")
        again = self.connect(furl, [f"tcp:127.0.0.1:{elsewhere.port}"])
        await until(lambda: len(self.links) == 3)
        again.stop()

        self.assertTrue(moved.running)

    @with_reactor
    async def test_stop(self) -> None:
        """
        A stopped connection makes no further attempt to connect.
        """
        farm, listener = self.farm()
        connection = self.connect(self.furl(farm, listener))
        await until(lambda: len(self.links) == 1)
        self.links[0].drop("the test says so")
        await until(lambda: bool(self.waiting()))

        await self.pauses(1)
        await until(lambda: len(self.links) == 2)
        self.links[1].drop("the test says so")
        await until(lambda: bool(self.waiting()))
        connection.stop()

        self.assertEqual(self.waiting(), [])
        await deferLater(reactor, 0.01)
        self.assertEqual(len(self.links), 2)

    @with_reactor
    async def test_no_secret_in_the_log(self) -> None:
        """
        No error puts the FURL's secret into the log (Promise 14).
        """
        farm, listener = self.farm()
        furl, port = self.furl(farm, listener), listener.port
        del self.exposed[SWISSNUM]
        self.connect(furl)
        await self.pauses(1)
        await farm.stopService()
        self.connect(build("a" * 32, [f"tcp:127.0.0.1:{port}"], SWISSNUM))
        await self.pauses(2)

        self.assertNotIn(SWISSNUM, repr(self.events))


class ControlConnectionTests(TubTestCase):
    """
    A master with a control object, and a program that stays connected to it, on a fake clock.
    """

    def setUp(self) -> None:
        super().setUp()
        self.patch(random, "uniform", lambda low, high: (low + high) / 2)
        self.exposed: Referenceable = ExposedControl(EchoControl(), Revocable())
        self.clock = Clock()
        self.client = make_tub(self.clock, SLAVE_KEY)
        self.client.startService()
        self.tubs.append(self.client)
        self.controls: list[RemoteControl] = []
        self.refused: list[BuildbotLiteError] = []

    def connect(self) -> Tub:
        farm = self.tub(FARM_KEY, lambda swissnum: self.exposed)
        furl = self.furl(farm, farm.listen("tcp:0:interface=127.0.0.1"))
        ControlConnection(self.client, furl, lambda control, link: self.controls.append(control), self.refused.append)
        return farm

    @with_reactor
    async def test_again(self) -> None:
        """
        After the loss of the link, there is a new one by itself, over which questions are answered.
        """
        farm = self.connect()
        await until(lambda: len(self.controls) == 1)
        for broker in list(farm.brokers.values()):
            broker.drop("the test says so")

        def again() -> bool:
            self.clock.advance(0.1)
            return len(self.controls) == 2

        await until(again)

        self.assertEqual(await self.controls[1].ask({"ask": "x"}), {"asked": {"ask": "x"}})

    @with_reactor
    async def test_of_a_slave(self) -> None:
        """
        A slave's string is refused with a sentence.
        """
        self.exposed = ExposedDesk(RecordingDesk(), Revocable())
        self.connect()
        await until(lambda: bool(self.refused))

        self.assertIsInstance(self.refused[0], WrongVerbError)
        self.assertEqual(self.controls, [])
