"""
An HTTP server with bounds, by twisted.web.

- The body of a request is kept up to `LARGEST_FORM`, of a webhook up to `LARGEST_BODY`, and of a form that forces a
  build, from who may do that, up to `LARGEST_FORCED`; the rest is discarded as it comes, so that the client reads why
  it is refused; far beyond that the connection is cut.  Up to `LARGEST_FORM` it is in memory, and otherwise in a file.
  For each there are `rooms`: where one is full, the connection with the oldest body that is not complete is cut, of the
  visitor who holds the most bytes; a request for which there still is no room is answered with 503.  One large form of
  a visitor is answered at a time; the next waits in turn, while there is room for it, at most `LONGEST_WAIT` seconds.
- Heads, and requests that are sent before the one before is answered, need room beyond the `SMALL_HEAD` of each
  connection: if there is none, the connection that has the oldest of them is cut, of the visitor who has the most
  bytes.
- There are at most `MOST_CONNECTIONS`; a newcomer displaces the oldest of the visitor who has the most (`fair_places`).
  Each may be silent for `SILENCE` seconds, and each request must be complete
  `LONGEST_REQUEST` seconds after its connection was made or had its last answer, so that a client that sends a byte now
  and then cannot keep others out.  While an answer is written, both wait.
- What is written must be read: a connection whose buffer stays full for `LONGEST_PAUSE` seconds is cut.  If
  there is no room for all full buffers, the one that has been full for longest is cut, of the visitor who holds the
  most of them.  That holds also for the last answer of a connection, which is closed when it has
  been read.  What the system takes at once does not count, and the more buffers are full, the smaller are the pieces of
  large answers (`BoundedRequest.largest_piece`): nobody is cut who reads all the time.
- A webhook's connection is for one request, so that forges do not hold connections.
- Forms and cookies are not parsed, and requests are not logged here.
"""

from collections.abc import Iterable
from contextlib import suppress
from http import HTTPStatus
from typing import IO, Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.web.http import RESPONSES
from twisted.web.http_headers import Headers
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request, Site

from ...model.webhook import LARGEST_BODY
from .body_room import BodyRoom, HeldBody
from .fair_places import UNKNOWN, FairPlace, FairPlaces, Occupant
from .http_channel import StrictChannel, origin_form
from .policy import FORWARDED, PAGE_HEADERS, WebPolicy, WebVisitor
from .refusal_body import is_of_api, refusal_body
from .rooms import LARGEST_FORCED, LARGEST_FORM, Rooms
from .timed_producer import TimedProducer

HOOKS = b"/change_hook"
"""The addresses below which bodies may be large."""
SMALL_HEAD = 8 << 10
"""Bytes of the head of a usual request: twenty headers."""
SMALL_BUFFER = 2 << 10
"""Bytes that wait to be read in the buffer of a connection that is not yet full; as many are received at a time."""
LARGEST_READ = 32 << 20
"""Bytes of a body, with what is discarded; GitHub sends at most 25 MiB."""
MOST_CONNECTIONS = 1000
SILENCE = 30
LONGEST_REQUEST = 120
LONGEST_WAIT = 60
"""Seconds for which a large form waits while another of the same visitor is answered."""
_NO_HEADERS = Headers()
_LATER = 60
"""Seconds after which a client for which there was no room may come again."""


