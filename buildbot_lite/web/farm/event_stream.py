"""
One client's stream of the feed, as server-sent events (WHATWG HTML, section 9.2).

::

    id: 4711                            its place in the feed, which a browser sends back when it connects again
    event: feed
    data: {"kind": "build.finished", "request": 12, "build": 7, "at": 1800000000.0, "body": {…}}

What is kept for a client is the number of the last event that it was sent, not events.  A client that reads slowly has
at most `SMALL_BUFFER` (2 KiB, `serving.timed_producer`) and one write unsent; then it is sent nothing until it has
read, and is cut after `LONGEST_PAUSE` seconds.  It continues where it stood.  The more clients do not read, the smaller
are the writes: a page of events goes to all streams in one turn, before the first of them can be sent.
"""

from collections.abc import Callable, Mapping
from typing import Any, Self

from attrs import field, frozen
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from ...errors import MessageError
from ...model.json_reader import encode
from ...model.whole_numbers import whole_number
from ...storage.records.feed import Event, FeedPage

HEARTBEAT = 15.0
"""Seconds without an event after which a client is sent a sign of life."""
LONGEST_PAUSE = 30.0
"""Seconds for which a client may read nothing."""
RETRY = 3000
"""Milliseconds after which a browser connects again."""
_LARGEST_WRITE = 16 << 10


@frozen
class Topic:
    """
    Which events a client wants: those of a *builder*, or of the build with the id *build*; None: of all.
    """

    builder: str | None = None
    build: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """
        The topic ``builder:NAME`` or ``build:ID``; "" is everything.  `MessageError` for other texts.
        """
        kind, _, value = text.partition(":")
        if not text:
            return cls()
        if kind == "builder" and value:
            return cls(builder=value)
        if kind == "build" and (build := whole_number(value)) is not None:
            return cls(build=build)
        raise MessageError(f"{text!r:.100} is no topic.  Topics are builder:NAME and build:ID.")

    def has(self, event: Event, builder: str | None) -> bool:
        """
        Whether *event*, which is about *builder*, belongs to this topic.
        """
        return (self.builder is None or self.builder == builder) and (self.build is None or self.build == event.build)


@frozen
class EncodedPage:
    """
    Events after the number *after*, each with its builder.
    """

    after: int
    page: FeedPage
    _messages: dict[int, bytes] = field(factory=dict)

    def message(self, event: Event) -> bytes:
        """
        *event* as it is sent: encoded once, and only if a client wants it.
        """
        if (message := self._messages.get(event.seq)) is None:
            message = self._messages[event.seq] = _feed_message(event)
        return message


@implementer(IPushProducer)
class EventStream:
    """
    The stream to the client of *request* (Twisted's).  *position*: the number of the last event that it has; None: it
    begins at the newest.  *wanting*: called when it can be sent more.  *now*: monotonic seconds.
    """

    def __init__(
        self,
        request: Any,
        position: int | None,
        topic: Topic,
        *,
        wanting: Callable[[], object],
        now: Callable[[], float],
    ) -> None:
        self.position = position
        self._request = request
        self._topic = topic
        self._wanting = wanting
        self._now = now
        self._written_at = now()
        self._paused_at: float | None = None
        self._unsent_live: bytes | None = None

    @property
    def ready(self) -> bool:
        """
        Whether the client has read enough to be sent more.
        """
        return self._paused_at is None

    def begin(self) -> None:
        """
        Send the head of the answer, so that the client knows that it is connected.
        """
        self._request.registerProducer(self, True)
        self._write(b"retry: %d\n\n" % RETRY)

    def take(self, encoded: EncodedPage) -> None:
        """
        Send those events of a page that this client does not have, if it has all before them.
        """
        page = encoded.page
        if not self.ready:
            return
        if self.position is None:
            # Without an event so far, it continues here if its connection breaks.
            self.position = page.newest
            self._write(b"id: %d\n\n" % page.newest)
        elif self.position > page.newest or self.position + 1 < page.oldest:
            # Of another database, or pruned.
            self.position = page.newest
            self._write(_message(b"resync", {"seq": page.newest}, page.newest))
        elif encoded.after <= self.position < page.upto:
            self._send(encoded)

    def tell_live(self, document: Mapping[str, Any]) -> None:
        """
        Send *document* about what is not in the feed; of several, a client that reads slowly gets the last one.
        """
        message = _message(b"live", document)
        if self.ready:
            self._write(message)
        else:
            self._unsent_live = message

    def look(self) -> None:
        """
        Send a sign of life if it is time, or cut a client that does not read.
        """
        now = self._now()
        if self._paused_at is not None:
            if now - self._paused_at >= LONGEST_PAUSE:
                self.cut()
        elif now - self._written_at >= HEARTBEAT:
            # Of a quiet topic too, the number follows the feed, so that it is not pruned behind the client.
            self._write(b":\n\n" if self.position is None else b":\nid: %d\n\n" % self.position)

    def cut(self) -> None:
        """
        End the connection.
        """
        if self._request.channel is not None:
            self._request.channel.transport.abortConnection()

    def pauseProducing(self) -> None:  # noqa: N802 - Twisted's
        self._paused_at = self._now()

    def resumeProducing(self) -> None:  # noqa: N802 - Twisted's
        self._paused_at = None
        if (message := self._unsent_live) is not None:
            self._unsent_live = None
            self._write(message)
        self._wanting()

    def stopProducing(self) -> None:  # noqa: N802 - Twisted's
        pass  # whoever waits for the end of the request is told

    def _send(self, encoded: EncodedPage) -> None:
        pending: list[bytes] = []
        size, most = 0, min(_LARGEST_WRITE, self._request.largest_piece)
        for event, builder in encoded.page.events:
            assert self.position is not None
            if event.seq <= self.position:
                continue
            self.position = event.seq
            if not self._topic.has(event, builder):
                continue
            message = encoded.message(event)
            pending.append(message)
            size += len(message)
            if size >= most:
                self._write(b"".join(pending))
                if not self.ready:
                    return
                pending, size = [], 0
        self.position = encoded.page.upto
        if pending:
            self._write(b"".join(pending))

    def _write(self, data: bytes) -> None:
        self._written_at = self._now()
        self._request.write(data)


def _feed_message(event: Event) -> bytes:
    document = {
        "kind": event.kind,
        "request": event.request,
        "build": event.build,
        "at": event.at,
        "body": dict(event.body),
    }
    return _message(b"feed", document, event.seq)


def _message(kind: bytes, document: Mapping[str, Any], seq: int | None = None) -> bytes:
    # JSON has no line feeds.
    head = b"" if seq is None else b"id: %d\n" % seq
    return b"%sevent: %s\ndata: %s\n\n" % (head, kind, encode(document))
