"""
HTTP requests to the web process, without network and master.
"""

import errno
import os
import resource
from collections.abc import Sequence
from io import BytesIO
from typing import Any
from unittest import mock

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.server import NOT_DONE_YET

from buildbot_lite.errors import LinkLostError, NoAnswerError, RevokedError
from buildbot_lite.model.webhook import LARGEST_BODY, LONGEST_HEADER, Delivery, HookReply
from buildbot_lite.web.serving import site
from buildbot_lite.web.serving.body_room import BodyRoom
from buildbot_lite.web.serving.bounded_request import LARGEST_READ
from buildbot_lite.web.serving.rooms import LARGEST_FORM, Rooms
from buildbot_lite.web.serving.site import (
    LONGEST_REQUEST,
    MOST_CONNECTIONS,
    make_factory,
)
from buildbot_lite.web.serving.timed_producer import LONGEST_PAUSE, SMALL_BUFFER
from buildbot_lite.web.serving.web_page import WebPage
from buildbot_lite.web.webhooks.hooks import MOST_AT_ONCE, REPLY_TIMEOUT, ChangeHooks, Handover, HookInput
from buildbot_lite.wire.client import Submittable, Take


class FakeMaster:
    """
    A master: it notes what is submitted, and answers when the test says so.
    """

    def __init__(self) -> None:
        self.submitted: list[Delivery] = []
        self.answers: list[Deferred[int]] = []
        self.takes: list[Take] = []

    def submit(self, data: Submittable, take: Take) -> Deferred[int]:
        """
        The role of `SubmitClient.submit`.
        """
        self.submitted.append(Delivery.from_bytes(read(data)))
        self.takes.append(take)
        self.answers.append(Deferred())
        return self.answers[-1]

    def reply(self, out: bytes, err: bytes = b"", code: int = 0) -> None:
        """
        Answer the oldest submission.
        """
        take, answer = self.takes.pop(0), self.answers.pop(0)
        take(b"1" + out)
        take(b"2" + err)
        answer.callback(code)


def read(data: Submittable) -> bytes:
    """
    All of *data*, in pieces of 100,000 bytes.
    """
    data.seek(0)
    return b"".join(iter(lambda: data.read(100_000), b""))


class FullFile(BytesIO):
    """
    A file on a disk that has room for a form.
    """

    def write(self, data: Any) -> int:
        if self.tell() + len(data) > LARGEST_FORM:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


class EndlessPage(WebPage):
    """
    A page whose answer does not end.
    """

    isLeaf = True

    def render(self, request: Any) -> Any:
        return NOT_DONE_YET


class HookCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.master = FakeMaster()
        root = WebPage()
        root.putChild(b"change_hook", ChangeHooks(Handover(self.master.submit, self.clock)))
        self.factory = make_factory(root, self.clock)
        self.factory.doStart()

    def connect(self, host: str = "192.168.1.1") -> tuple[Any, StringTransport]:
        """
        A connection from *host*; None for its protocol: it is refused.
        """
        protocol = self.factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
        transport = StringTransport(peerAddress=IPv4Address("TCP", host, 54321))
        if protocol is not None:
            protocol.makeConnection(transport)
        return protocol, transport

    def send(self, *pieces: bytes) -> StringTransport:
        """
        Send *pieces* on a new connection.
        """
        protocol, transport = self.connect()
        for piece in pieces:
            protocol.dataReceived(piece)
        return transport

    def post(self, body: bytes = b"{}", path: str = "/change_hook/github", headers: Sequence[str] = ()) -> Any:
        """
        Send a POST.
        """
        lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers, "", ""]
        return self.send("\r\n".join(lines).encode(), body)

    def answer(self, transport: StringTransport) -> tuple[int, str]:
        """
        Status and body of the response.
        """
        head, _, body = transport.value().partition(b"\r\n\r\n")
        return int(head.split()[1]), body.decode()


