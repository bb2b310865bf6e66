"""
Whether the peer is still there.

A link is pinged when nothing was heard for `KEEPALIVE` seconds, and given up when nothing was heard for `SILENCE`.
Foolscap has a timer for each that looks at the wall clock every *n* seconds, so they may take twice their value; here
one timer does both, and is exact::

    heard ──10 s──► ping ──10 s──► ping ──5 s──► silent
      ▲               │
      └── anything ───┘
"""

import math
from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from .contract import KEEPALIVE, SILENCE

# Seconds that a timer may be early, so that rounding does not make it fire over and over.
_GRAIN = 0.01


class Pulse:
    """
    Of one link, from now on.  *ping* asks the peer for a sign; *silent* is called once, when it gave none for too long.
    *deaf_until* tells until when we did not listen: so long its silence means nothing.
    """

    def __init__(
        self,
        clock: IReactorTime,
        *,
        ping: Callable[[], None],
        silent: Callable[[], None],
        deaf_until: Callable[[], float],
    ) -> None:
        self._clock = clock
        self._ping = ping
        self._silent = silent
        self._deaf_until = deaf_until
        self._longest = SILENCE
        self._heard = self._pinged = clock.seconds()
        self._timer = clock.callLater(KEEPALIVE, self._time_passed)

    @property
    def heard_at(self) -> float:
        """
        When anything was heard last.
        """
        return self._heard

    @property
    def silence(self) -> float:
        """
        Seconds since then.
        """
        return self._clock.seconds() - self._heard

    def heard(self) -> None:
        """
        Something came, whatever it is.
        """
        self._heard = self._clock.seconds()

    def be_patient(self) -> None:
        """
        From now on silence is no reason to give up.
        """
        self._longest = math.inf

    def stop(self) -> None:
        """
        The link is lost, or given up.
        """
        if self._timer.active():
            self._timer.cancel()

    def _time_passed(self) -> None:
        now = self._clock.seconds()
        self._heard = max(self._heard, self._deaf_until())
        if now >= self._heard + self._longest - _GRAIN:
            self._silent()
            return
        if now >= max(self._heard, self._pinged) + KEEPALIVE - _GRAIN:
            self._pinged = now
            self._ping()
        next_look = min(max(self._heard, self._pinged) + KEEPALIVE, self._heard + self._longest)
        self._timer = self._clock.callLater(max(_GRAIN, next_look - now), self._time_passed)
