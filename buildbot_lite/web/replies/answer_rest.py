"""
The rest of an answer whose head is known: what sends it knows nothing any more of how it was made.

::

    klein ──► Route.render ──► a body, or what writes it ──► klein is done
                                    └──► AnswerRest ──► the client, for as long as it reads

A thousand clients that read nothing would otherwise keep the request as pages see it, its headers, and klein's
functions for it: half of what each of them costs.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from ...deferreds import background
from ..serving.web_page import answered
from .downloads import nothing

_OF_ANY_ANSWER = frozenset({b"connection", b"date", b"server"})


class AnswerRest(Resource):
    """
    The answer that *write* gives to a request whose head is set, and finishes.  *close*: called once, when the answer
    is over, or when its client has gone before it began.  If *write* fails, the answer has the status 500; if the head
    was already sent, the connection is cut instead, so that no client takes a part for the whole.
    """

    isLeaf = True
    _log = Logger()

    def __init__(self, write: Callable[[Any], Awaitable[None]], close: Callable[[], object] = lambda: None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's
        self._write = write
        self._close = close

    def render(self, request: Any) -> Any:
        if request.channel is None:
            self._close()
            return NOT_DONE_YET
        request.forget_question()
        # Who has called this still knows it, but not what *write* knows, such as a whole body.
        write, self._write = self._write, nothing
        sending = Deferred.fromCoroutine(_sent(request, write(request), self._close))
        request.notifyFinish().addErrback(lambda failure: sending.cancel())
        background(sending, self._log, "sending an answer")
        return NOT_DONE_YET


async def _sent(request: Any, writing: Awaitable[None], close: Callable[[], object]) -> None:
    try:
        with suppress(CancelledError):
            await writing
    except Exception:
        _break_off(request)
        raise
    finally:
        close()


def _break_off(request: Any) -> None:
    """
    End the answer to *request*, which nobody goes on writing.
    """
    if request.channel is None or request.finished:
        return
    if request.startedWriting:
        request.channel.transport.abortConnection()
        return
    if request.producer is not None:
        request.unregisterProducer()
    # Those of the answer that there would have been.
    for name, _ in list(request.responseHeaders.getAllRawHeaders()):
        if name.lower() not in _OF_ANY_ANSWER:
            request.responseHeaders.removeHeader(name)
    request.write(answered(request, 500, "This cannot be answered.  The log of the web process says why."))
    request.finish()
