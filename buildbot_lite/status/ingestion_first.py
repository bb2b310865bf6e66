"""
Builds before those who watch them.

A log that is written as quickly as the disk takes it keeps the master busy.  Whoever follows it at the same time would
halve that, and fifty followers would bring it to a standstill, though nobody reads hundreds of MiB as they come.  So
followers take turns, first come, first served: one chunk in each turn of the reactor, beside whatever else is to be
done in it.  And while much comes in, they get `LEFT_FOR_FOLLOWERS` bytes a second together, and the rest once it is
quieter::

    bytes that come in    ▁▁▁██████████████▁▁▁▁▁▁▁▁▁▁
    what followers get    ▁▁▁▂▂▂▂▂▂▂▂▂▂▂▂▂▂███████▁▁▁

Lines of a log that grows slowly take no turns.  Followers of one log who take turns stay at about the same place of it,
so what one has read the others find in memory (`storage.shared_reading`).

It is much from `MUCH` bytes a second on, until it is less than `LITTLE`.  With one limit for both it would stay just
there: followers who are let go slow a build down, until that brings so little that they are let go.

Rejected: telling by the load of the master's processor, because on a machine that is shared with slaves it is the
machine that is busy; and a share of the time for each follower, because fifty of them have fifty shares.
"""

from collections import deque

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from ..model.token_bucket import TokenBucket
from ..storage.notifications import Notifications

MUCH = 16 << 20
LITTLE = 2 << 20
"""Bytes per second that come in, of all logs and files together."""
LEFT_FOR_FOLLOWERS = 8 << 20
_SPAN = 0.05
"""Seconds over which it is seen how much comes in, and between two looks while much does."""


class IngestionFirst:
    """
    Gives followers their turns.  *growth* knows how much comes in; *clock* is monotonic.
    """

    def __init__(self, notifications: Notifications, clock: IReactorTime) -> None:
        self._notifications = notifications
        self._clock = clock
        self._left = TokenBucket(clock.seconds, LEFT_FOR_FOLLOWERS * _SPAN, LEFT_FOR_FOLLOWERS)
        self._much = False
        self._since = clock.seconds()
        self._then = notifications.bytes_arrived
        self._waiting: deque[Deferred[None]] = deque()
        # The next turn, if somebody waits for it.
        self._next: IDelayedCall | None = None

    def turn(self, size: int) -> Deferred[None]:
        """
        A follower got *size* bytes: fires when it may have more.  Cancelling it is how to stop waiting.
        """
        self._left.spend(size)
        waiting: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        if self._next is None:
            self._plan()
        return waiting

    def _plan(self) -> None:
        held_back = self._much_comes_in() and self._left.left < 0
        self._next = self._clock.callLater(_SPAN if held_back else 0, self._take)

    def _take(self) -> None:
        self._next = None
        if self._waiting and not (self._much_comes_in() and self._left.left < 0):
            self._waiting.popleft().callback(None)
        if self._waiting and self._next is None:
            self._plan()

    def _much_comes_in(self) -> bool:
        now, arrived = self._clock.seconds(), self._notifications.bytes_arrived
        came, passed = arrived - self._then, now - self._since
        if passed >= _SPAN:
            self._much = came >= (LITTLE if self._much else MUCH) * passed
            self._since, self._then = now, arrived
        elif came >= MUCH * _SPAN:
            self._much = True
        return self._much
