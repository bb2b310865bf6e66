"""
Keepalive: detects a peer that does not answer.

A link on which nothing arrived for `KEEPALIVE` seconds is pinged, and given up after `SILENCE` seconds.  Foolscap's two
timers read the wall clock once per period, so each may fire up to one period late.  Here one exact timer does both::

    data arrived ──10 s──► ping ──10 s──► ping ──5 s──► silent
         ▲                  │
         └──── any data ────┘

**Pauses.**  A process that was stopped, or whose machine was suspended or paused by its host, finds its timers due
before it has read what waits in its sockets; and its peer may have been paused with it.  So a timer that is late gives
up no link: the peer is pinged, and has `KEEPALIVE` seconds to answer.  That happens at most `MOST_PAUSES` times until
the peer is heard: a process so busy that its timers are late each time gives up a silent peer, too.  sshd, too, counts
unanswered messages, not time (ClientAliveCountMax in sshd_config(5)).
"""

import math
from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from .contract import KEEPALIVE, SILENCE

# Seconds by which a timer may fire early.  Without this tolerance, rounding could make it fire again and again.
_TOLERANCE = 0.01
LATE = 1.0
"""Seconds by which a timer is late after a pause.  That of a busy process is rarely so late, and not each time."""
MOST_PAUSES = 3
"""How many pauses excuse the silence of a peer."""


class Keepalive:
    """
    The keepalive of one link, which starts at once.

    *ping*: sends a ping.  *silent*: called once, when the peer was silent for `SILENCE`.  *paused_until*: returns the
    last time, on *clock*, at which we ourselves had stopped reading the link; silence before it does not count.
    """

    def __init__(
        self,
        clock: IReactorTime,
        *,
        ping: Callable[[], None],
        silent: Callable[[], None],
        paused_until: Callable[[], float],
    ) -> None:
        self._clock = clock
        self._ping = ping
        self._silent = silent
        self._paused_until = paused_until
        self._longest = SILENCE
        # Since data arrived last.
        self._pauses = 0
        # Silence before *since* does not count, because of a pause.
        self._heard = self._since = self._pinged = clock.seconds()
        self._check_in(KEEPALIVE)

    @property
    def heard_at(self) -> float:
        """
        When data arrived last, on *clock*.
        """
        return self._heard

    @property
    def silence(self) -> float:
        """
        Seconds since data arrived last.
        """
        return self._clock.seconds() - self._heard

    def heard(self) -> None:
        """
        Note that data arrived.
        """
        self._heard = self._clock.seconds()
        self._pauses = 0

    def tolerate_silence(self) -> None:
        """
        Never call *silent*; go on pinging.
        """
        self._longest = math.inf

    def stop(self) -> None:
        if self._timer.active():
            self._timer.cancel()

    def _check_in(self, seconds: float) -> None:
        self._due = self._clock.seconds() + seconds
        self._timer = self._clock.callLater(seconds, self._time_passed)

    def _time_passed(self) -> None:
        now = self._clock.seconds()
        late = now - self._due >= LATE and self._pauses < MOST_PAUSES
        self._heard = max(self._heard, self._paused_until())
        since = max(self._heard, self._since)
        if late:
            self._pauses += 1
            since = self._since = max(since, now - (SILENCE - KEEPALIVE))
        elif now >= since + self._longest - _TOLERANCE:
            self._silent()
            return
        if late or now >= max(self._heard, self._pinged) + KEEPALIVE - _TOLERANCE:
            self._pinged = now
            self._ping()
        next_check = min(max(self._heard, self._pinged) + KEEPALIVE, since + self._longest)
        self._check_in(max(_TOLERANCE, next_check - now))
