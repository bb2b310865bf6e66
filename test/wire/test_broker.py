"""
The limits of one connection, before and after it has presented a valid FURL.
"""

import gc
import os
import tracemalloc
from typing import Any

from foolscap.api import Referenceable, flushEventualQueue
from foolscap.api import Tub as StockTub
from foolscap.negotiate import Negotiation
from foolscap.referenceable import SturdyRef
from foolscap.tokens import RemoteException
from twisted.internet import reactor  # noqa: TID251 - these tests use the network
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import Clock, deferLater

from buildbot_lite.errors import (
    LinkLostError,
    RevokedError,
    UnknownStringError,
    WrongVerbError,
)
from buildbot_lite.model.spec import Run
from buildbot_lite.wire.certificate import new_certificate
from buildbot_lite.wire.contract import (
    LARGEST_CHUNK,
    MOST_BYTES_UNREAD,
    MOST_PEERS,
    MOST_REFERENCES,
    UNAUTHENTICATED_CALLS,
)
from buildbot_lite.wire.exposed import (
    ExposedDesk,
    ExposedSlave,
    Revocable,
)
from buildbot_lite.wire.proxies import RemoteDesk
from buildbot_lite.wire.reconnecting import connect
from buildbot_lite.wire.roles import (
    Command,
    Desk,
    Link,
)
from buildbot_lite.wire.tub import make_tub

from .recording_roles import (
    HELLO,
    RecordingCommand,
    RecordingDesk,
    RecordingSlave,
)
from .test_roles import failing
from .tokens import (
    a_call,
    begin,
    end,
    number,
    reference,
    string,
)
from .tub_case import (
    FARM_KEY,
    SLAVE_KEY,
    SWISSNUM,
    TubTestCase,
    until,
    with_reactor,
)


class BrokerTestCase(TubTestCase):
    """
    A farm with one desk, on a fake clock.
    """

    def setUp(self) -> None:
        super().setUp()
        self.stock: list[StockTub] = []
        self.desk = RecordingDesk()
        self.revocable = Revocable()
        self.exposed = ExposedDesk(self.desk, self.revocable)
        self.clock = Clock()
        self.farm = make_tub(self.clock, FARM_KEY, {SWISSNUM: self.exposed}.get)
        self.farm.startService()
        self.tubs.append(self.farm)
        self.listener = self.farm.listen("tcp:0:interface=127.0.0.1")
        self.url = self.furl(self.farm, self.listener)

    async def _stop(self) -> None:
        for tub in self.stock:
            await tub.stopService()
        stopping = self.farm.stopService()
        await deferLater(reactor, 0)
        self.clock.advance(10)
        await stopping
        await super()._stop()

    async def unauthenticated_broker(self) -> Any:
        """
        Return the broker of a stock Tub that knows the farm's address and TubID, and no FURL.
        """
        tub = StockTub()
        tub.startService()
        self.stock.append(tub)
        return await tub.getBrokerForTubRef(SturdyRef(self.url).getTubRef())

    async def slave(self) -> tuple[Desk, Link]:
        """
        Connect a slave; return its view of the desk, and its link.
        """
        connected: Deferred[tuple[Desk, Link]] = Deferred()
        connection = connect(
            self.tub(SLAVE_KEY), self.url, [], lambda *both: connected.callback(both), connected.errback
        )
        both = await connected
        connection.stop()
        return both

    async def command(self) -> tuple[RecordingCommand, Command]:
        """
        Start a command; return it, and the slave's view of it.
        """
        desk, _ = await self.slave()
        slave, command = RecordingSlave(), RecordingCommand()
        await desk.attach(slave, HELLO, "")
        await self.desk.slaves[-1].start("1", Run(argv=("true",)), {}, command)
        return command, slave.commands["1"]


