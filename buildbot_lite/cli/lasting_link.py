"""
A link to a master that lasts: over one connection, which is renewed by itself after each loss.

::

    connecting ──► linked ──► lost: *away* says since when, and why ──► linked …
        │ no answer at first, or refused: all questions fail
"""

import time
from collections.abc import Callable
from typing import Any, Protocol

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ..deferreds import OneShot
from ..errors import BuildbotLiteError, NoAnswerError
from ..wire.certificate import new_certificate
from ..wire.control import RemoteControl
from ..wire.reconnecting import ControlConnection
from ..wire.roles import Link
from ..wire.tub import make_tub
from .output import Document, TakeChunk


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
        As `ask`; *take* gets the chunks that come before the answer.
        """

    async def stop(self) -> None:
        """
        Disconnect.
        """


class NetworkLastingLink:
    """
    A `LastingLink` to the master of *furl*.  If no master answers the first attempt, questions fail with
    `NoAnswerError`; a refusal ends it, whenever it comes.
    """

    def __init__(self, reactor: Any, furl: str, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._tub = make_tub(reactor, new_certificate())
        self._linked: OneShot[RemoteControl] = OneShot()
        self._was_linked = False
        self._away: Away | None = None
        self._tub.startService()
        self._connection = ControlConnection(self._tub, furl, self._arrived, self._refused, self._unreachable)

    @property
    def away(self) -> Away | None:
        return self._away

    async def ask(self, question: Document) -> Document:
        return await (await self._linked.wait()).ask(question)

    async def follow(self, question: Document, take: TakeChunk) -> Document:
        return await (await self._linked.wait()).follow(question, take)

    async def stop(self) -> None:
        self._connection.stop()
        stopped: Deferred[None] = self._tub.stopService()
        await stopped

    def _arrived(self, control: RemoteControl, link: Link) -> None:
        self._was_linked, self._away = True, None
        self._linked.fire(control)
        link.when_lost(self._lost)

    def _lost(self) -> None:
        self._away = Away(self._wall())
        self._linked = OneShot()

    def _unreachable(self, why: str) -> None:
        if self._was_linked:
            self._away = Away(self._wall() if self._away is None else self._away.since, why)
            return
        self._refused(
            NoAnswerError(
                f"No master answers at {why}.  If it does not run, start it on its own machine: buildbot-lite start DIR"
            )
        )

    def _refused(self, error: BuildbotLiteError) -> None:
        self._linked.fire(Failure(error))
