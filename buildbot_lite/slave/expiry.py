"""
The removal of what a slave keeps for a time only, also while it builds nothing.

::

    every ten minutes ──► has the time of anything passed? ──► a program removes it, as a command would

What is kept, and by which program it is removed, is the composition root's matter (`slave_tap`): the roots of failed
builds may have files of other users.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from threading import Event
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ..child_programs import ChildProgram, last_complaint, run_here
from ..deferreds import background
from ..errors import BuildbotLiteError

LOOK_EVERY = 600.0
"""Seconds between two looks."""
LONGEST_REMOVAL = 3600.0
"""Seconds after which the program is ended; the next one goes on."""
LARGEST_OUTPUT = 1 << 20
"""Bytes that the program may print."""


class Expiry:
    """
    *expired*: whether the time of anything has passed; it is called in a thread.  *words*: of the program
    that removes it, in the directory *cwd* with *env*.  *in_thread*: runs a function that blocks in a thread.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        expired: Callable[[], bool],
        words: Callable[[], Sequence[str]],
        cwd: str,
        env: Mapping[str, str],
        in_thread: Callable[[Callable[[], Any]], Deferred[Any]],
        clock: IReactorTime,
    ) -> None:
        self._expired = expired
        self._words = words
        self._cwd = cwd
        self._env = env
        self._in_thread = in_thread
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
                if await self._in_thread(self._expired):
                    await self._remove()
            except CancelledError:  # stopped
                raise
            except Exception:  # noqa: BLE001 - whatever it is, it may be over at the next look
                self._log.failure("looking for what has expired; trying again later")

    async def _remove(self) -> None:
        try:
            program = ChildProgram(
                argv=self._words(), cwd=self._cwd, env=self._env, seconds=LONGEST_REMOVAL, largest=LARGEST_OUTPUT
            )
            ran = await self._in_thread(partial(run_here, program, self._unwanted))
        except (BuildbotLiteError, OSError) as error:
            why = str(error)
        else:
            if not ran.code:
                return
            why = last_complaint(ran.errors) or f"exit code {ran.code}"
        self._log.warn("what has expired is not removed; trying again later: {why}", why=why)


async def _unless_cancelled(looking: Deferred[None]) -> None:
    with suppress(CancelledError):  # stopped
        await looking
