"""
Send followers the reason for which their request waits.

One timer serves all followers.  Every `EXPLAIN_EVERY` seconds it looks up the reasons, unless the queue has decided
nothing since: an idle farm has no costs for followers.  A follower gets a reason when its *kind* differs from the last
one sent; the sentence alone changes too often (it names running builds and remaining times).
"""

from collections.abc import Awaitable, Callable

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ..deferreds import background
from ..model.wait_reasons import WaitKind, WaitReason

EXPLAIN_EVERY = 2.0
"""Seconds between two looks at why requests wait."""

Say = Callable[[str], Awaitable[None]]

_NOT_SAID = {WaitKind.STARTING, WaitKind.BACK_OFF}


@define(eq=False)
class _WaitListener:
    """
    A follower: *kind* is the kind of the last reason sent, *now* fires when the client has taken it.
    """

    say: Say
    kind: WaitKind | None = None
    now: Deferred[None] | None = None


class WaitExplainer:
    """
    *why* returns the reason for which a request waits, None if it does not wait.  *decided* returns the number of the
    queue's decisions so far.
    """

    _log = Logger()

    def __init__(
        self, *, why: Callable[[int], WaitReason | None], decided: Callable[[], int], clock: IReactorTime
    ) -> None:
        self._why = why
        self._decided = decided
        self._followers: dict[int, list[_WaitListener]] = {}
        self._looked_at = -1
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock

    def add(self, request: int, say: Say) -> Callable[[], None]:
        """
        Call *say* with each new reason for which *request* waits, until the returned function is called.
        """
        listener = _WaitListener(say)
        self._followers.setdefault(request, []).append(listener)
        self._looked_at = -1  # nothing was sent to this follower yet
        if not self._looking.running:
            background(
                self._looking.start(EXPLAIN_EVERY, now=False), self._log, "sending the reasons why requests wait"
            )

        def stop() -> None:
            others = self._followers[request]
            others.remove(listener)
            if not others:
                del self._followers[request]
            if not self._followers:
                self._looking.stop()

        return stop

    def _look(self) -> None:
        decided = self._decided()
        if decided == self._looked_at:
            return
        self._looked_at = decided
        for request, followers in tuple(self._followers.items()):
            reason = self._why(request)
            if reason is not None and reason.kind not in _NOT_SAID:
                for listener in followers:
                    self._tell(listener, reason)

    def _tell(self, listener: _WaitListener, reason: WaitReason) -> None:
        # At most one unread line for each follower.
        if listener.kind is reason.kind or (listener.now is not None and not listener.now.called):
            return
        listener.kind = reason.kind
        listener.now = Deferred.fromCoroutine(_saying(listener.say, reason.sentence))
        listener.now.addErrback(lambda failure: None)  # type: ignore[unused-awaitable]  # its follower finds the link lost


async def _saying(say: Say, sentence: str) -> None:
    await say(sentence)
