"""
Large answers, which are sent piece by piece.
"""

import gc
import sys
import weakref
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.web import dispatcher
from buildbot_lite.web.dispatcher import Pages
from buildbot_lite.web.replies.kept_replies import LARGEST_KEPT
from buildbot_lite.web.replies.large_replies import LARGEST_WHOLE, LargeReplies
from buildbot_lite.web.root import SiteRoot
from buildbot_lite.web.serving.byte_budget import ByteBudget
from buildbot_lite.web.serving.fair_places import UNKNOWN, Occupant
from buildbot_lite.web.serving.rooms import MOST_IN_ALL, Rooms
from buildbot_lite.web.serving.site import make_factory
from buildbot_lite.web.serving.timed_producer import SMALL_BUFFER
from buildbot_lite.web.view import Reply, Route

from .pages_case import PagesCase, received


class FakeRequest:
    """
    Twisted's request, whose client reads nothing until *producer* is resumed.
    """

    method = b"GET"
    largest_piece = 1 << 20

    def __init__(self, occupant: Occupant) -> None:
        self.occupant = occupant
        self.channel: Any = self
        self.transport = self
        self.written = b""
        self.cut = self.finished = False

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """
        The buffer is full from now on.
        """
        self.producer = producer

    def unregisterProducer(self) -> None:
        """
        Everything is written.
        """

    def write(self, data: bytes) -> None:
        """
        Each piece fills the buffer.
        """
        self.written += data
        self.producer.pauseProducing()

    def finish(self) -> None:
        """
        It is complete.
        """
        self.finished = True

    def abortConnection(self) -> None:
        """
        It is cut.
        """
        self.cut = True


class LargeRepliesTests(SynchronousTestCase):
    """
    What clients have not read of large answers is bounded.
    """

    def setUp(self) -> None:
        most = 10 * LARGEST_WHOLE
        self.large = LargeReplies(Clock(), ByteBudget(most).share(most))

    def sent(self, body: bytes, occupant: Occupant = UNKNOWN) -> tuple[FakeRequest, Deferred[None]]:
        """
        The request of *occupant* to which *body* is sent.
        """
        request = FakeRequest(occupant)
        return request, Deferred.fromCoroutine(self.large.send(request, body))

    def test_pieces(self) -> None:
        """
        Promise 10.10: a client has one piece at a time, and gets all of them; the first is small, and each is at most
        twice as large as what the client has read before.
        """
        body = bytes(range(256)) * 1000
        request, done = self.sent(body)
        self.assertEqual(request.written, body[:LARGEST_WHOLE])
        sizes = [len(request.written)]
        while not request.finished:
            before = len(request.written)
            request.producer.resumeProducing()
            sizes.append(len(request.written) - before)
        self.assertEqual(sizes[:6], [4096, 8192, 16_384, 32_768, 65_536, 65_536])
        self.assertGreater(LARGEST_WHOLE, SMALL_BUFFER)
        self.assertEqual(request.written, body)
        self.successResultOf(done)
        self.assertEqual(self.large.share.held, 0)

    def test_small_pieces(self) -> None:
        """
        When many have not read theirs, a client gets smaller pieces, and all of them.
        """
        body = bytes(range(256)) * 1000
        request, done = self.sent(body)
        request.largest_piece = 5000
        while not request.finished:
            before = len(request.written)
            request.producer.resumeProducing()
            self.assertLessEqual(len(request.written) - before, 5000)
        self.assertEqual(request.written, body)
        self.successResultOf(done)

    def test_shared(self) -> None:
        """
        Promise 10.10: many who get the same answer count as one, and nobody is cut.
        """
        body = b"x" * 8 * LARGEST_WHOLE
        requests = [self.sent(body)[0] for _ in range(100)]
        self.assertEqual(self.large.share.held, len(body))
        self.assertFalse(any(each.cut for each in requests))

    def test_shared_beyond(self) -> None:
        """
        Who gets an answer that others read takes no more memory, so that nobody is cut for them, also if it is larger
        than all together may be.
        """
        body = b"x" * 20 * LARGEST_WHOLE
        requests = [self.sent(body)[0] for _ in range(3)]
        self.assertFalse(any(each.cut for each in requests))

    def test_cut(self) -> None:
        """
        Promise 10.10: of too many different answers, those that are being read for longest are cut.
        """
        sent = [self.sent(b"%d" % number * 4 * LARGEST_WHOLE) for number in range(3)]
        self.assertEqual([request.cut for request, _ in sent], [True, False, False])
        self.assertEqual(self.large.share.held, 8 * LARGEST_WHOLE)
        # As when a connection is lost.
        for _, done in sent:
            done.cancel()
            self.failureResultOf(done, CancelledError)
        self.assertEqual(self.large.share.held, 0)

    def test_flood(self) -> None:
        """
        Promise 10.10: a flood of answers that are not read displaces itself, and not those who began before it; an
        answer that many read counts little for each of them.
        """
        body = b"o" * 3 * LARGEST_WHOLE
        others = [self.sent(body, Occupant.at(f"192.0.2.{number}"))[0] for number in range(3)]
        holder, _ = self.sent(b"h" * 2 * LARGEST_WHOLE, Occupant.holding(1))
        flooder = Occupant.at("192.0.2.9")
        flood = [self.sent(b"%03d" % number * LARGEST_WHOLE, flooder)[0] for number in range(20)]
        self.assertEqual([each.cut for each in (*others, holder)], [False] * 4)
        self.assertEqual([each.cut for each in flood], [True] * 19 + [False])
        newcomer, _ = self.sent(b"n" * 5 * LARGEST_WHOLE, Occupant.at("192.0.2.5"))
        self.assertEqual([each.cut for each in (*others, holder, newcomer, flood[-1])], [False] * 5 + [True])

    def test_flood_of_one(self) -> None:
        """
        Of one visitor, all that read the same answer give way together: one of them alone would free nothing.
        """
        body = b"x" * 6 * LARGEST_WHOLE
        flood = [self.sent(body, Occupant.at("192.0.2.9"))[0] for _ in range(3)]
        other, _ = self.sent(b"o" * 4 * LARGEST_WHOLE, Occupant.at("192.0.2.1"))
        self.sent(b"n" * LARGEST_WHOLE, Occupant.at("192.0.2.2"))
        self.assertEqual([each.cut for each in (*flood, other)], [True] * 3 + [False])

    def test_largest(self) -> None:
        """
        An answer that is larger than all together may be is sent alone.
        """
        request, _ = self.sent(b"x" * 20 * LARGEST_WHOLE)
        self.assertFalse(request.cut)
        self.assertGreater(Rooms().answers.sure, 1 << 20)


