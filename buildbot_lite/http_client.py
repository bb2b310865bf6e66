"""
Requests over HTTP, bounded in time and in the size of the answer.
"""

import base64
from collections.abc import Sequence
from typing import Any, cast
from urllib.parse import urlencode

from twisted.internet.defer import CancelledError, Deferred, TimeoutError  # noqa: A004 - Twisted's
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web._newclient import ConnectionAborted, HTTP11ClientProtocol
from twisted.web.client import (
    Agent,
    BrowserLikeRedirectAgent,
    HTTPConnectionPool,
    ResponseDone,
    _HTTP11ClientFactory,
)
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer, IResponse
from zope.interface import implementer

from .model.http_request import HttpAnswer, HttpRequest

TIMEOUT = 30.0
"""Seconds for connection, request and answer together."""
MOST_REDIRECTIONS = 10
LARGEST_ANSWER = 64 << 10
"""Bytes of an answer that are read; the rest is dropped with the connection."""
MOST_RECEIVED = 1 << 20
"""Bytes on a connection, with headers and the framing of the answer; a server that sends more is left."""


@implementer(IBodyProducer)
class _Body:
    """
    The bytes of a request.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.length = len(data)

    def startProducing(self, consumer: Any) -> Deferred[None]:
        consumer.write(self._data)
        done: Deferred[None] = Deferred()
        done.callback(None)
        return done

    def pauseProducing(self) -> None:
        """All was written at once."""

    resumeProducing = stopProducing = pauseProducing  # noqa: N815 - Twisted's


class _ReadAnswer(Protocol):
    """
    Collects the bytes of an answer.
    """

    def __init__(self, whole: Deferred[bytes]) -> None:
        self._whole = whole
        self._data = b""

    def dataReceived(self, data: bytes) -> None:
        self._data += data[: LARGEST_ANSWER - len(self._data)]
        if len(self._data) >= LARGEST_ANSWER:
            self._finish()
            cast(Any, self.transport).abortConnection()

    def connectionLost(self, reason: Failure = None) -> None:  # type: ignore[assignment]  # Twisted's own default
        if reason.check(ResponseDone, PotentialDataLoss):
            self._finish()
        elif not self._whole.called:
            self._whole.errback(reason)

    def _finish(self) -> None:
        if not self._whole.called:
            self._whole.callback(self._data)


class _BoundedProtocol(HTTP11ClientProtocol):
    """
    Bounds what a server can have it keep: Twisted reads any number of headers.
    """

    _left = MOST_RECEIVED

    def dataReceived(self, bytes: bytes) -> None:  # noqa: A002 - Twisted's
        self._left -= len(bytes)
        if self._left >= 0:
            super().dataReceived(bytes)  # type: ignore[no-untyped-call]  # Twisted's
        else:
            self.abort()  # type: ignore[no-untyped-call]  # Twisted's


class _BoundedFactory(_HTTP11ClientFactory):
    """
    Makes bounded connections, and writes nothing about each into the process's log.
    """

    noisy = False

    def buildProtocol(self, addr: Any) -> HTTP11ClientProtocol:
        return _BoundedProtocol(self._quiescentCallback)  # type: ignore[no-untyped-call]  # Twisted's


class HttpClient:
    """
    Sends requests from *reactor*.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        pool = HTTPConnectionPool(reactor, persistent=False)
        pool._factory = _BoundedFactory  # noqa: SLF001 - Twisted has no other way to say so
        self._agent = Agent(reactor, pool=pool, connectTimeout=TIMEOUT)

    def request(self, method: str, url: str, headers: dict[str, str], body: bytes) -> Deferred[tuple[int, bytes]]:
        """
        Send a request; fires with the status and the answer's body, at most `LARGEST_ANSWER` bytes of it.  Redirections
        are not followed, so nothing goes where nobody sent it.
        """
        raw = Headers({name: [value] for name, value in headers.items()})
        sending = Deferred.fromCoroutine(self._send(self._agent, method, url, raw, body))
        return sending.addTimeout(TIMEOUT, self._reactor).addCallback(lambda answer: (int(answer[0].code), answer[1]))

    async def ask(self, request: HttpRequest) -> HttpAnswer:
        """
        Send *request*; an answer says in ``error`` why there is none.
        """
        raw = Headers({name: [value] for name, value in request.headers.items()})
        agent: Any = self._agent
        if request.follows:
            # To another origin, none of the request's own headers goes.
            agent = BrowserLikeRedirectAgent(agent, MOST_REDIRECTIONS, [name.encode() for name in request.headers])
        sending = Deferred.fromCoroutine(
            self._send(agent, request.method, full_url(request), raw, body_of(request, raw))
        )
        try:
            response, body = await sending.addTimeout(request.timeout, self._reactor)
        except CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever kept the answer away is the answer
            return HttpAnswer(error=_sentence(error, request.timeout))
        headers = sorted(
            [name.decode("latin-1"), value.decode("latin-1")]
            for name, values in response.headers.getAllRawHeaders()
            for value in values
        )
        return HttpAnswer(int(response.code), headers, body.decode("utf-8", "replace"))

    async def _send(self, agent: Any, method: str, url: str, headers: Headers, body: bytes) -> tuple[Any, bytes]:
        response: IResponse = await agent.request(method.encode(), url.encode(), headers, _Body(body))
        whole: Deferred[bytes] = Deferred()
        response.deliverBody(_ReadAnswer(whole))
        return response, await whole


def full_url(request: HttpRequest) -> str:
    """
    The address with *params* in its query.
    """
    if not request.params:
        return request.url
    address, mark, fragment = request.url.partition("#")
    joint = "&" if "?" in address else "?"
    return address + joint + _encoded(request.params) + mark + fragment


def body_of(request: HttpRequest, headers: Headers) -> bytes:
    """
    The body; *headers* gets what belongs to it, and the authentication.
    """
    if request.form is not None and not headers.hasHeader("Content-Type"):
        headers.setRawHeaders("Content-Type", ["application/x-www-form-urlencoded"])
    if not headers.hasHeader("User-Agent"):
        headers.setRawHeaders("User-Agent", ["buildbot-lite"])
    if request.auth is not None:
        headers.setRawHeaders("Authorization", [basic(request.auth)])
    if request.form is not None:
        return _encoded(request.form).encode()
    return (request.body or "").encode()


def basic(pair: Sequence[str]) -> str:
    """
    The header of basic authentication (RFC 7617).
    """
    return "Basic " + base64.b64encode(":".join(pair).encode()).decode()


def _encoded(pairs: Sequence[Sequence[str]]) -> str:
    return urlencode([(name, value) for name, value in pairs])


def _sentence(error: BaseException, timeout: float) -> str:
    # Twisted's errors about an exchange list what went wrong in it.
    reasons = getattr(error, "reasons", ())
    cause = reasons[0].value if reasons and isinstance(reasons[0], Failure) else error
    if isinstance(cause, (CancelledError, TimeoutError)):
        return f"no answer within {timeout:g} s"
    if isinstance(cause, ConnectionAborted):
        return f"the server sent more than {MOST_RECEIVED} bytes"
    return f"{type(cause).__name__}: {cause!s:.300}".removesuffix(": ")
