"""
The lag of the reactor: how late it makes a call that is due.
"""

from collections import deque

from twisted.internet.interfaces import IDelayedCall, IReactorTime

INTERVAL = 0.5
"""Seconds between two measurements."""
WINDOW = 15.0
"""Seconds of measurements that are kept."""


class ReactorLag:
    """
    Measures from `start` to `stop`.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._samples: deque[float] = deque(maxlen=round(WINDOW / INTERVAL))
        self._due = 0.0
        self._timer: IDelayedCall | None = None

    def start(self) -> None:
        """
        Begin to measure.
        """
        self._due = self._clock.seconds() + INTERVAL
        self._timer = self._clock.callLater(INTERVAL, self._measure)

    def stop(self) -> None:
        """
        Measure no more.
        """
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    @property
    def mean(self) -> float | None:
        """
        The mean lag of the last `WINDOW` seconds, in seconds; None before the first measurement.
        """
        return sum(self._samples) / len(self._samples) if self._samples else None

    @property
    def most(self) -> float | None:
        """
        The longest one.
        """
        return max(self._samples, default=None)

    def _measure(self) -> None:
        self._samples.append(max(0.0, self._clock.seconds() - self._due))
        self.start()