class PageTurnsTests(PagesCase):
    """
    Pages take turns.
    """

    def test_turns(self) -> None:
        """
        Promise 10.10: no more pages are made at a time than a few; who waits gets theirs, or leaves.
        """
        making: list[Deferred[Reply]] = []

        async def page(view: Any, asked: Any) -> Reply:
            making.append(Deferred())
            return await making[-1]

        self.patch(dispatcher, "MOST_AT_ONCE", 4)
        self.factory = make_factory(SiteRoot(Pages(self.view, [Route("/slow", page)]).resource(), None), self.clock)
        self.factory.doStart()
        transports = [self.send(b"GET /slow?%d HTTP/1.1\r\nHost: localhost:8010\r\n\r\n" % n) for n in range(4)]
        self.assertEqual(len(making), 2)
        self.connections[2].connectionLost(Failure(ConnectionDone()))
        making[0].callback(Reply(200, b"first"))
        self.assertEqual(len(making), 3)
        making[2].callback(Reply(200, b"last"))
        self.assertEqual([received(transports[at].value()).body for at in (0, 3)], [b"first", b"last"])
        making[1].callback(Reply(200, b"x" * 3 * LARGEST_WHOLE))
        self.assertEqual(len(received(transports[1].value()).body), 3 * LARGEST_WHOLE)

    def test_lost(self) -> None:
        """
        Promise 10.10: when the client of a large answer is gone, so are the answer and its connection, at once: they do
        not wait for the garbage collector.
        """
        gc.disable()
        self.addCleanup(gc.enable)
        # Too large to be kept for others.
        body = b"x" * LARGEST_KEPT

        async def page(view: Any, asked: Any) -> Reply:
            return Reply(200, body)

        routes = [Route("/large", page), Route("/anew", page, kept=0)]
        self.factory = make_factory(SiteRoot(Pages(self.view, routes).resource(), None), self.clock)
        self.factory.doStart()
        before = sys.getrefcount(body)
        for path in (b"large", b"anew"):
            transport = self.send(b"GET /%s HTTP/1.1\r\nHost: localhost:8010\r\n\r\n" % path)
            self.assertGreater(sys.getrefcount(body), before, path)
            # A real transport forgets its producer when it is lost.
            transport.unregisterProducer()
            gone = weakref.ref(transport)
            del transport
            self.connections.pop().connectionLost(Failure(ConnectionDone()))
            self.assertEqual(sys.getrefcount(body), before, path)
            self.assertIsNone(gone(), path)

    def test_cut_at_once(self) -> None:
        """
        Promise 10.10: of too many large answers, those that are cut are gone before the next one is made, also if the
        reactor learns of their lost connections later.
        """
        bodies = [b"%d" % number * MOST_IN_ALL for number in range(3)]
        before = [sys.getrefcount(each) for each in bodies]
        left = list(bodies)

        async def page(view: Any, asked: Any) -> Reply:
            return Reply(200, left.pop())

        self.factory = make_factory(SiteRoot(Pages(self.view, [Route("/large", page)]).resource(), None), self.clock)
        self.factory.doStart()
        for number in range(3):
            self.send(b"GET /large?%d HTTP/1.1\r\nHost: localhost:8010\r\n\r\n" % number)
        after = [sys.getrefcount(each) for each in bodies]
        self.assertEqual([before[0] < after[0], *after[1:]], [True, *before[1:]])

    def test_forgotten(self) -> None:
        """
        Promise 10.10: while a client reads an answer, nothing is kept of how it was made, nor of what was asked.
        """
        gc.disable()
        self.addCleanup(gc.enable)
        made: list[weakref.ref[Any]] = []

        async def page(view: Any, asked: Any) -> Reply:
            made.append(weakref.ref(asked))
            # More than is sent in one turn of the reactor.
            return Reply(200, b"." * (64 * LARGEST_WHOLE))

        self.factory = make_factory(SiteRoot(Pages(self.view, [Route("/large", page)]).resource(), None), self.clock)
        self.factory.doStart()
        transport = self.send(b"GET /large?" + b"a" * 5000 + b" HTTP/1.1\r\nHost: localhost:8010\r\n\r\n")
        self.assertIn(b"200", transport.value()[:20])
        self.assertIsNone(made[0]())
        (request,) = self.connections[-1].wrappedProtocol.requests
        self.assertEqual((request.uri, list(request.requestHeaders.getAllRawHeaders())), (b"", []))
