"""
A link to a master that lasts: over one connection, which is renewed by itself after each loss.

::

    connecting ──► linked ──► lost: *away* says since when, and why ──► linked …
        │ no answer at first, or refused: all questions fail

With *on_away*, no answer at first is a loss like any other, and questions fail when the master is away for
`KEEP_TRYING` seconds.
"""

import time
from collections.abc import Callable
from typing import Any, Protocol

from attrs import evolve, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from ...deferreds import OneShot
from ...errors import BuildbotLiteError, NoAnswerError
from ...wire.certificate import new_certificate
from ...wire.control import RemoteControl
from ...wire.reconnecting import ControlConnection
from ...wire.roles import Link
from ...wire.tub import make_tub
from ..output.printing import Document, TakeChunk
from .resuming import KEEP_TRYING


@frozen
class Away:
    """
    The master is away *since* that many seconds after 1970; *why*: the latest reason, or "".
    """

    since: float
    why: str = ""


class LastingLink(Protocol):
    """
    Asks as long as it is needed.
    """

    @property
    def away(self) -> Away | None:
        """
        None while the link works.
        """

    async def ask(self, question: Document) -> Document:
        """
        The answer to *question*, once there is a link; `LinkLostError` if it is lost before the answer.
        """

    async def follow(self, question: Document, take: TakeChunk) -> Document:
        """
        Send *question*; *take* gets the chunks that come before the answer, which is returned.
        """

    async def stop(self) -> None:
        """
        Disconnect.
        """


class NetworkLastingLink:
    """
    A `LastingLink` to the master of *furl*; a refusal ends it, whenever it comes.

    *on_away*: called whenever the master is lost, or does not answer at first.  None: then questions fail with
    `NoAnswerError` if no master answers the first attempt, and later wait without a bound.  *submissions*: whether
    *furl* may be that of a submission.
    """

    def __init__(
        self,
        reactor: Any,
        furl: str,
        wall: Callable[[], float] = time.time,
        *,
        on_away: Callable[[], None] | None = None,
        submissions: bool = False,
    ) -> None:
        self._reactor = reactor
        self._wall = wall
        self._on_away = on_away
        self._tub = make_tub(reactor, new_certificate())
        self._linked: OneShot[RemoteControl] = OneShot()
        self._was_linked = False
        self._away: Away | None = None
        self._giving_up: IDelayedCall | None = None
        self._tub.startService()
        self._connection = ControlConnection(
            self._tub, furl, self._arrived, self._refused, self._unreachable, submissions=submissions
        )

    @property
    def away(self) -> Away | None:
        return self._away

    async def ask(self, question: Document) -> Document:
        return await (await self._linked.wait()).ask(question)

    async def follow(self, question: Document, take: TakeChunk) -> Document:
        return await (await self._linked.wait()).follow(question, take)

    async def stop(self) -> None:
        # The link that is cut now is not lost.
        self._on_away = None
        self._stay()
        self._connection.stop()
        stopped: Deferred[None] = self._tub.stopService()
        await stopped

    def _arrived(self, control: RemoteControl, link: Link) -> None:
        self._stay()
        self._was_linked, self._away = True, None
        self._linked.fire(control)
        link.when_lost(self._lost)

    def _lost(self) -> None:
        self._linked = OneShot()
        self._leave()

    def _unreachable(self, why: str) -> None:
        if self._was_linked or self._on_away is not None:
            if self._away is None:
                self._leave()
            assert self._away is not None
            self._away = evolve(self._away, why=why)
            return
        self._refused(
            NoAnswerError(
                f"No master answers at {why}.  If it does not run, start it on its own machine: buildbot-lite start DIR"
            )
        )

    def _refused(self, error: BuildbotLiteError) -> None:
        self._linked.fire(Failure(error))

    def _leave(self) -> None:
        self._away = Away(self._wall())
        if self._on_away is not None:
            self._giving_up = self._reactor.callLater(KEEP_TRYING, self._give_up)
            self._on_away()

    def _stay(self) -> None:
        giving_up, self._giving_up = self._giving_up, None
        if giving_up is not None:
            giving_up.cancel()

    def _give_up(self) -> None:
        self._giving_up = None
        self._refused(NoAnswerError(f"No master answered for {KEEP_TRYING / 60:.0f} minutes."))
