"""
Follow over restarts of the master: no byte is lost or printed twice.

A master sends followed output from its beginning to each client.  So after a lost connection the command asks the same
question again, and drops what it has printed: of the log the first bytes, as many as were printed, because a log only
grows; of the remarks the printed ones, each as often as it was printed, because their order may differ (a remark about
a running step overtakes the step's log).

::

    attempt ──► bytes ──► those not printed yet ──► printed
       ▲  lost                                          │
       └───── pause (1 s … 10 s, 30 min in all) ◄───────┘ the chunk that is being printed is waited for
"""

import time
from collections import Counter
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from typing import TypeVar

from twisted.internet.defer import Deferred

from ...errors import LinkLostError, NoAnswerError
from ..output.printing import OUT, Document, TakeChunk, note

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 10.0
KEEP_TRYING = 1800.0
"""Seconds without a master until the command gives up: the default grace period of builds."""

MOST_REMARKS = 100_000
"""Different remarks that are recognised when a new connection brings them again; 16 MB at most."""

T = TypeVar("T")
Attempt = Callable[[TakeChunk], Awaitable[Document]]
Pause = Callable[[float], Awaitable[None]]


class Printed:
    """
    Passes to *take* the chunks that no earlier connection has brought.
    """

    def __init__(self, take: TakeChunk) -> None:
        self._take = take
        self._length = 0
        self._remarks: Counter[bytes] = Counter()
        self._to_skip = 0
        self._remarks_to_skip: Counter[bytes] = Counter()
        self._idle: Deferred[None] | None = None

    async def from_the_start(self) -> TakeChunk:
        """
        The function that takes the chunks of a new connection, once the last chunk of the former one is printed.
        """
        if self._idle is not None:
            await self._idle
        self._to_skip = self._length
        self._remarks_to_skip = self._remarks.copy()
        return self._next

    def _next(self, chunk: bytes) -> Deferred[None] | None:
        news = self._news(chunk)
        if not news:
            return None
        processed = self._take(news)
        if processed is None:
            return None
        idle: Deferred[None] = Deferred()
        self._idle = idle

        def done(result: T) -> T:
            idle.callback(None)
            return result

        return processed.addBoth(done)

    def _news(self, chunk: bytes) -> bytes:
        """
        The unprinted part of *chunk*, after the byte that names its stream; empty: nothing.
        """
        if int(chunk[:1]) == OUT:
            skipped = min(self._to_skip, len(chunk) - 1)
            self._to_skip -= skipped
            self._length += len(chunk) - 1 - skipped
            return chunk[:1] + chunk[1 + skipped :] if len(chunk) - 1 > skipped else b""
        digest = blake2b(chunk, digest_size=16).digest()
        if self._remarks_to_skip[digest] > 0:
            self._remarks_to_skip[digest] -= 1
            return b""
        if digest in self._remarks or len(self._remarks) < MOST_REMARKS:
            self._remarks[digest] += 1
        return chunk


async def resumed(
    attempt: Attempt,
    take: TakeChunk,
    *,
    pause: Pause,
    advice: str,
    seconds: Callable[[], float] = time.monotonic,
) -> Document:
    """
    The answer of *attempt*, which is repeated whenever the connection is lost; *take* gets each byte once.

    *attempt* is called with the function that takes its chunks.  `NoAnswerError` if no master answers the first
    attempt, or later ones for `KEEP_TRYING` seconds; its sentence ends with *advice*.
    """
    printed = Printed(take)
    lost_at: float | None = None
    delay = FIRST_PAUSE
    while True:
        begun = False
        taking = await printed.from_the_start()

        def taken(chunk: bytes, taking: TakeChunk = taking) -> Deferred[None] | None:
            nonlocal begun
            begun = True
            return taking(chunk)

        try:
            return await attempt(taken)
        except LinkLostError:
            if begun or lost_at is None:
                # The master had answered: a new outage begins.
                lost_at, delay = seconds(), FIRST_PAUSE
                note(
                    f"# lost the connection to the master; the build continues.  Trying to reach the master again for "
                    f"up to {KEEP_TRYING / 60:.0f} minutes."
                )
        except NoAnswerError:
            if lost_at is None:
                raise
        if seconds() - lost_at > KEEP_TRYING:
            raise NoAnswerError(f"No master answered for {KEEP_TRYING / 60:.0f} minutes.  {advice}")
        await pause(delay)
        delay = min(2 * delay, LONGEST_PAUSE)
