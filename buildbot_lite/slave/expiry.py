"""
The removal of what a slave keeps for a time only, also while it builds nothing.

::

    every ten minutes ──► has the time of anything passed? ──► a program removes it, as a command would

What is kept, and by which program it is removed, is the composition root's matter (`slave_tap`): the roots of failed
builds may have files of other users.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Event

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ..deferreds import background
from .removal import Removal

LOOK_EVERY = 600.0
"""Seconds between two looks."""


class Expiry:
    """
    *expired*: whether the time of anything has passed; it is called in a thread.  *words*: of the program that removes
    it, which *removal* runs.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        expired: Callable[[], bool],
        words: Callable[[], Sequence[str]],
        removal: Removal,
        clock: IReactorTime,
    ) -> None:
        self._expired = expired
        self._words = words
        self._removal = removal
        self._clock = clock
        self._unwanted = Event()
        self._looking: Deferred[None] | None = None

    def start(self) -> None:
        """
        Look from now on.
        """
        self._looking = Deferred.fromCoroutine(self._look())
        background(_unless_cancelled(self._looking), self._log, "looking for what has expired")

    def stop(self) -> None:
        """
        Look no more, and end the program if it runs.
        """
        self._unwanted.set()
        if self._looking is not None:
            self._looking.cancel()

    async def _look(self) -> None:
        while True:
            await deferLater(self._clock, LOOK_EVERY)
            try:
                if await self._removal.in_thread(self._expired):
                    await self._remove()
            except CancelledError:  # stopped
                raise
            except Exception:  # noqa: BLE001 - whatever it is, it may be over at the next look
                self._log.failure("looking for what has expired; trying again later")

    async def _remove(self) -> None:
        if why := await self._removal.run(self._words(), self._unwanted):
            self._log.warn("what has expired is not removed; trying again later: {why}", why=why)


async def _unless_cancelled(looking: Deferred[None]) -> None:
    with suppress(CancelledError):  # stopped
        await looking
