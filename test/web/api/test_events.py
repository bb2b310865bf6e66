"""
The stream of events, in memory.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any
from unittest.mock import patch

from sqlalchemy import Connection
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from buildbot_lite.errors import RecordsFailingError
from buildbot_lite.model.results import Result
from buildbot_lite.storage.records import feed
from buildbot_lite.storage.records.feed import FeedPage
from buildbot_lite.web.api.problems import PROBLEM
from buildbot_lite.web.farm import feed_streams
from buildbot_lite.web.farm.event_stream import HEARTBEAT, LONGEST_PAUSE
from buildbot_lite.web.farm.feed_streams import FeedStreams
from buildbot_lite.web.farm.master_watch import FarmChange, NewsOfFarm
from buildbot_lite.web.page_request import PageRequest
from buildbot_lite.web.serving.bounded_request import BoundedRequest
from buildbot_lite.web.serving.fair_places import FairPlaces, Occupant

from ..pages_case import NOW, PagesCase, received
from ..test_pages import a_build

EMPTY: frozenset[Any] = frozenset()


class CutTransport(StringTransport):
    """
    A connection that knows whether it was cut.
    """

    cut = False

    def writeSequence(self, data: Any) -> None:
        self.write(b"".join(data))

    def abortConnection(self) -> None:
        self.cut = True


class StreamClient:
    """
    A client with one open stream, or with the refusal that it got.
    """

    def __init__(self, factory: Any, address: str, last: str | None) -> None:
        self.transport = CutTransport(peerAddress=IPv4Address("TCP", "127.0.0.1", 2))
        self._protocol = factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
        self._protocol.makeConnection(self.transport)
        header = "" if last is None else f"Last-Event-ID: {last}\r\n"
        self._protocol.dataReceived(f"GET {address} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n".encode())
        self.answer = received(self.transport.value())

    @property
    def messages(self) -> Sequence[tuple[str | None, str | None, Any]]:
        """
        What came: id, event and data of each.
        """
        messages = []
        for block in received(self.transport.value()).body.decode().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":"))
            if "id" in fields or "event" in fields:
                messages.append((fields.get("id"), fields.get("event"), json.loads(fields.get("data", "null"))))
        return messages

    @property
    def ids(self) -> Sequence[int]:
        """
        The numbers of the events that came.
        """
        return [int(seq or 0) for seq, kind, _ in self.messages if kind == "feed"]

    def disconnect(self) -> None:
        """
        Hang up.
        """
        self._protocol.connectionLost(Failure(ConnectionDone()))


class CountedReads:
    """
    Reading the records, which can fail.
    """

    def __init__(self, read: Callable[..., Deferred[FeedPage]]) -> None:
        self._read = read
        self.count = 0
        self.failing = False

    def __call__(self, query: Callable[[Connection], FeedPage]) -> Deferred[FeedPage]:
        self.count += 1
        if self.failing:
            return fail(RecordsFailingError())
        return self._read(query)


class EventsTests(PagesCase):
    """
    ``/api/v1/events``.
    """

    def setUp(self) -> None:
        super().setUp()
        self.reads = CountedReads(self.records.read)
        self.view.events._read = self.reads
        self.seq = 0
        self.tell()

    def listen(self, query: str = "", last: str | None = None) -> StreamClient:
        """
        Open a stream.
        """
        return StreamClient(self.factory, f"/api/v1/events{query}", last)

    def publish(self, kind: str = "x", *, many: int = 1, **more: Any) -> None:
        """
        Commit events.
        """

        def change(connection: Connection) -> None:
            for _ in range(many):
                feed.publish(connection, kind, now=NOW, **more)

        self.successResultOf(self.records.write(change))
        self.seq += many

    def tell(self, live: int = 0) -> None:
        """
        The master tells what is new.
        """
        self.news.tell(FarmChange(self.seq, EMPTY, EMPTY, "g", live))

    def test_begins_now(self) -> None:
        """
        A stream begins at the newest event, and names it, so that it continues there.
        """
        self.publish(many=3)
        self.tell()
        client = self.listen()
        self.assertEqual(client.answer.headers["content-type"], "text/event-stream; charset=utf-8")
        self.assertEqual(client.messages, [("3", None, None)])
        self.publish("build.started", body={"reason": "a\nb"})
        self.tell()
        body = {"kind": "build.started", "request": None, "build": None, "at": NOW, "body": {"reason": "a\nb"}}
        self.assertEqual(client.messages[1:], [("4", "feed", body)])

    def test_resumes(self) -> None:
        """
        Promise 10.5: a stream continues after the last event that its client has, without a gap or a repetition.
        """
        self.publish(many=3)
        client = self.listen(last="1")
        self.assertEqual(client.ids, [2, 3])
        client.disconnect()
        self.publish(many=2)
        self.tell()
        self.assertEqual(self.listen(last="3").ids, [4, 5])
        self.assertEqual(self.listen("?after=3").ids, [4, 5])
        # The header is newer than the address.
        self.assertEqual(self.listen("?after=0", last="4").ids, [5])

    def test_long_resumption(self) -> None:
        """
        A client that missed many events gets them in several reads, with those that come meanwhile.
        """
        self.patch(feed_streams, "MOST_EVENTS", 10)
        self.publish(many=35)
        self.tell()
        self.assertEqual(self.listen("?after=0").ids, list(range(1, 36)))

    def test_pruned(self) -> None:
        """
        If events after the client's last one were removed, it is told to load all again.
        """
        self.publish(many=3)
        self.successResultOf(self.records.write(lambda connection: feed.prune(connection, NOW + 1)))
        for last in ("1", "99", "nonsense"):
            self.assertEqual(self.listen(last=last).messages, [("3", "resync", {"seq": 3})], last)
        self.assertEqual(self.listen(last="2").ids, [3])

    def test_one_read(self) -> None:
        """
        An event is read once for all streams.
        """
        clients = [self.listen() for _ in range(50)]
        self.publish()
        before = self.reads.count
        self.tell()
        self.assertEqual(self.reads.count - before, 1)
        self.assertEqual([client.ids for client in clients], [[1]] * 50)

    def test_topics(self) -> None:
        """
        A stream of one builder or build has its events alone; its number follows the feed all the same.
        """
        build = self.successResultOf(self.records.write(a_build("linux", 1, Result.SUCCESS)))
        of_builder, of_build, other = (
            self.listen(f"?topic={topic}") for topic in ("builder:linux", f"build:{build}", "builder:bsd")
        )
        self.publish(request=1)
        self.publish(request=1, build=build)
        self.publish()
        self.tell()
        self.assertEqual((of_builder.ids, of_build.ids, other.ids), ([1, 2], [2], []))
        self.clock.pump([1.0] * 16)
        self.assertEqual(other.messages[-1], ("3", None, None))

    def test_refused(self) -> None:
        """
        Unusable parameters are refused with a sentence.
        """
        for query in ("?topic=x", "?topic=build:x", "?after=x", "?after=1234567890123456789"):
            answer = self.listen(query).answer
            self.assertEqual((answer.status, answer.headers["content-type"]), (400, "application/problem+json"))

    def test_many(self) -> None:
        """
        Promise 10.7: of too many streams of one visitor, those that are open stay, and further ones are refused, with
        when to come again; for another visitor, the oldest makes room.
        """
        self.view.events._places = FairPlaces(2)
        clients = [self.listen() for _ in range(3)]
        self.assertEqual([each.answer.status for each in clients], [200, 200, 503])
        refused = clients[2].answer
        self.assertEqual((refused.headers["content-type"], refused.headers["retry-after"]), (PROBLEM, "5"))
        self.assertEqual([each.transport.cut for each in clients[:2]], [False, False])
        clients[1].disconnect()
        self.assertEqual(self.listen().answer.status, 200)
        with patch.object(PageRequest, "occupant", Occupant.at("192.0.2.1")):
            self.assertEqual((self.listen().answer.status, clients[0].transport.cut), (200, True))

    def test_became_private(self) -> None:
        """
        Promise 10.7: when the farm becomes private, the streams of those without a grant are cut.
        """
        client = self.listen()
        for private in (False, True):
            self.master.answers["www"] = {**self.master.answers["www"], "private": private}
            self.successResultOf(Deferred.fromCoroutine(self.live.answer("www", fresh=0.0)))
            self.assertEqual(client.transport.cut, private)

    def test_live(self) -> None:
        """
        What is not in the feed is told without a number: slaves and queue, and whether the master is here.
        """
        client = self.listen()
        self.tell(live=1)
        self.tell(live=1)
        self.live.is_away()
        self.live.is_away()
        self.live.is_here()
        here = (None, "live", {"away_since": None})
        self.assertEqual(client.messages[1:], [here, (None, "live", {"away_since": NOW}), here])

    def test_away(self) -> None:
        """
        Without the master's news the records are looked at once a second, while somebody listens.
        """
        client = self.listen()
        self.news.tell(None)
        before = self.reads.count
        self.publish()
        self.clock.advance(1)
        self.assertEqual((client.ids, self.reads.count - before), ([1], 1))
        client.disconnect()
        self.clock.advance(5)
        self.assertEqual(self.reads.count - before, 1)

    def test_records_fail(self) -> None:
        """
        While the records cannot be read nothing is lost.
        """
        client = self.listen()
        self.publish()
        self.reads.failing = True
        self.tell()
        self.assertEqual(client.ids, [])
        self.reads.failing = False
        self.clock.advance(1)
        self.assertEqual(client.ids, [1])

    def test_slow_client(self) -> None:
        """
        A client that does not read is sent nothing, gets all when it reads, and is cut if it does not for long.
        """
        client = self.listen()
        assert client.transport.producer is not None
        client.transport.producer.pauseProducing()
        self.publish(many=3)
        self.tell(live=1)
        self.tell(live=2)
        self.assertEqual(len(client.messages), 1)
        client.transport.producer.resumeProducing()
        self.assertEqual(client.ids, [1, 2, 3])
        self.assertEqual(sum(kind == "live" for _, kind, _ in client.messages), 1)
        client.transport.producer.pauseProducing()
        self.clock.pump([1.0] * int(LONGEST_PAUSE))
        self.assertTrue(client.transport.cut)

    def test_paused_between(self) -> None:
        """
        A client whose buffer is full in the middle of a page continues at the event where it stopped.
        """
        client = self.listen()
        channel: Any = client.transport.producer
        write = client.transport.write

        def full(data: bytes) -> None:
            write(data)
            channel.pauseProducing()

        self.publish(many=100, body={"text": "x" * 1000})
        with patch.object(client.transport, "write", full):
            self.tell()
            self.assertIn(len(client.ids), range(1, 50))
            for _ in range(20):
                channel.resumeProducing()
        self.assertEqual(client.ids, list(range(1, 101)))

    def test_small_writes(self) -> None:
        """
        Promise 10.10: while many clients do not read, a stream is written in smaller pieces: all are written before the
        first is sent.
        """
        client = self.listen()
        written: list[int] = []
        write = client.transport.write

        def counted(data: bytes) -> None:
            written.append(len(data))
            write(data)

        self.publish(many=100, body={"text": "x" * 1000})
        with (
            patch.object(client.transport, "write", counted),
            patch.object(BoundedRequest, "largest_piece", 5000),
        ):
            self.tell()
        self.assertEqual(client.ids, [*range(1, 101)])
        self.assertGreater(max(written), 5000)
        self.assertLess(max(written), 6500)

    def test_heartbeat(self) -> None:
        """
        A quiet stream has a sign of life now and then, so that proxies keep it.
        """
        client = self.listen()
        before = len(client.transport.value())
        self.clock.pump([1.0] * int(HEARTBEAT))
        self.assertTrue(received(client.transport.value()).body.endswith(b":\nid: 0\n\n"))
        self.assertGreater(len(client.transport.value()), before)

    def test_both_processes_restart(self) -> None:
        """
        Another web process, before it has heard of the master, continues the streams of the one before.
        """
        self.publish(many=2)
        self.tell()
        first = self.listen("?after=0")
        first.disconnect()
        self.publish(many=2)
        again = FeedStreams(self.records.read, NewsOfFarm(), self.live, self.clock)
        self.view.events.serve = again.serve  # type: ignore[method-assign]
        second = self.listen(last=str(first.ids[-1]))
        self.assertEqual([*first.ids, *second.ids], [1, 2, 3, 4])
