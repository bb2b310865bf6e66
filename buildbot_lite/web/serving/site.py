"""
An HTTP server with bounds, by twisted.web: its connections.

- There are at most `MOST_CONNECTIONS`; a newcomer displaces the oldest of the visitor who has the most (`fair_places`).
  Each may be silent for `SILENCE` seconds, and each request must be complete `LONGEST_REQUEST` seconds after its
  connection was made or had its last answer, so that a client that sends a byte now and then cannot keep others out.
  While an answer is written, both wait.
- Heads, and requests that are sent before the one before is answered, need room beyond the `SMALL_HEAD` of each
  connection: if there is none, the connection that has the oldest of them is cut, of the visitor who has the most
  bytes.  Bodies need room, too (`bounded_request`).
- What is written must be read: a connection whose buffer stays full for `LONGEST_PAUSE` seconds is cut.  If there is no
  room for all full buffers, the one that has been full for longest is cut, of the visitor who holds the most of them.
  That holds also for the last answer of a connection, which is closed when it has been read.  What the system takes at
  once does not count, and the more buffers are full, the smaller are the pieces of large answers
  (`BoundedRequest.largest_piece`): nobody is cut who reads all the time.
- A webhook's connection is for one request, so that forges do not hold connections.
- Requests are not logged, and of the names of their headers little is remembered (`header_names`).
"""

from collections.abc import Iterable
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.web.server import Site

from .body_room import HeldBody, cut_nobody
from .bounded_request import BoundedRequest
from .fair_places import FairPlace, FairPlaces, Occupant
from .header_names import remember_few_names
from .http_channel import StrictChannel
from .rooms import Rooms
from .timed_producer import SMALL_BUFFER, TimedProducer
from .web_page import WebPage

SMALL_HEAD = 2 << 10
"""Bytes of the head of a usual request, beside its headers themselves (`http_channel.USUAL_HEADERS`)."""
MOST_CONNECTIONS = 1000
SILENCE = 30
LONGEST_REQUEST = 120


def make_factory(root: WebPage, reactor: IReactorTime, rooms: Rooms | None = None) -> Any:
    """
    A factory of HTTP connections to *root*.  *rooms*: those of the process; None: some of its own.
    """
    remember_few_names()
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
        self.place.displaced = self._head.cut = cut_nobody


class _BoundedConnections(WrappingFactory):
    protocol = _BoundedConnection
    noisy = False

    def __init__(self, site: Site, root: WebPage, clock: IReactorTime, rooms: Rooms) -> None:
        super().__init__(site)  # type: ignore[no-untyped-call]  # Twisted's
        self.clock = clock
        self.root = root
        self.rooms = rooms
        self.places = FairPlaces(MOST_CONNECTIONS)
