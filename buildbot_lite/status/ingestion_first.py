"""
Followers of logs yield to the ingestion of running builds.

A build that writes its log as fast as the disk permits keeps the master busy.  One follower would halve the speed of
that build, and fifty followers would stop it, although no person reads hundreds of MiB as they arrive.  So followers
take turns: one chunk in each iteration of the reactor.  And while much comes in, all followers together get
`LEFT_FOR_FOLLOWERS` bytes a second; they get the rest when it is quieter::

    bytes that come in    ▁▁▁██████████████▁▁▁▁▁▁▁▁▁▁
    what followers get    ▁▁▁▂▂▂▂▂▂▂▂▂▂▂▂▂▂███████▁▁▁

The holders of FURLs take turns, and within a holder its followers, first come, first served: somebody with a thousand
followers delays the only follower of somebody else by one chunk, not by a thousand.

Lines of a slowly growing log need no turns.  Turns keep one holder's followers of one log at about the same offset, so
that the blocks that one of them has read are in memory for the others (`storage.shared_reading`).

"Much" begins at `MUCH` bytes a second and ends below `LITTLE`.  A single threshold would oscillate: released followers
slow the build down below the threshold, which releases them again.

Rejected: a decision by the load of the processor, because a machine shared with slaves is busy when the master is not;
and a share of time for each follower, because fifty followers have fifty shares.
"""

from collections.abc import Hashable
from functools import partial

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from ..model.round_robin import RoundRobin
from ..model.token_bucket import TokenBucket
from ..storage.notifications import Notifications

MUCH = 16 << 20
LITTLE = 2 << 20
"""Incoming bytes per second, of all logs and files together."""
LEFT_FOR_FOLLOWERS = 8 << 20
_SPAN = 0.05
"""Seconds over which the incoming rate is measured, and between two measurements while it is high."""


class IngestionFirst:
    """
    Gives followers their turns.  *notifications* counts the incoming bytes; *clock* is monotonic.
    """

    def __init__(self, notifications: Notifications, clock: IReactorTime) -> None:
        self._notifications = notifications
        self._clock = clock
        self._left = TokenBucket(clock.seconds, LEFT_FOR_FOLLOWERS * _SPAN, LEFT_FOR_FOLLOWERS)
        self._much = False
        self._since = clock.seconds()
        self._then = notifications.bytes_arrived
        self._waiting: RoundRobin[Deferred[None]] = RoundRobin()
        # The next turn, if a follower waits for it.
        self._next: IDelayedCall | None = None

    def turn(self, holder: Hashable, size: int) -> Deferred[None]:
        """
        Fires when a follower of *holder* that has just got *size* bytes may have more.  Cancel it to stop waiting.
        """
        # While little comes in, sent bytes create no debt: a debt would stop all followers when much comes in, until it
        # is repaid.
        self._left.spend(size if self._much_comes_in() else min(size, max(self._left.left, 0)))
        waiting: Deferred[None] = Deferred(partial(self._waiting.remove, holder))
        self._waiting.add(holder, waiting)
        if self._next is None:
            self._plan()
        return waiting

    def _plan(self) -> None:
        held_back = self._much_comes_in() and self._left.left < 0
        self._next = self._clock.callLater(_SPAN if held_back else 0, self._take)

    def _take(self) -> None:
        self._next = None
        if self._waiting and not (self._much_comes_in() and self._left.left < 0):
            self._waiting.take().callback(None)
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
