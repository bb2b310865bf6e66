"""
Wakeup: the signal after which a loop looks for work again.
"""

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from ...deferreds import OneShot


class Wakeup:
    """
    A signal that anything may set, at once or after a time, and that one loop waits for.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._next: OneShot[None] = OneShot()
        self._timer: IDelayedCall | None = None

    def set(self) -> None:
        """
        Something changed: wake the loop now.
        """
        fired, self._next = self._next, OneShot()
        fired.fire(None)

    def set_after(self, seconds: float | None) -> None:
        """
        Wake the loop after *seconds*, instead of at the time given before; None: only when something changes.
        """
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None if seconds is None else self._clock.callLater(seconds, self.set)

    def next(self) -> Deferred[None]:
        """
        Fires when the signal is next set.
        """
        return self._next.wait()
