"""
What connections hold beside bodies and answers.
"""

import gc
import tracemalloc
import weakref
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from buildbot_lite.web.serving.body_room import BodyRoom
from buildbot_lite.web.serving.http_channel import HEADER, USUAL_HEADERS
from buildbot_lite.web.serving.site import SMALL_HEAD, make_factory

from .test_hooks import EndlessPage, HookCase


class WaitingPage(EndlessPage):
    """
    A page that is answered when the test says so: *asked* are its requests.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Any] = []

    def render(self, request: Any) -> Any:
        self.asked.append(request)
        return super().render(request)


class StreamingPage(EndlessPage):
    """
    A page of which the beginning is sent.
    """

    def render(self, request: Any) -> Any:
        request.registerProducer(self, True)
        request.write(b"x")
        return super().render(request)

    def stopProducing(self) -> None:
        """
        The client has gone.
        """


class ConnectionMemoryTests(HookCase):
    def test_heads(self) -> None:
        """
        Promise 10.10: heads that do not come to their end, and requests behind one that is being answered, are bounded
        in all, and a flood of them displaces itself; what a usual request needs does not count.
        """
        self.factory = make_factory(EndlessPage(), self.clock)
        self.factory.doStart()
        self.factory.rooms.heads = BodyRoom.of(300_000)
        first = b"GET / HTTP/1.1\r\nHost: x\r\n"
        headers = b"".join(b"X-%d: a\r\n" % number for number in range(200))
        behind = b"\r\n" + b"y" * 15_000
        usual, _ = self.connect("192.0.2.1")
        usual.dataReceived(first + headers[:150])
        self.assertEqual(self.factory.rooms.heads.held, 0)
        transports: list[StringTransport] = []
        protocols: list[Any] = []
        for host in ("192.0.2.1", *("192.0.2.9",) * 4):
            protocol, transport = self.connect(host)
            protocol.dataReceived(first + headers)
            before = self.factory.rooms.heads.held
            # Its request is being answered now, and as much as Twisted takes waits behind it.
            protocol.dataReceived(behind)
            self.assertGreaterEqual(self.factory.rooms.heads.held, min(before + 15_000, 200_000))
            transports.append(transport)
            protocols.append(protocol)
        self.assertEqual([each.disconnected for each in transports], [False, True, True, False, False])
        self.assertLessEqual(self.factory.rooms.heads.held, 300_000)
        for each in (usual, *protocols):
            each.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.factory.rooms.heads.held, 0)

    def test_answered_heads(self) -> None:
        """
        A head counts until its request is answered, on a connection that stays.
        """
        headers = b"".join(b"X-%d: a\r\n" % number for number in range(200))
        protocol, transport = self.connect()
        protocol.dataReceived(b"GET / HTTP/1.1\r\nHost: x\r\n" + headers)
        self.assertGreater(self.factory.rooms.heads.held, (200 - USUAL_HEADERS) * HEADER - SMALL_HEAD)
        protocol.dataReceived(b"\r\n")
        self.assertIn(b"404", transport.value())
        self.assertEqual((self.factory.rooms.heads.held, transport.disconnecting), (0, False))

    def test_counted_addresses(self) -> None:
        """
        Promise 10.10: an address that is long counts while it waits for its answer.
        """
        self.factory = make_factory(WaitingPage(), self.clock)
        self.factory.doStart()
        for _ in range(10):
            self.send(b"GET /" + b"a" * 7000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertGreater(self.factory.rooms.heads.held, 10 * (7000 - SMALL_HEAD))

    def test_chunks(self) -> None:
        """
        Promise 10.10: a body in chunks keeps nothing behind its last one, and what is kept of its lines counts.
        """
        protocol, transport = self.connect()
        head = b"POST /enter HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nX: " + b"a" * SMALL_HEAD + b"\r\n\r\n"
        protocol.dataReceived(head)
        before = self.factory.rooms.heads.held
        protocol.dataReceived(b"1;" + b"a" * 500)
        self.assertEqual(self.factory.rooms.heads.held, before + 502)
        protocol.dataReceived(b"\r\nx\r\n0\r\n\r")
        self.assertFalse(transport.disconnecting)
        protocol.dataReceived(b"\n")
        self.assertIn(b"404", transport.value())
        protocol.dataReceived(head + b"0\r\n" + b"a\r\n" * 600)
        self.assertTrue(transport.disconnecting)

    def test_sent_ahead(self) -> None:
        """
        Promise 10.10: when something comes behind a request that is being answered, no more is read, also when the
        answer is not read; the rest is read when the answer is done and read.
        """
        page = WaitingPage()
        self.factory = make_factory(page, self.clock)
        self.factory.doStart()
        protocol, transport = self.connect()
        protocol.dataReceived(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        producer: Any = transport.producer
        producer.pauseProducing()
        # While nothing has come, whether the client has gone is seen.
        self.assertEqual(transport.producerState, "producing")
        protocol.dataReceived(b"G")
        self.assertEqual(transport.producerState, "paused")
        producer.resumeProducing()
        self.assertEqual(transport.producerState, "paused")
        page.asked[0].finish()
        self.assertEqual(transport.producerState, "producing")
        protocol.dataReceived(b"ET /second HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual([each.path for each in page.asked], [b"/", b"/second"])

    def test_long_addresses(self) -> None:
        """
        Promise 10.10: a request that waits keeps its address once.
        """
        page = WaitingPage()
        self.factory = make_factory(page, self.clock)
        self.factory.doStart()
        connections: list[Any] = [self.connect() for _ in range(200)]
        held = []
        for size in (10, 7000):
            gc.collect()
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
            for number in range(100):
                protocol, _ = connections.pop()
                protocol.dataReceived(b"GET /?%d=%s HTTP/1.1\r\nHost: x\r\n\r\n" % (number, b"a" * size))
            held.append((tracemalloc.get_traced_memory()[0] - before) / 100)
            tracemalloc.stop()
        self.assertEqual(len(page.asked), 200)
        self.assertLess(held[1] - held[0], 1.5 * 7000)

    def test_answered_slowly(self) -> None:
        """
        A connection whose request is being answered takes a few kilobytes, without what is sent.
        """
        request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        self.factory = make_factory(StreamingPage(), self.clock)
        self.factory.doStart()
        connections: list[Any] = [self.connect() for _ in range(300)]
        for protocol, _ in connections[:100]:
            protocol.dataReceived(request)
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        for protocol, _ in connections[100:]:
            protocol.dataReceived(request)
        self.assertLess(tracemalloc.get_traced_memory()[0] / 200, 4200)

    def test_names(self) -> None:
        """
        Promise 10.10: long and many names of headers are forgotten with their requests.
        """
        protocol, transport = self.connect()
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        for length in (1000, 10):
            for number in range(500):
                names = (b"X%d-%d%s: a\r\n" % (number, each, b"x" * length) for each in range(12))
                protocol.dataReceived(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(names) + b"\r\n")
                self.assertIn(b"404", transport.value())
                transport.clear()
        gc.collect()
        self.assertLess(tracemalloc.get_traced_memory()[0], 300_000)

    def test_lost(self) -> None:
        """
        Promise 10.10: when a connection is lost, its transport, with what was not sent, is gone at once, and does not
        wait for the garbage collector.
        """
        gc.disable()
        self.addCleanup(gc.enable)
        protocol, transport = self.connect()
        protocol.dataReceived(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        # A real transport forgets its producer when it is lost.
        transport.unregisterProducer()
        gone = weakref.ref(transport)
        protocol.connectionLost(Failure(ConnectionDone()))
        del transport
        self.assertIsNone(gone())