class UnauthenticatedConnectionTests(BrokerTestCase):
    async def assertCut(self, data: bytes) -> None:
        """
        Check that an unauthenticated connection is cut at once, without a log line, when it sends *data*.
        """
        broker = await self.unauthenticated_broker()
        self.assertEqual(len(self.farm.unauthenticated), 1)
        broker.transport.write(data)
        await until(lambda: bool(broker.disconnected) and len(self.farm.unauthenticated) == 0)

    @with_reactor
    async def test_giant_names(self) -> None:
        """
        A method, argument or interface name that is declared to have 2 GiB is refused at its first byte.
        """
        head = begin(0, b"call") + number(1) + number(0)
        await self.assertCut(head + string(b"x", 1 << 31))
        arguments = head + string(b"decref") + begin(1, b"arguments")
        await self.assertCut(arguments + number(0) + string(b"x", 1 << 31))
        await self.assertCut(arguments + number(1 << 40))
        await self.assertCut(b"\x01" * 100)
        await self.assertCut(number(1 << 31, 0x8D))

    @with_reactor
    async def test_too_many_bytes(self) -> None:
        """
        An unauthenticated connection is cut after 64 KiB.
        """
        await self.assertCut(number(0, 0x8E) * (70 << 10))

    @with_reactor
    async def test_reads(self) -> None:
        """
        More is read at a time from a peer that presented a valid FURL than from an unauthenticated one.
        """
        await self.unauthenticated_broker()
        await until(lambda: bool(self.farm.brokers))
        (unauthenticated,) = self.farm.brokers.values()
        await self.slave()
        (slave,) = set(self.farm.brokers.values()) - {unauthenticated}
        self.assertEqual(unauthenticated.transport.bufferSize, 64 << 10)
        self.assertEqual(slave.transport.bufferSize, 128 << 10)

    @with_reactor
    async def test_discarded_bytes(self) -> None:
        """
        Bytes of a refused token, which are skipped, count towards the limit.
        """
        head = begin(0, b"call") + number(1) + number(0) + string(b"getReferenceByName") + begin(1, b"arguments")
        await self.assertCut(head + number(0) + string(b"name") + string(b"x" * (70 << 10), 1 << 31))

    @with_reactor
    async def test_too_many_calls(self) -> None:
        """
        An unauthenticated connection is cut after a few calls of object 0.
        """
        await self.assertCut(b"".join(a_call(n + 1, 2 * n) for n in range(UNAUTHENTICATED_CALLS + 1)))

    @with_reactor
    async def test_no_state_is_kept(self) -> None:
        """
        Promise 3.11: the master keeps no state about peers that presented no valid FURL, and bounded state about the
        others.
        """
        for _ in range(6):  # the TubIDs, which are random, determine which side decides the negotiation
            broker = await self.unauthenticated_broker()
            await self.stock.pop().stopService()
            await until(lambda: len(self.farm.unauthenticated) == 0 and bool(broker.disconnected))  # noqa: B023
        await until(lambda: not self.farm.brokers)
        self.assertEqual((self.farm.master_table, self.farm.slave_table), ({}, {}))

        await self.slave()
        self.assertEqual(self.farm.slave_table, {})
        peers = self.farm.master_table
        for each in range(MOST_PEERS + 5):
            peers[f"peer {each}"] = 1
        peers["peer 5"] = 2
        peers["peer"] = 1
        self.assertEqual(len(peers), MOST_PEERS)
        self.assertEqual(peers["peer 5"], 2)

    @with_reactor
    async def test_cut_during_negotiation(self) -> None:
        """
        No state is left of a peer that sends garbage together with the end of its negotiation.
        """

        class GarbageAfterDecision(Negotiation):  # type: ignore[misc]  # Foolscap has no types
            def sendBlock(self, block: dict[str, Any]) -> None:
                super().sendBlock(block)
                if "banana-decision-version" in block:
                    self.transport.write(b"\x01" * 100)

        tub = StockTub(certData=new_certificate())
        while tub.tubID < self.farm.tub_id:  # the side with the greater TubID decides the negotiation
            tub = StockTub(certData=new_certificate())
        tub.negotiationClass = GarbageAfterDecision
        tub.startService()
        self.stock.append(tub)
        broker = await tub.getBrokerForTubRef(SturdyRef(self.url).getTubRef())
        await until(lambda: bool(broker.disconnected) and len(self.farm.unauthenticated) == 0)

        self.assertEqual(self.farm.brokers, {})

    @with_reactor
    async def test_time(self) -> None:
        """
        An unauthenticated connection that sends nothing is cut after 20 seconds.
        """
        broker = await self.unauthenticated_broker()

        self.clock.advance(19.9)
        self.assertEqual(len(self.farm.unauthenticated), 1)
        self.clock.advance(0.1)
        await until(lambda: bool(broker.disconnected))

    @with_reactor
    async def test_no_handshake(self) -> None:
        """
        An unauthenticated connection that never starts TLS is cut after 20 seconds.
        """
        from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
        from twisted.internet.protocol import Protocol

        lost: list[object] = []

        class SilentProtocol(Protocol):
            def connectionLost(self, reason: object = None) -> None:
                lost.append(reason)

        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", self.listener.port)
        await connectProtocol(endpoint, SilentProtocol())
        await until(lambda: len(self.farm.unauthenticated) == 1)
        self.clock.advance(20)
        await until(lambda: bool(lost))

    @with_reactor
    async def test_no_gifts(self) -> None:
        """
        A peer cannot make the master connect to a third party, nor parse types that the contract does not use.
        """
        for kind in (b"their-reference", b"dict", b"unicode", b"copyable", b"set-vocab"):
            broker = await self.unauthenticated_broker()
            head = begin(0, b"call") + number(77) + number(0) + string(b"decref") + begin(1, b"arguments")
            broker.transport.write(head + number(0) + string(b"clid") + begin(2, kind) + string(b"x") + end(2) + end(1))
            broker.transport.write(end(0))
            # The next call is answered, so only the call was refused, and the connection still exists.
            self.assertIn("does not know this string", await refusal(broker, "getReferenceByName", name=b"nothing"))
            self.assertEqual(self.farm.tubConnectors, {})

    @with_reactor
    async def test_unknown_names(self) -> None:
        """
        An unknown FURL and an unknown method are refused with our sentence, which repeats no part of the request.
        """
        broker = await self.unauthenticated_broker()
        unknown = await refusal(broker, "getReferenceByName", name=b"sesame")
        not_offered = await refusal(broker, "decgift", giftID=7, count=1)

        self.assertIn(str(UnknownStringError()), unknown)
        self.assertIn(str(WrongVerbError()), not_offered)
        for text in (unknown, not_offered):
            self.assertNotIn("sesame", text)
            self.assertNotIn("decgift", text)
            self.assertNotIn("File", text)

    @with_reactor
    async def test_hostile_decref(self) -> None:
        """
        Promise 3.13: a peer cannot release more references than it got; invalid counts are refused and not logged.
        """
        broker = await self.unauthenticated_broker()
        for clid, count in ((0, 1), (-1, 1), (1, 0), (1, -5)):
            self.assertIn("unknown object", await refusal(broker, "decref", clid=clid, count=count))
        await broker.remote_broker.callRemote("decref", clid=77, count=1)
        await broker.remote_broker.callRemote("getReferenceByName", name=SWISSNUM.encode())
        await broker.remote_broker.callRemote("decref", clid=1, count=1 << 40)
        await broker.remote_broker.callRemote("decref", clid=1, count=1)
        self.assertFalse(broker.disconnected)