class BoundedRequest(Request):
    """
    A request whose body is bounded.
    """

    # What is set at the beginning of each, so that the names of the others are at most 30; see `StrictChannel`.
    __slots__ = (
        "_adapterCache",
        "_body",
        "_held",
        "channel",
        "cookies",
        "notifications",
        "received_cookies",
        "requestHeaders",
        "responseHeaders",
        "transport",
        "visitor",
    )

    _received = 0
    _crowded = False
    _largest = LARGEST_FORM
    _room: BodyRoom | None = None
    _larger_room: BodyRoom | None = None
    _wait: IDelayedCall | None = None
    channel: Any
    visitor: WebVisitor
    """Who asks; set when the head is complete."""
    is_of_api = False
    """Whether a program asks, which gets its refusals as documents."""

    def gotLength(self, length: int | None) -> None:
        # Twisted's own goes to a file of any size.
        rooms = self._rooms
        self.content = self._body = rooms.new_body()
        connection = self.channel.transport
        # Twisted tells a request its target when the body is complete.
        host, path = origin_form(self.channel.target)
        self.is_of_api = is_of_api(path)
        if host is not None:
            self.requestHeaders.setRawHeaders(b"host", [host])
        # A proxy's connection carries requests of many.  Whether this one has a string is known when its body is here.
        self.visitor = connection.factory.root.visitor(connection.getPeer(), self.requestHeaders)
        self.belongs_to(self.visitor.occupant)
        self._held = HeldBody(connection.abortConnection, self.occupant)
        if path.startswith(HOOKS):
            self._largest = LARGEST_BODY
            self._room, self._larger_room = rooms.hooks.begin(self._held), rooms.large_hooks
            return
        self._room = rooms.forms.begin(self._held)
        if connection.factory.root.takes_large_form(self, path):
            self._largest, self._larger_room = LARGEST_FORCED, rooms.large_forms

    def handleContentChunk(self, data: bytes) -> None:
        self._received += len(data)
        if self._received <= self._largest and not self._crowded:
            if self._has_room(len(data)) and self._wrote(data):
                return
            self._crowded = True
        self._release()
        self._discard()
        if self._received > LARGEST_READ:
            self.channel.transport.abortConnection()

    def _has_room(self, count: int) -> bool:
        """
        Whether there is room for *count* more bytes.  A body that does not fit into memory is moved to a file.
        """
        room, larger = self._room, self._larger_room
        if room is None:
            return False
        if larger is not None and self._received > LARGEST_FORM:
            room.release(self._held)
            room = self._room = larger.begin(self._held)
            self._larger_room = None
            count = self._received
        return room.grow(self._held, count)

    def _wrote(self, data: bytes) -> bool:
        """
        Whether *data* is kept; not if the disk is full.
        """
        with suppress(OSError):
            self._body.write(data)
            return self._body.tell() == self._received
        return False

    def _discard(self) -> None:
        with suppress(OSError):
            self._body.seek(0)
            self._body.truncate()

    def _release(self) -> None:
        # A request whose head never was complete has no room.
        self._end_wait()
        if self._room is not None:
            self._room.release(self._held)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:  # noqa: N802 - Twisted's
        self.channel.transport.answering()
        super().requestReceived(command, origin_form(path)[1], version)  # type: ignore[no-untyped-call]  # Twisted's

    def process(self) -> None:
        if not self.method.isupper():
            # Methods differ by case (RFC 9110, 9.1): nothing below may take "post" for POST.
            self._sentence(501, "There is no such method.")
        elif self._crowded:
            self._come_later()
        elif self._room is None or self._received > self._largest or self._room.complete(self._held, self._in_turn):
            self._answer()
        else:
            # If it is displaced now, its client can read why.
            self._held.cut = self._come_later
            self._wait = self._clock.callLater(LONGEST_WAIT, self._come_later)

    def _answer(self) -> None:
        super().process()  # type: ignore[no-untyped-call]  # Twisted's

    def _in_turn(self) -> None:
        self._end_wait()
        self._clock.callLater(0, self._answer_unless_gone)

    def _answer_unless_gone(self) -> None:
        if self.channel is not None:
            self._answer()

    def _end_wait(self) -> None:
        if self._wait is not None and self._wait.active():
            self._wait.cancel()

    @property
    def _rooms(self) -> Rooms:
        rooms: Rooms = self.channel.transport.factory.rooms
        return rooms

    @property
    def _clock(self) -> IReactorTime:
        clock: IReactorTime = self.channel.transport.factory.clock
        return clock

    def _come_later(self) -> None:
        self.close_afterwards()
        self.setHeader(b"retry-after", b"%d" % _LATER)  # type: ignore[no-untyped-call]  # Twisted's
        self._sentence(503, "Too many requests come in at this moment.  Send this again later.")

    def _sentence(self, status: int, sentence: str) -> None:
        self.write(answered(self, status, sentence))
        self.finish()

    def belongs_to(self, occupant: Occupant) -> None:
        """
        Its connection counts for *occupant*, until the next request.
        """
        self.channel.transport.place.belongs_to(occupant)

    @property
    def occupant(self) -> Occupant:
        """
        For whom its connection counts.
        """
        # A client that has gone has no channel any more.
        return UNKNOWN if self.channel is None else self.channel.transport.place.occupant

    @property
    def largest_piece(self) -> int:
        """
        Bytes of a large answer that may be written at a time: a share of what buffers may have for sure, but more than
        fit into `SMALL_BUFFER`, so that the transport pauses the writing.
        """
        if self.channel is None:
            return 2 * SMALL_BUFFER
        unread = self._rooms.unread
        return max(2 * SMALL_BUFFER, unread.share.sure // (unread.coming + 1))

    def finish(self) -> None:
        self._release()
        self.channel.transport.answered()
        super().finish()  # type: ignore[no-untyped-call]  # Twisted's
        self._forget()

    def connectionLost(self, reason: Any) -> None:
        self._release()
        super().connectionLost(reason)  # type: ignore[no-untyped-call]  # Twisted's
        self._forget()

    def forget_question(self) -> None:
        """
        Forget what was asked, and who waits for that: the head of the answer is set, and the rest is only sent.
        """
        self._adapterCache.clear()
        self.notifications.clear()
        self.requestHeaders = _NO_HEADERS
        self.uri = self.path = b""
        self.prepath, self.postpath = [], []

    def write(self, data: bytes) -> None:
        super().write(data)  # type: ignore[no-untyped-call]  # Twisted's
        # They are sent with the first bytes.
        self.responseHeaders = _NO_HEADERS

    def _forget(self) -> None:
        # klein's functions for a request know each other and the request, and so does its adapter: it is left to the
        # garbage collector.  Not with what it has: a thousand connections that are lost at once would be in memory
        # beside the next thousand.
        self._adapterCache.clear()
        self.requestHeaders = self.responseHeaders = _NO_HEADERS
        self.producer = self.transport = None
        if self._room is not None:
            self._held.cut = _nothing

    def close_afterwards(self) -> None:
        """
        Close the connection after this answer.
        """
        self.channel.persistent = False
        self.setHeader(b"connection", b"close")  # type: ignore[no-untyped-call]  # Twisted's

    def parseCookies(self) -> None:
        pass

    @property
    def largest_body(self) -> int:
        """
        Bytes of the body of this request that are kept.
        """
        return self._largest

    def whole_body(self) -> bytes | None:
        """
        The body; None if it was larger than `largest_body`.
        """
        body = self.body_file()
        return None if body is None else body.read()

    def body_file(self) -> IO[bytes] | None:
        """
        The same as a file, which is closed when the request is answered or lost.
        """
        if self._received > self._largest:
            return None
        self._body.seek(0)
        return self._body


def answered(request: Any, status: int, sentence: str) -> bytes:
    """
    Set the *status* of the response to *request*, and return its body, which says *sentence*.
    """
    body = refusal_body(status, sentence, of_api=request.is_of_api)
    request.setResponseCode(status, RESPONSES.get(status) or HTTPStatus(status).phrase.encode())
    request.setHeader(b"content-type", body.media.encode())
    request.setHeader(b"content-length", b"%d" % len(body.data))
    for name, value in PAGE_HEADERS.items():
        request.setHeader(name.encode(), value.encode())
    return body.data


class WebPage(Resource):
    """
    A page.  Unknown addresses below it are answered with 404.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's

    def visitor(self, peer: Any, headers: Headers) -> WebVisitor:
        """
        Who sends a request with *headers* over the connection from the address *peer*.
        """
        return visitor_of(WebPolicy(), peer, headers)

    def takes_large_form(self, request: Any, path: bytes) -> bool:
        """
        Whether the body of *request* to *path*, which has not come yet, may have `LARGEST_FORCED` bytes.
        """
        return False

    def getChild(self, path: bytes, request: Request) -> IResource:
        return Nothing()

    def render(self, request: Any) -> Any:
        return answered(request, 404, "There is nothing at this address.")


class Nothing(WebPage):
    """
    No page, at any address below.
    """

    isLeaf = True


def visitor_of(policy: WebPolicy, peer: Any, headers: Headers) -> WebVisitor:
    """
    The same by *policy*.
    """
    # As bytes: Twisted decodes them as UTF-8, which they need not be.
    raw = {name: headers.getRawHeaders(name.encode()) for name in ("host", *FORWARDED)}
    given = {name: b",".join(values).decode("latin-1") for name, values in raw.items() if values}
    return policy.visitor(str(getattr(peer, "host", "")), given)


def make_factory(root: WebPage, reactor: IReactorTime, rooms: Rooms | None = None) -> Any:
    """
    A factory of HTTP connections to *root*.  *rooms*: those of the process; None: some of its own.
    """
    site = _QuietSite(  # type: ignore[no-untyped-call]  # Twisted's
        root, requestFactory=BoundedRequest, timeout=SILENCE, reactor=reactor, parsePOSTFormSubmission=False
    )
    site.noisy = False
    return _BoundedConnections(site, root, reactor, rooms or Rooms())


class _QuietSite(Site):
    protocol: Any = StrictChannel

    def log(self, request: Any) -> None:
        """
        Nothing: a line for each request would let strangers fill the disk.
        """


class _BoundedConnection(ProtocolWrapper):
    """
    A connection that is cut when a request is not complete after `LONGEST_REQUEST` seconds, also while bytes arrive.
    """

    factory: "_BoundedConnections"
    _cut: IDelayedCall
    _producer: "TimedProducer | None" = None
    place: FairPlace
    transport: Any
    """None when the connection is lost."""

    def makeConnection(self, transport: Any) -> None:  # noqa: N802 - Twisted's
        transport.bufferSize = SMALL_BUFFER
        address = str(getattr(transport.getPeer(), "host", ""))
        self.place = self.factory.places.take(Occupant.at(address), self._abort)
        self._head = HeldBody(self._abort, self.place.occupant)
        self.answered()
        super().makeConnection(transport)  # type: ignore[no-untyped-call]  # Twisted's

    def _abort(self) -> None:
        # None: its client has gone.
        if self.transport is not None:
            self.transport.abortConnection()

    def answering(self) -> None:
        """
        A request is complete; its answer takes as long as it takes.
        """
        if self._cut.active():
            self._cut.cancel()

    def answered(self) -> None:
        """
        The time of the next request begins.
        """
        self._cut = self.factory.clock.callLater(LONGEST_REQUEST, self._abort)

    def registerProducer(self, producer: Any, streaming: bool) -> None:  # noqa: N802 - Twisted's
        clock, room = self.factory.clock, self.factory.rooms.unread
        self._producer = TimedProducer(producer, clock, self._abort, room, self._unsent, lambda: self.place.occupant)
        super().registerProducer(self._producer, streaming)  # type: ignore[no-untyped-call]  # Twisted's

    def write(self, data: bytes) -> None:
        super().write(data)  # type: ignore[no-untyped-call]  # Twisted's
        if self._producer is not None:
            self._producer.wrote()

    def _unsent(self) -> int:
        # Of a socket; Twisted keeps also what was sent, until a later write.  Without a socket, nothing waits.
        return len(getattr(self.transport, "dataBuffer", b"")) + getattr(self.transport, "_tempDataLen", 0)

    def writeSequence(self, data: Iterable[bytes]) -> None:  # noqa: N802 - Twisted's
        self.write(b"".join(data))

    def keeps(self, count: int) -> None:
        """
        It keeps so many bytes of heads, and of requests that are not yet begun.
        """
        size = max(0, count - SMALL_HEAD)
        if size == self._head.size or self.wrappedProtocol is None:
            return
        heads = self.factory.rooms.heads
        if not self._head.size:
            self._head = HeldBody(self._abort, self.place.occupant)
            heads.begin(self._head)
        if not heads.resize(self._head, size):
            self._abort()
        if not self._head.size:
            heads.release(self._head)

    def _end_pause(self) -> None:
        if self._producer is not None:
            self._producer.end_pause()

    def connectionLost(self, reason: Any = connectionDone) -> None:
        self.answering()
        self._end_pause()
        self.place.leave()
        super().connectionLost(reason)  # type: ignore[no-untyped-call]  # Twisted's
        self.factory.rooms.heads.release(self._head)
        # What was not sent would wait for the garbage collector, because these know each other.
        self._producer = self.transport = None
        self.place.displaced = self._head.cut = _nothing


def _nothing() -> None:
    pass


class _BoundedConnections(WrappingFactory):
    protocol = _BoundedConnection
    noisy = False

    def __init__(self, site: Site, root: WebPage, clock: IReactorTime, rooms: Rooms) -> None:
        super().__init__(site)  # type: ignore[no-untyped-call]  # Twisted's
        self.clock = clock
        self.root = root
        self.rooms = rooms
        self.places = FairPlaces(MOST_CONNECTIONS)
