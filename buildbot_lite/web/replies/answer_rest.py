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
from .downloads import nothing


class AnswerRest(Resource):
    """
    The answer that *write* gives to a request whose head is set, and finishes.  *close*: called once when it is over,
    or when its client has gone before it began.
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
        sending = Deferred.fromCoroutine(_sent(write(request), self._close))
        request.notifyFinish().addErrback(lambda failure: sending.cancel())
        background(sending, self._log, "sending an answer")
        return NOT_DONE_YET


async def _sent(writing: Awaitable[None], close: Callable[[], object]) -> None:
    try:
        with suppress(CancelledError):
            await writing
    finally:
        close()
