"""
Where requests wait before anything is done for them.

::

    SiteRoot ──► RequestsInTurn ── so many at a time ──► klein ──► a page is made, in a turn of its own
                      └── the others, each visitor's in their order

What klein and a page hold for a request is five times as much as the request itself.  So a thousand clients that ask
for what takes long to make wait here, where they cost little.  What waits for the master or for a file, not for its
turn, gives up its place (`BoundedRequest.leave`): a master that hangs keeps nobody waiting here.
"""

from typing import Any
from urllib.parse import unquote_to_bytes

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET

from .fair_turns import FairTurns


class RequestsInTurn(Resource):
    """
    Hands requests on to *pages* in turn among *turns*, until they `leave`.  *at_once*: how the paths of requests begin
    that do not wait.
    """

    isLeaf = True

    def __init__(self, pages: IResource, turns: FairTurns, clock: IReactorTime, at_once: tuple[bytes, ...]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's
        self._pages = pages
        self._turns = turns
        self._clock = clock
        self._at_once = at_once

    def render(self, request: Any) -> Any:
        if request.path.startswith(self._at_once):
            return self._pages.render(request)
        # Whoever it turns out to be from: the turn is given back to whom it was taken from.
        occupant = request.occupant

        def begun() -> None:
            request.when_left(lambda: self._turns.end(occupant))

        turn = self._turns.begin(occupant)
        if turn.called:
            begun()
            return self._pages.render(request)

        def begin_later(_: None) -> None:
            begun()
            # Not within the end of another request, which may itself be within that of one before.
            self._clock.callLater(0, self._render, request)

        # As a list of its segments, a path takes ten times its bytes.
        request.postpath = []
        request.when_left(turn.cancel)
        turn.addCallbacks(begin_later, lambda failure: failure.trap(CancelledError))  # type: ignore[unused-awaitable]
        return NOT_DONE_YET

    def _render(self, request: Any) -> None:
        if request.channel is None:
            return
        request.postpath = [unquote_to_bytes(each) for each in request.path[1:].split(b"/")]
        try:
            request.render(self._pages)
        except Exception:  # noqa: BLE001 - as Twisted does with what fails at once
            request.processingFailed(Failure())
