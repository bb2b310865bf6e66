"""
Why requests wait, told to those who follow them.

One look for all followers, every few seconds, and only when the queue has decided something since the last one: a
follower costs nothing while nothing happens.  Each is told when the kind of the reason is another than before; the
sentence alone changes too often (it names what runs, and how long it still takes).
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
class _Told:
    """
    What a follower was told last; *now*: while it has not taken that.
    """

    say: Say
    kind: WaitKind | None = None
    now: Deferred[None] | None = None


class Explaining:
    """
    *why* says why a request waits, None when it does not; *decided* counts the queue's decisions.
    """

    _log = Logger()

    def __init__(
        self, *, why: Callable[[int], WaitReason | None], decided: Callable[[], int], clock: IReactorTime
    ) -> None:
        self._why = why
        self._decided = decided
        self._followers: dict[int, list[_Told]] = {}
        self._looked_at = -1
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock

    def add(self, request: int, say: Say) -> Callable[[], None]:
        """
        From now on *say* why *request* waits.  Answers how to stop that.
        """
        told = _Told(say)
        self._followers.setdefault(request, []).append(told)
        self._looked_at = -1  # it has heard nothing yet
        if not self._looking.running:
            background(self._looking.start(EXPLAIN_EVERY, now=False), self._log, "saying why requests wait")

        def stop() -> None:
            others = self._followers[request]
            others.remove(told)
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
                for told in followers:
                    self._tell(told, reason)

    def _tell(self, told: _Told, reason: WaitReason) -> None:
        # One that takes nothing is told no more: a line that it has not read is enough.
        if told.kind is reason.kind or (told.now is not None and not told.now.called):
            return
        told.kind = reason.kind
        told.now = Deferred.fromCoroutine(_saying(told.say, reason.sentence))
        told.now.addErrback(lambda failure: None)  # type: ignore[unused-awaitable]  # its own telling finds the line cut


async def _saying(say: Say, sentence: str) -> None:
    await say(sentence)