class AuthenticatedLinkTests(BrokerTestCase):
    @with_reactor
    async def test_references_not_released(self) -> None:
        """
        Promise 3.13: a peer that answers the release of its reference wrongly is cut, without a traceback in the log.
        """
        await self.slave()
        (mine,) = self.tubs[-1].brokers.values()
        mine.remote_decref = lambda clid, count: "thanks"
        (desk,) = (tracker.getRef() for tracker in mine.yourReferenceByCLID.values())
        slave = RecordingSlave()
        far = RemoteDesk(desk, lambda each: ExposedSlave(each, Revocable()))

        await far.attach(slave, HELLO, "")
        self.desk.slaves.clear()
        gc.collect()

        await until(lambda: not self.farm.brokers)

    @with_reactor
    async def test_many_references(self) -> None:
        """
        Promise 3.13: the number of references that a peer can pass to the master is bounded.
        """
        await self.slave()
        (broker,) = self.farm.brokers.values()
        (mine,) = self.tubs[-1].brokers.values()

        for each in range(MOST_REFERENCES + 1):
            head = begin(0, b"call") + number(each + 1) + number(1) + string(b"attach") + begin(1, b"arguments")
            offered = reference(2, each + 1, b"RISlave.buildbot-lite")
            mine.transport.write(head + number(0) + string(b"slave") + offered + end(1) + end(0))

        await until(lambda: bool(broker.disconnected))
        self.assertLessEqual(len(broker.yourReferenceByCLID), MOST_REFERENCES)

    @with_reactor
    async def test_keepalive(self) -> None:
        """
        A silent link is pinged after 10 seconds; a link that answers is kept.
        """
        _, link = await self.slave()
        (broker,) = self.farm.brokers.values()

        for _ in range(20):
            self.clock.advance(9.9)
            self.assertAlmostEqual(broker.link.silence(), 9.9)
            self.clock.advance(0.1)
            await until(lambda: broker.link.silence() == 0)
        self.assertFalse(link.lost)

    @with_reactor
    async def test_silence(self) -> None:
        """
        A link that does not answer is cut after 25 seconds.
        """
        await self.slave()
        (broker,) = self.farm.brokers.values()
        lost: list[bool] = []
        broker.link.when_lost(lambda: lost.append(True))
        broker.transport.pauseProducing()

        for _ in range(249):
            self.clock.advance(0.1)
        await flushEventualQueue()
        self.assertFalse(broker.link.lost)
        self.assertEqual(lost, [])

        self.clock.advance(0.2)
        self.assertTrue(broker.link.lost)
        self.assertEqual(self.farm.brokers, {})
        await flushEventualQueue()
        self.assertEqual(lost, [True])

    @with_reactor
    async def test_returns_after_silence(self) -> None:
        """
        A slave that reconnects before the master has noticed the loss of the old link replaces that link.
        """
        await self.slave()
        (old,) = self.farm.brokers.values()
        old.transport.pauseProducing()  # the master does not notice what the slave does
        slave = self.tubs[-1]
        (far,) = slave.brokers.values()
        far.drop("the connection is dead")

        connected: Deferred[Link] = Deferred()
        connection = connect(slave, self.url, [], lambda _, link: connected.callback(link), connected.errback)
        await connected
        connection.stop()

        self.assertTrue(old.disconnected)
        self.assertEqual(len(self.farm.brokers), 1)

    @with_reactor
    async def test_arguments_are_freed(self) -> None:
        """
        Appended data is freed by reference counting alone, without the garbage collector (Promise 9).
        """
        command, far = await self.command()
        command.append = lambda stream, offset, data: _length(offset, data)  # type: ignore[method-assign]  # keeps nothing
        chunk = os.urandom(256 << 10)
        await far.append("stdio", 0, chunk)
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)

        for offset in range(100):
            await far.append("stdio", offset * len(chunk), chunk)

        self.assertLess(tracemalloc.get_traced_memory()[0], 3 << 20)

    @with_reactor
    async def test_unread(self) -> None:
        """
        A peer that sends calls and does not read the answers is cut before the answers fill the memory.
        """
        command, far = await self.command()
        command.read = lambda name, offset, size: _bytes(size)  # type: ignore[method-assign]  # as much as requested
        (broker,) = self.farm.brokers.values()
        slave = self.tubs[-1]
        (mine,) = slave.brokers.values()
        mine.transport.pauseProducing()

        asked = [far.read("x", 0, LARGEST_CHUNK) for _ in range(2 * MOST_BYTES_UNREAD // LARGEST_CHUNK)]
        await until(lambda: bool(broker.disconnected))
        mine.drop("over")

        for call in asked:
            self.assertIsInstance(await failing(call), LinkLostError)

    @with_reactor
    async def test_both_ways(self) -> None:
        """
        Large chunks in both directions at once do not block each other.
        """
        command, far = await self.command()
        command.append = lambda stream, offset, data: _length(offset, data)  # type: ignore[method-assign]  # keeps nothing
        command.read = lambda name, offset, size: _bytes(size)  # type: ignore[method-assign]  # as much as requested
        chunk = b"x" * (256 << 10)

        calls = [far.append("stdio", 0, chunk) for _ in range(40)]
        reads = [far.read("x", 0, len(chunk)) for _ in range(40)]

        self.assertEqual(await gatherResults(calls), [len(chunk)] * 40)
        self.assertEqual([len(data) for data in await gatherResults(reads)], [len(chunk)] * 40)

    @with_reactor
    async def test_split_anywhere(self) -> None:
        """
        Data arrives unchanged however it is split into segments; a long string is not scanned again for each segment.
        """
        command, far = await self.command()
        (broker,) = self.farm.brokers.values()
        receive, parse = broker.dataReceived, broker.handleData
        parsed: list[int] = []

        def counted(chunk: bytes) -> None:
            parsed.append(len(chunk))
            parse(chunk)

        self.patch(broker, "handleData", counted)
        for size in (1, 7, 64, 65, 66, 1000):

            def split(data: bytes, size: int = size) -> None:
                for begins in range(0, len(data), size):
                    receive(data[begins : begins + size])

            self.patch(broker, "dataReceived", split)
            for length in (0, 1, 60, 64, 65, 66, 127, 128, 129, 5000, 20_000):
                stream, data = f"{size}-{length}", os.urandom(length)
                await far.append(stream, 0, data)
                self.assertEqual(command.streams[stream], data)

        self.assertEqual(broker.disconnected, False)
        parsed.clear()
        await far.append("long", 0, os.urandom(LARGEST_CHUNK))
        self.assertLess(len(parsed), 10)

    @with_reactor
    async def test_nothing_is_kept_after_a_breach(self) -> None:
        """
        Data after a protocol violation is not buffered.
        """
        await self.slave()
        (broker,) = self.farm.brokers.values()
        broker.transport.stopReading()
        broker.dataReceived(begin(0, b"call") + number(1) + number(0) + string(b"x" * 200, 1 << 31))
        for _ in range(100):
            broker.dataReceived(b"x" * 1000)

        self.assertLess(len(broker.buffer), 1000)

    @with_reactor
    async def test_nothing_is_kept_after_an_error(self) -> None:
        """
        Data after the peer's ERROR token is not buffered: the link is cut.
        """
        await self.slave()
        (broker,) = self.farm.brokers.values()
        broker.dataReceived(number(0, 0x8D) + string(b"x" * 200, 1 << 31))
        for _ in range(100):
            broker.dataReceived(b"x" * 1000)

        self.assertLess(len(broker.buffer), 1000)
        self.assertTrue(broker.disconnected)

    @with_reactor
    async def test_revoked(self) -> None:
        """
        Revoking cuts the link; from then on, the FURL is refused with the sentence of the revocation.
        """
        _, link = await self.slave()
        self.revocable.revoke(RevokedError())
        await until(lambda: link.lost)
        self.assertEqual(self.revocable.links, ())

        error = await failing(self.tubs[-1].getReference(self.url))
        assert isinstance(error, RemoteException)
        self.assertIn("no longer valid", error.failure.value)

    @with_reactor
    async def test_no_address(self) -> None:
        """
        An object that is passed by reference gets no FURL.
        """
        await self.command()
        slave = self.tubs[-1]
        (mine,) = slave.brokers.values()

        self.assertEqual({tracker.url for tracker in mine.yourReferenceByCLID.values()}, {None})
        self.assertEqual(len(self.farm.nameToReference), 0)
        self.assertIsNone(self.farm.getOrCreateURLForReference(Referenceable()))

    @with_reactor
    async def test_command_given_back(self) -> None:
        """
        A slave gives the reference to a command back when it has forgotten the command, and waits for no answer.
        """
        desk, _ = await self.slave()
        slave, command = RecordingSlave(), RecordingCommand()
        await desk.attach(slave, HELLO, "")
        await self.desk.slaves[-1].start("1", Run(argv=("true",)), {}, command)
        (mine,) = self.tubs[-1].brokers.values()
        (theirs,) = self.farm.brokers.values()
        held, exposed = len(mine.yourReferenceByCLID), len(theirs.myReferenceByCLID)
        asked: list[object] = []
        mine.addRequest = asked.append

        slave.commands.clear()
        gc.collect()
        await until(lambda: len(theirs.myReferenceByCLID) < exposed)

        self.assertEqual(len(mine.yourReferenceByCLID), held - 1)
        self.assertEqual(asked, [])

    @with_reactor
    async def test_contract_broken(self) -> None:
        """
        An authenticated link is cut because of a protocol violation.
        """
        _, link = await self.slave()
        (mine,) = self.tubs[-1].brokers.values()

        mine.transport.write(begin(0, b"call") + number(1) + number(0) + string(b"x", 1 << 31))

        await until(lambda: link.lost)

    @with_reactor
    async def test_many_calls(self) -> None:
        """
        The number of unanswered calls is bounded.
        """
        command, far = await self.command()
        command.answer = Deferred()

        calls = [far.append("stdio", n, b"") for n in range(1100)]

        for call in calls:
            self.assertIsInstance(await failing(call), LinkLostError)
        command.answer.callback(0)


async def refusal(broker: Any, method: str, **arguments: Any) -> str:
    """
    Return all text that an unauthenticated peer gets about the failure of its call of object 0.
    """
    call = broker.remote_broker.callRemote(method, **arguments)
    text: str = await call.addErrback(lambda failure: f"{failure.value} {failure.traceback} {failure.parents}")
    return text


def _length(offset: int, data: bytes) -> Deferred[int]:
    answer: Deferred[int] = Deferred()
    answer.callback(offset + len(data))
    return answer


def _bytes(size: int) -> Deferred[bytes]:
    answer: Deferred[bytes] = Deferred()
    answer.callback(b"x" * size)
    return answer
