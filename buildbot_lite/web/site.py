"""
An HTTP server with bounds, by twisted.web.

- The body of a request is kept in memory up to `LARGEST_BODY`; the rest is discarded as it comes, so that the client
  reads why it is refused; far beyond that the connection is cut.
- There are at most `MOST_CONNECTIONS`, and a connection may be silent for `SILENCE` seconds.
- Forms and cookies are not parsed, and requests are not logged here.
"""

from io import BytesIO
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.protocols.policies import WrappingFactory
from twisted.web.http import RESPONSES
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request, Site

from ..model.webhook import LARGEST_BODY

LARGEST_READ = 32 << 20
"""Bytes of a body, with what is discarded; GitHub sends at most 25 MiB."""
MOST_CONNECTIONS = 50
SILENCE = 30


class BoundedRequest(Request):
    """
    A request whose body is bounded.
    """

    _received = 0
    channel: Any

    def gotLength(self, length: int | None) -> None:
        # Twisted's own goes to a file of any size.
        self.content = self._body = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:
        self._received += len(data)
        if self._received <= LARGEST_BODY:
            self._body.write(data)
            return
        self._body.seek(0)
        self._body.truncate()
        if self._received > LARGEST_READ:
            self.channel.transport.abortConnection()

    def parseCookies(self) -> None:
        pass

    def whole_body(self) -> bytes | None:
        """
        The body; None if it was larger than `LARGEST_BODY`.
        """
        return self._body.read() if self._received <= LARGEST_BODY else None


def said(request: Any, status: int, sentence: str) -> bytes:
    """
    Set the *status* of the response to *request*, and return its body, which says *sentence*.
    """
    body = f"{sentence}\n".encode()
    request.setResponseCode(status, RESPONSES.get(status, b"Status"))
    request.setHeader(b"content-type", b"text/plain; charset=utf-8")
    request.setHeader(b"x-content-type-options", b"nosniff")
    request.setHeader(b"content-length", b"%d" % len(body))
    request.setHeader(b"server", b"buildbot-lite")
    return body


class WebPage(Resource):
    """
    An address.  What is below it at no other address is answered with 404.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's

    def getChild(self, path: bytes, request: Request) -> IResource:
        return Nothing()

    def render(self, request: Any) -> Any:
        return said(request, 404, "There is nothing at this address.")


class Nothing(WebPage):
    """
    No page, at any address below.
    """

    isLeaf = True


def make_factory(root: Resource, reactor: IReactorTime) -> Any:
    """
    A factory of HTTP connections to *root*.
    """
    site = _QuietSite(  # type: ignore[no-untyped-call]  # Twisted's
        root, requestFactory=BoundedRequest, timeout=SILENCE, reactor=reactor, parsePOSTFormSubmission=False
    )
    site.noisy = False
    return _BoundedConnections(site)  # type: ignore[no-untyped-call]  # Twisted's


class _QuietSite(Site):
    def log(self, request: Any) -> None:
        """
        Nothing: a line for each request would let strangers fill the disk.
        """


class _BoundedConnections(WrappingFactory):
    noisy = False

    def buildProtocol(self, addr: Any) -> Any:
        return super().buildProtocol(addr) if len(self.protocols) < MOST_CONNECTIONS else None