class HookInputTests(SynchronousTestCase):
    def test_again(self) -> None:
        """
        A webhook can be read again, also from within its head or its body.
        """
        delivery = HookInput(b"head\n", BytesIO(b"body"))
        for _ in range(2):
            self.assertEqual(read(delivery), b"head\nbody")
        for offset, rest in ((3, b"d\nbody"), (7, b"dy"), (9, b"")):
            delivery.seek(offset)
            self.assertEqual(delivery.read(100), rest)


class HandingOverTests(HookCase):
    def test_delivery(self) -> None:
        """
        Promise 8.1: body and the headers of the dialect travel unchanged; others do not.
        """
        body = b"\x00not parsed\xff"
        sent = ("X-GitHub-Event: push", "X-Hub-Signature-256: sha256=1", "Cookie: a=b", "X-Gitlab-Token: t")
        transport = self.post(body, headers=sent)
        (found,) = self.master.submitted
        self.assertEqual(found.body, body)
        self.assertEqual(found.headers, {"x-github-event": "push", "x-hub-signature-256": "sha256=1"})
        self.assertEqual(transport.value(), b"")

        self.master.reply(HookReply(403, "wrong").to_bytes())
        self.assertEqual(self.answer(transport), (403, "wrong\n"))
        self.assertIn(b"nosniff", transport.value())

    def test_address(self) -> None:
        """
        Promise 8.1: project and codebase may stand in the address; a query that cannot be used is refused.
        """
        path = "/change_hook/gitlab"
        for query, expected in (
            ("", ("", "")),
            ("?project=a%2Fb&codebase=c&other=d", ("a/b", "c")),
            ("?codebase=%C3%A4", ("", "ä")),
        ):
            self.post(path=path + query)
            found = self.master.submitted[-1]
            self.assertEqual((found.project, found.codebase), expected)
            self.master.reply(HookReply(200, "recorded").to_bytes())
        self.post(b"project=body", path, ["Content-Type: application/x-www-form-urlencoded"])
        self.assertEqual(self.master.submitted[-1].project, "")
        submitted = len(self.master.submitted)
        for query, sentence in (
            (f"project={'x' * 201}", "The project in the address has more than 200 characters."),
            ("codebase=a%0Ab", "The codebase in the address contains characters that cannot be printed."),
            ("codebase=%00", "The codebase in the address contains characters that cannot be printed."),
            ("project=a%1B%5B2J", "The project in the address contains characters that cannot be printed."),
            ("codebase=a&codebase=b", "The address has more than one codebase."),
            ("&".join(f"x{number}=1" for number in range(11)), "The address has more than 10 fields."),
        ):
            self.assertEqual(self.answer(self.post(path=f"{path}?{query}")), (400, f"{sentence}\n"), query)
        self.assertEqual(len(self.master.submitted), submitted)

    def test_forms_are_not_parsed(self) -> None:
        """
        The body of a form travels unchanged too.
        """
        self.post(b"payload=%7B%7D", headers=["Content-Type: application/x-www-form-urlencoded"])
        self.assertEqual(self.master.submitted[0].body, b"payload=%7B%7D")
        self.post(b"--x\r\nnonsense", headers=["Content-Type: multipart/form-data; boundary=x"])
        self.assertEqual(self.master.submitted[1].body, b"--x\r\nnonsense")

    def test_no_answer(self) -> None:
        """
        Promise 8.1: while the master is down, the forge is told to send it again.
        """
        for error in (NoAnswerError(), LinkLostError()):
            transport = self.post()
            self.master.answers.pop(0).errback(error)
            self.assertEqual(self.answer(transport), (503, "The master does not answer.  Send this again later.\n"))
            self.assertIn(b"Retry-After: 60", transport.value())

    def test_refused_string(self) -> None:
        """
        A revoked string is the farm's matter: the forge learns nothing of it but 503.
        """
        transport = self.post()
        self.master.answers.pop(0).errback(RevokedError())
        self.assertEqual(self.answer(transport)[0], 503)

    def test_refused_submission(self) -> None:
        """
        A master that takes nothing now says why, with 503.
        """
        transport = self.post()
        self.master.reply(b"", b"20 submissions are coming in already.\n", code=2)
        self.assertEqual(self.answer(transport), (503, "20 submissions are coming in already.\n"))

    def test_patience(self) -> None:
        """
        A master that does not answer in time is away.
        """
        transport = self.post()
        self.clock.advance(REPLY_TIMEOUT)
        self.assertEqual(self.answer(transport)[0], 503)

    def test_turns(self) -> None:
        """
        A few deliveries are at the master at a time; the next waits for its turn.
        """
        transports = [self.post() for _ in range(MOST_AT_ONCE + 1)]
        self.assertEqual(len(self.master.submitted), MOST_AT_ONCE)
        self.master.reply(HookReply(200, "ok").to_bytes())
        self.assertEqual(self.answer(transports[0]), (200, "ok\n"))
        self.assertEqual(len(self.master.submitted), MOST_AT_ONCE + 1)

    def test_gone(self) -> None:
        """
        A forge that hangs up frees its turn.
        """
        from twisted.internet.error import ConnectionDone
        from twisted.python.failure import Failure

        protocol, _ = self.connect()
        protocol.dataReceived(b"POST /change_hook/github HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
        for _ in range(MOST_AT_ONCE):
            self.post()
        protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(len(self.master.submitted), MOST_AT_ONCE + 1)


class BoundsTests(HookCase):
    def test_addresses(self) -> None:
        """
        There is nothing but the addresses of the dialects, and they take nothing but POST.
        """
        for path in ("/", "/change_hook", "/change_hook/", "/change_hook/other", "/x/y", "/change_hook/github/x"):
            self.assertEqual(self.answer(self.post(path=path))[0], 404, path)
        transport = self.send(b"GET /change_hook/github HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual(self.answer(transport), (405, "A webhook is sent with POST.\n"))
        self.assertEqual(self.master.submitted, [])

    def test_large_body(self) -> None:
        """
        A body above the bound is not kept, and refused when it has come.
        """
        self.post(b"x" * LARGEST_BODY)
        self.assertEqual(len(self.master.submitted), 1)
        transport = self.post(b"x" * (LARGEST_BODY + 1))
        self.assertEqual(self.answer(transport), (413, "The body has more than 4 MiB.\n"))
        self.assertEqual(len(self.master.submitted), 1)

    def test_other_addresses(self) -> None:
        """
        Only webhooks have large bodies: at other addresses little is kept.
        """
        self.send(b"POST /other HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n", b"x" * LARGEST_FORM)
        self.assertEqual(self.factory.rooms.forms.held, LARGEST_FORM)
        self.send(b"POST /other HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n", b"x" * (LARGEST_FORM + 1))
        self.assertEqual(self.factory.rooms.forms.held, LARGEST_FORM)

    def test_many_bodies(self) -> None:
        """
        All bodies together are bounded: one that does not come to its end makes room for another, and there is none
        while requests with complete ones are answered; forms take no room of webhooks.
        """
        self.factory.rooms.hooks = BodyRoom.of(1000)
        self.factory.rooms.forms = BodyRoom.of(1000)
        head = b"POST /change_hook/github HTTP/1.1\r\nHost: x\r\nContent-Length: 600\r\n\r\n"
        form = b"POST /enter HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n"
        self.send(form, b"x" * 1000)
        (first, cut), (_, kept) = self.connect(), self.connect()
        first.dataReceived(head + b"x" * 500)
        self.post(b"x" * 600)
        self.assertEqual([each.disconnected for each in (cut, kept)], [True, False])
        first.connectionLost(Failure(ConnectionDone()))
        self.assertEqual((self.factory.rooms.hooks.held, len(self.master.submitted)), (600, 1))
        status, sentence = self.answer(self.post(b"x" * 600))
        self.assertEqual((status, sentence[:17]), (503, "There is no room "))
        self.assertEqual(len(self.master.submitted), 1)
        self.master.reply(HookReply(200, "ok").to_bytes())
        self.assertEqual((self.factory.rooms.hooks.held, self.factory.rooms.forms.held), (0, 1000))

    def test_large_in_file(self) -> None:
        """
        Promise 10.10: a body that is larger than a form is not in memory, and nobody else can open the file in which it
        is; the master gets all of it.
        """
        rooms = Rooms(self.mktemp())
        os.mkdir(rooms.directory or "")
        self.factory = make_factory(self.factory.root, self.clock, rooms)
        self.factory.doStart()
        body = bytes(range(256)) * 1000
        head = b"POST /change_hook/github HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
        protocol, _ = self.connect()
        protocol.dataReceived(head + body[:LARGEST_FORM])
        self.assertEqual((rooms.hooks.held, rooms.large_hooks.held), (LARGEST_FORM, 0))
        protocol.dataReceived(body[LARGEST_FORM:-1])
        self.assertEqual((rooms.hooks.held, rooms.large_hooks.held), (0, len(body) - 1))
        (request,) = protocol.wrappedProtocol.requests
        kept = request.content
        self.assertTrue(kept._rolled)
        self.assertEqual(os.listdir(rooms.directory or ""), [])
        protocol.dataReceived(body[-1:])
        self.assertEqual(self.master.submitted[0].body, body)
        self.master.reply(HookReply(200, "ok").to_bytes())
        self.assertEqual((rooms.large_hooks.held, kept.closed), (0, True))

    def test_disk_full(self) -> None:
        """
        A body that cannot be written down is refused: it may be sent again later.  The log says why, once a minute.
        """
        lines: list[Any] = []
        observer: Any = lines.append
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        with mock.patch.object(self.factory.rooms, "new_body", FullFile):
            transports = [self.post(b"x" * (LARGEST_FORM + 1)) for _ in range(2)]
        self.assertEqual([self.answer(each)[0] for each in transports], [503, 503])
        self.assertIn("There is no room", self.answer(transports[0])[1])
        self.assertEqual([each["why"] for each in lines], ["[Errno 28] No space left on device"])
        self.assertEqual((self.master.submitted, self.factory.rooms.large_hooks.held), ([], 0))

    def test_nearly_full_disk(self) -> None:
        """
        Of a body that does not fit on the disk when it is moved there from memory, nothing is handed over.
        """
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FORM // 2, before[1]))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_FSIZE, before)
        transport = self.post(b"x" * (LARGEST_FORM + 1))
        self.assertEqual(self.answer(transport)[0], 503)
        self.assertEqual((self.master.submitted, self.factory.rooms.large_hooks.held), ([], 0))

    def test_one_address(self) -> None:
        """
        One address may have all connections, until others come: then it loses its oldest.
        """
        self.patch(site, "MOST_CONNECTIONS", 4)
        factory = make_factory(WebPage(), self.clock)
        factory.doStart()

        def connected(host: str) -> StringTransport:
            transport = StringTransport(peerAddress=IPv4Address("TCP", host, 1))
            factory.buildProtocol(transport.getPeer()).makeConnection(transport)
            return transport

        mine, other = [connected("192.0.2.1") for _ in range(4)], [connected("192.0.2.2") for _ in range(2)]
        self.assertEqual([each.disconnected for each in mine], [True, True, False, False])
        self.assertEqual([each.disconnected for each in other], [False, False])

    def test_unread(self) -> None:
        """
        A client that does not read what is written is cut after a time; one that reads slowly is not.
        """
        self.factory = make_factory(EndlessPage(), self.clock)
        self.factory.doStart()
        transport = self.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        producer: Any = transport.producer
        for _ in range(3):
            producer.pauseProducing()
            self.clock.advance(LONGEST_PAUSE - 1)
            producer.resumeProducing()
        self.clock.advance(LONGEST_PAUSE)
        self.assertFalse(transport.disconnected)
        producer.pauseProducing()
        self.clock.advance(LONGEST_PAUSE)
        self.assertTrue(transport.disconnected)

    def test_unread_in_all(self) -> None:
        """
        Promise 10.10: what waits in all full buffers is bounded; of too many, the one that is full for longest is cut.
        """
        self.factory = make_factory(EndlessPage(), self.clock)
        self.factory.doStart()
        self.factory.rooms.unread = BodyRoom.of(100)
        transports = [self.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(3)]
        producers: list[Any] = [each.producer for each in transports]
        for each in transports:
            self.fill(each, 40)
        self.assertEqual([each.disconnected for each in transports], [True, False, False])
        # What was read does not count any more.
        producers[2].resumeProducing()
        self.fill(transports[1], 100)
        self.assertFalse(transports[1].disconnected)
        self.fill(transports[1], 101)
        self.assertTrue(transports[1].disconnected)

    def fill(self, transport: Any, count: int) -> None:
        """
        So many bytes are in the buffer of *transport*, as in that of a socket, and stay there.
        """
        transport.dataBuffer, transport._tempDataLen = b"x" * (count - 10), 10
        transport.producer.pauseProducing()
        transport.producer.wrote()
        self.clock.advance(0)

    def test_read_at_once(self) -> None:
        """
        Promise 10.10: what the system takes when the reactor comes to the sockets does not count, however much it is.
        """
        self.factory = make_factory(EndlessPage(), self.clock)
        self.factory.doStart()
        self.factory.rooms.unread = BodyRoom.of(100)
        transports: list[Any] = []
        for _ in range(3):
            protocol, transport = self.connect()
            protocol.dataReceived(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            self.writing(protocol, transport)
            transports.append(transport)
        for transport in transports:
            # The reactor comes to the sockets after what was to be called by then.
            self.clock.callLater(0, self.read, transport)
        self.clock.advance(0)
        self.assertEqual([each.disconnected for each in transports], [False] * 3)
        self.assertEqual(self.factory.rooms.unread.held, 0)

    def writing(self, protocol: Any, transport: Any) -> None:
        """
        A write of 90 bytes fills the buffer.
        """
        transport.dataBuffer = b"x" * 90
        transport.producer.pauseProducing()
        protocol.write(transport.dataBuffer)

    def read(self, transport: Any) -> None:
        """
        Everything in the buffer is sent.
        """
        transport.dataBuffer = b""
        transport.producer.resumeProducing()

    def test_largest_piece(self) -> None:
        """
        The more buffers are full, the smaller are the pieces of large answers; each is more than fits into a buffer
        that is not full.
        """
        self.factory = make_factory(EndlessPage(), self.clock)
        self.factory.doStart()
        protocol, _ = self.connect()
        protocol.dataReceived(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        (request,) = protocol.wrappedProtocol.requests
        sure = self.factory.rooms.unread.share.sure
        self.assertEqual(request.largest_piece, sure)
        for _ in range(99):
            producer: Any = self.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").producer
            producer.pauseProducing()
        self.assertEqual(request.largest_piece, sure // 100)
        self.factory.rooms.unread.share.sure = 100
        self.assertEqual(request.largest_piece, 2 * SMALL_BUFFER)
        protocol.connectionLost(Failure(ConnectionDone()))
        self.assertGreater(request.largest_piece, SMALL_BUFFER)

    def test_unread_flood(self) -> None:
        """
        Promise 10.10: full buffers of one address displace its own, and not an older one of another address.
        """
        self.factory = make_factory(EndlessPage(), self.clock)
        self.factory.doStart()
        self.factory.rooms.unread = BodyRoom.of(100)
        transports: list[StringTransport] = []
        for host in ("192.0.2.1", *("192.0.2.9",) * 3):
            protocol, transport = self.connect(host)
            protocol.dataReceived(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            self.fill(transport, 40 if transports else 30)
            transports.append(transport)
        self.assertEqual([each.disconnected for each in transports], [False, True, True, False])

    def test_unread_last(self) -> None:
        """
        Promise 10.10: what a client has not read of the last answer of its connection counts until it is closed, and
        the client is cut after a time.
        """
        self.factory = make_factory(EndlessPage(), self.clock)
        self.factory.doStart()
        protocol, transport = self.connect()
        protocol.dataReceived(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        self.fill(transport, 40)
        protocol.wrappedProtocol.loseConnection()
        self.assertEqual((transport.disconnecting, self.factory.rooms.unread.held), (True, 40))
        self.clock.advance(LONGEST_PAUSE)
        self.assertTrue(transport.disconnected)
        protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.factory.rooms.unread.held, 0)

    def test_flood_of_bodies(self) -> None:
        """
        Bodies of one address that do not come to their end displace its own, and not an older one of another address.
        """
        self.factory.rooms.forms = BodyRoom.of(1000)
        form = b"POST /enter HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n" + b"x" * 300
        transports: list[StringTransport] = []
        for host in ("192.0.2.1", *("192.0.2.9",) * 5):
            protocol, transport = self.connect(host)
            protocol.dataReceived(form)
            transports.append(transport)
        self.assertEqual([each.disconnected for each in transports], [False, True, True, True, False, False])

    def test_no_more_requests_while_unread(self) -> None:
        """
        Promise 10.10: while a client does not read an answer that was written as a whole, no more of its requests are
        read; they are when it has.
        """
        transport = self.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        producer: Any = transport.producer
        producer.pauseProducing()
        self.assertEqual(transport.producerState, "paused")
        producer.resumeProducing()
        self.assertEqual(transport.producerState, "producing")

    def test_endless_body(self) -> None:
        """
        A body without end, in chunks without a length, is cut.
        """
        protocol, transport = self.connect()
        protocol.dataReceived(b"POST /change_hook/github HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        piece = b"100000\r\n" + b"x" * (1 << 20) + b"\r\n"
        for _ in range((LARGEST_READ >> 20) + 1):
            self.assertFalse(transport.disconnecting)
            protocol.dataReceived(piece)
        self.assertTrue(transport.disconnected)

    def test_headers(self) -> None:
        """
        Headers of any bytes and length are handed over, cut.
        """
        request = b"POST /change_hook/github HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nX-GitHub-Event: \xff\xfe\r\n"
        self.send(request + b"X-Hub-Signature-256: " + b"s" * 5000 + b"\r\n\r\n{}")
        (found,) = self.master.submitted
        self.assertEqual((len(found.proof), found.event), (LONGEST_HEADER, "\xff\xfe"))

    def test_log(self) -> None:
        """
        Strangers' requests leave one line a minute in the log.
        """
        lines: list[Any] = []
        observer: Any = lines.append
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        for _ in range(20):
            self.post(path="/nothing")
            self.post()
            self.master.reply(HookReply(403, "wrong").to_bytes())
        self.assertEqual([each["status"] for each in lines if "status" in each], [403])
        self.assertEqual(len(lines), 1, lines)

    def test_connections(self) -> None:
        """
        There are so many connections at most: the oldest makes room for a newcomer.
        """
        first, *_ = [self.connect() for _ in range(MOST_CONNECTIONS)]
        self.assertFalse(first[1].disconnected)
        self.connect()
        self.assertTrue(first[1].disconnected)
        first[0].connectionLost(Failure(ConnectionDone()))
        self.assertEqual(len(self.factory.places), MOST_CONNECTIONS)

    def test_silence(self) -> None:
        """
        A silent connection is closed.
        """
        _, transport = self.connect()
        self.clock.pump([1.0] * 60)
        self.assertTrue(transport.disconnecting)

    def test_slow_request(self) -> None:
        """
        A connection that sends a byte now and then, and never a whole request, is cut.
        """
        cut: list[float] = []
        self.patch(StringTransport, "abortConnection", lambda transport: cut.append(self.clock.seconds()))
        protocol, transport = self.connect()
        for _ in range(2 * LONGEST_REQUEST):
            self.clock.advance(1.0)
            protocol.dataReceived(b"P")
            if cut:
                break
        self.assertEqual(cut, [LONGEST_REQUEST])
        self.assertFalse(transport.disconnecting)

    def test_one_request(self) -> None:
        """
        The connection of a webhook is for one request, and no timer of it is left in the end.
        """
        protocol, transport = self.connect()
        protocol.dataReceived(b"GET /change_hook/github HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertIn(b"Connection: close", transport.value())
        self.assertTrue(transport.disconnecting)
        protocol.connectionLost(Failure(ConnectionDone()))
        late = [call for call in self.clock.getDelayedCalls() if call.getTime() > 1]
        self.assertEqual(late, [])
