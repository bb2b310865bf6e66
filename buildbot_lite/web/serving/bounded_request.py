"""
A request with bounds.

- Its body is kept up to `LARGEST_FORM`, of a webhook up to `LARGEST_BODY`, and of a form that forces a build, from who
  may do that, up to `LARGEST_FORCED`; the rest is discarded as it comes, so that the client reads why it is refused;
  far beyond that the connection is cut.  Up to `LARGEST_FORM` it is in memory, and otherwise in a file.  For each there
  are `rooms`: where one is full, the connection with the oldest body that is not complete is cut, of the visitor who
  holds the most bytes; a request for which there still is no room is answered with 503.  One large form of a visitor is
  answered at a time; the next waits in turn, while there is room for it, at most `LONGEST_WAIT` seconds.
- What is known of it is forgotten as soon as nobody needs it.
- Forms, cookies and the fields of addresses are not parsed here.
"""

from collections.abc import Callable
from contextlib import suppress
from io import SEEK_END, BytesIO
from typing import IO, Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.web.http_headers import Headers
from twisted.web.server import Request

from ...model.webhook import LARGEST_BODY
from .body_room import BodyRoom, HeldBody, cut_nobody
from .fair_places import UNKNOWN, Occupant
from .http_channel import origin_form
from .policy import WebVisitor
from .refusal_body import is_of_api
from .rooms import LARGEST_FORCED, LARGEST_FORM, Rooms
from .timed_producer import SMALL_BUFFER
from .web_page import answered

HOOKS = b"/change_hook"
"""The addresses below which bodies may be large."""
LARGEST_READ = 32 << 20
"""Bytes of a body, with what is discarded; GitHub sends at most 25 MiB."""
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
    _left: Callable[[], object] | None = None
    _body: IO[bytes]
    channel: Any
    visitor: WebVisitor
    """Who asks; set when the head is complete."""
    is_of_api = False
    """Whether a program asks, which gets its refusals as documents."""

    def gotLength(self, length: int | None) -> None:
        # Twisted's own goes to a file of any size.
        rooms = self._rooms
        # Until something comes, as most requests have no body.
        self.content = self._body = BytesIO()
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
        rooms, why = self._rooms, "the disk has room for a part of it"
        if self._received == len(data):
            self.content = self._body = rooms.new_body()
        try:
            self._body.write(data)
            # Not where it stands: what was in memory may not have got to the disk.
            if self._body.seek(0, SEEK_END) == self._received:
                return True
        except OSError as error:
            why = str(error)
        rooms.log.error("the body of a request is refused, because its file cannot be written: {why}", why=why)
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
        # As Twisted's, but for `args`, a second copy of the address, in which each field takes a hundred bytes more.
        # Nobody reads it: pages parse the first fields themselves (`page_request`).
        self.channel.transport.answering()
        self.method, self.uri, self.clientproto = command, origin_form(path)[1], version
        self.path = self.uri.partition(b"?")[0]
        self.process()

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
        self._sentence(503, "There is no room for this request at this moment.  Send it again later.")

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

    def when_left(self, left: Callable[[], object]) -> None:
        """
        Call *left* at `leave`.  Replaces what an earlier call gave.
        """
        self._left = left

    def leave(self) -> None:
        """
        Give up the place of this request among those whose answers are made: it waits for something else, or it is
        answered or lost, or its answer is only sent.  Only the first call has an effect.
        """
        left, self._left = self._left, None
        if left is not None:
            left()

    def forget_question(self) -> None:
        """
        Forget what was asked, and who waits for that: the head of the answer is set, and the rest is only sent.
        """
        self.leave()
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
        self.leave()
        self._adapterCache.clear()
        self.requestHeaders = self.responseHeaders = _NO_HEADERS
        self.producer = self.transport = None
        if self._room is not None:
            self._held.cut = cut_nobody

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
