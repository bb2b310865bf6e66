"""
The HTTP/1.1 of one connection: Twisted's, stricter and quieter.

- A request whose length could be understood in two ways is refused, and the connection closed: a proxy before this
  process that understood it differently would take a part of it for the request of somebody else (RFC 9112, 11.2).
- Whatever is too long for a head gets an answer, and a client that falls silent no line in the log: strangers must not
  fill the disk.
- The target of a request is known when its head is complete, before its body is taken (`target`).
- The transport is told how much memory the heads of requests take, and what was sent behind a request that is being
  answered (`kept`): Twisted bounds both for each connection, 24 KiB and 500 headers, but not for all together.
- Nothing may come behind the last chunk of a body: nobody uses trailers, and Twisted would keep each line of them.
- When something was sent behind a request, no more is read until that is answered, and its answer read: the system
  keeps the rest.  Twisted would keep 16 KiB of it.  (Until something comes, it is read on, or nobody would know that
  the client has gone.)
"""

import re
from http import HTTPStatus
from typing import Any

from twisted.web.http import HTTPChannel

from .refusal_body import is_of_api, refusal_body

_MOST_DIGITS = 15
"""Of a length; Python converts no more than 4300."""
_ONCE = frozenset({b"authorization", b"content-length", b"host", b"transfer-encoding"})
"""Headers of which a second one would be believed by some programs and not by others."""
HEADER = 400
"""Bytes that a header takes beside its own, as Twisted and `page_request` keep it."""
USUAL_HEADERS = 20
"""Of a request: they do not count, but for their own bytes."""
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
_NO_TRAILERS = len(b"\r\n")
"""Bytes of the empty line that ends a body in chunks."""


class StrictChannel(HTTPChannel):
    """
    One connection of a client.
    """

    # What Twisted sets for each at its beginning.  All channels share the names of their other attributes as long as
    # these are at most 30; otherwise each has a table of 1.3 KB.
    __slots__ = (
        "_dataBuffer",
        "_handlingRequest",
        "_transferDecoder",
        "callLater",
        "factory",
        "requestFactory",
        "requests",
        "site",
        "timeOut",
    )

    target = b""
    """That of the request which comes in; "" between two requests."""
    _protocol = b""
    _seen: frozenset[bytes] = frozenset()
    _ended = False
    _head = 0
    """Bytes of the head of the request that is being answered, or whose body comes in."""
    transport: Any

    @property
    def kept(self) -> int:
        """
        Bytes of heads, and of what is not yet taken for a request.
        """
        chunks = len(getattr(self._transferDecoder, "_buffer", b""))
        return len(self._buffer) + chunks + max(self._coming, self._head) + sum(map(len, self._dataBuffer))

    @property
    def _coming(self) -> int:
        """
        Bytes of the head that comes in.
        """
        return self._receivedHeaderSize + max(0, self._receivedHeaderCount - USUAL_HEADERS) * HEADER

    def dataReceived(self, data: bytes) -> None:
        # Twisted would go on with the next line of a head that it has refused.
        if not self._ended:
            super().dataReceived(data)  # type: ignore[no-untyped-call]  # Twisted's
            self.transport.keeps(self.kept)

    def rawDataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's
        if not self._handlingRequest:
            super().rawDataReceived(data)
            return
        self._dataBuffer.append(data)
        # Twisted reads on when this request is answered, and its answer read.
        self._networkProducer.pauseProducing()

    def allHeadersReceived(self) -> None:  # noqa: N802 - Twisted's
        self._head = self._coming
        super().allHeadersReceived()  # type: ignore[no-untyped-call]  # Twisted's

    def requestDone(self, request: Any) -> None:  # noqa: N802 - Twisted's
        self._head = 0
        super().requestDone(request)  # type: ignore[no-untyped-call]  # Twisted's
        self.transport.keeps(self.kept)

    def lineReceived(self, line: bytes) -> None:
        if not self.target and line:
            # As Twisted reads it, but for lines that Twisted refuses: there, what stands where the target belongs.
            _, self.target, self._protocol = [*line.split(b" "), b"", b""][:3]
        super().lineReceived(line)  # type: ignore[no-untyped-call]  # Twisted's
        # Not kept twice.
        self.target = getattr(self, "_path", self.target)

    def headerReceived(self, line: bytes) -> bool:  # noqa: N802 - Twisted's
        name, _, value = line.partition(b":")
        name, value = name.lower(), value.strip(b" \t")
        if name in _ONCE:
            if name in self._seen:
                return self._refuse(HTTPStatus.BAD_REQUEST, f"Two headers {name.decode().title()} contradict.")
            self._seen |= {name}
        if name == b"content-length" and len(value) > _MOST_DIGITS:
            return self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "No body is that large.")
        if name == b"transfer-encoding" and (value.lower() != b"chunked" or self._protocol != b"HTTP/1.1"):
            return self._refuse(HTTPStatus.BAD_REQUEST, "A body may come in chunks, over HTTP/1.1, and no other way.")
        accepted: bool = super().headerReceived(line)  # type: ignore[no-untyped-call]  # Twisted's
        if accepted and name == b"transfer-encoding":
            decoder: Any = self._transferDecoder
            decoder._maxTrailerHeadersSize = _NO_TRAILERS  # noqa: SLF001 - Twisted has no other way
        return accepted

    def allContentReceived(self) -> None:  # noqa: N802 - Twisted's
        self.target, self._seen = b"", frozenset()
        super().allContentReceived()  # type: ignore[no-untyped-call]  # Twisted's

    def lineLengthExceeded(self, line: bytes) -> None:  # noqa: N802 - Twisted's
        if self.target:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The head of this request is too large.")
        else:
            self.target = line.partition(b" ")[2]
            self._refuse(HTTPStatus.REQUEST_URI_TOO_LONG, "This address is too long.")

    def loseConnection(self) -> None:  # noqa: N802 - Twisted's
        self._ended = True
        super().loseConnection()  # type: ignore[no-untyped-call]  # Twisted's

    def timeoutConnection(self) -> None:  # noqa: N802 - Twisted's
        # A client that does not read the end of an answer, either, is cut by `site`.
        self.loseConnection()

    def _respondToBadRequestAndDisconnect(self) -> None:  # noqa: N802 - Twisted's
        # Twisted's own answer has no body.
        self._refuse(HTTPStatus.BAD_REQUEST, "This request is not in the form of HTTP/1.1.")

    def _refuse(self, status: HTTPStatus, sentence: str) -> bool:
        """
        Answer with *sentence*, and take no more.
        """
        body = refusal_body(status, sentence, of_api=is_of_api(origin_form(self.target)[1]))
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {body.media}\r\n"
            f"Content-Length: {len(body.data)}\r\nConnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body.data)
        self.loseConnection()
        return False


def origin_form(target: bytes) -> tuple[bytes | None, bytes]:
    """
    The host that the *target* of a request names, None if none, and the target without it (RFC 9112, 3.2.2).
    """
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        return None, target
    return match[1], match[2] if match[2].startswith(b"/") else b"/" + match[2]
