"""
Requests over HTTP, bounded in time and in the size of the answer.
"""

from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool, ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer, IResponse
from zope.interface import implementer

TIMEOUT = 30.0
"""Seconds for connection, request and answer together."""
LARGEST_ANSWER = 64 << 10
"""Bytes of an answer that are read; the rest is dropped with the connection."""


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


class HttpClient:
    """
    Sends requests from *reactor*; redirections are not followed, so nothing goes where nobody sent it.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._pool = HTTPConnectionPool(reactor, persistent=False)
        self._agent = Agent(reactor, pool=self._pool, connectTimeout=TIMEOUT)

    def request(self, method: str, url: str, headers: dict[str, str], body: bytes) -> Deferred[tuple[int, bytes]]:
        """
        Send a request; fires with the status and the answer's body, at most `LARGEST_ANSWER` bytes of it.
        """
        sending = Deferred.fromCoroutine(self._request(method, url, headers, body))
        return sending.addTimeout(TIMEOUT, self._reactor)

    async def _request(self, method: str, url: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        raw = Headers({name: [value] for name, value in headers.items()})
        response: IResponse = await self._agent.request(method.encode(), url.encode(), raw, _Body(body))
        whole: Deferred[bytes] = Deferred()
        response.deliverBody(_ReadAnswer(whole))
        return int(response.code), await whole
