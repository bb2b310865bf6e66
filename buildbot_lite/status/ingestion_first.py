"""
Followers of logs yield to the ingestion of running builds.

A build that writes its log as fast as the disk permits keeps the master busy.  One follower would halve the speed of
that build, and fifty followers would stop it, although no person reads hundreds of MiB as they arrive.  So followers
take turns, also for their first chunk: one chunk in each iteration of the reactor.  And while much comes in, all
followers together get `LEFT_FOR_FOLLOWERS` bytes a second; they get the rest when it is quieter::

    bytes that come in    ▁▁▁██████████████▁▁▁▁▁▁▁▁▁▁
    what followers get    ▁▁▁▂▂▂▂▂▂▂▂▂▂▂▂▂▂███████▁▁▁

The holders of FURLs take turns; the followers of one holder share its turns, first come, first served.  So a holder
with a thousand followers delays the only follower of another holder by one chunk, not by a thousand.

Lines of a slowly growing log, which people wait for, have turns of their own, which are never held back: one in each
iteration of the reactor as well.  So a thousand followers of one log delay everything else by one piece at a time.
Turns keep one holder's followers of one log at about the same offset, so that the blocks that one of them has read are
in memory for the others (`storage.shared_reading`).

"Much" begins at `MUCH` bytes a second and ends below `LITTLE`.  A single threshold would oscillate: released followers
slow the build down below the threshold, which releases them again.

Rejected: a decision by the load of the processor, because a machine that also runs slaves is busy when the master is
not; and a share of time for each follower, because fifty followers have fifty shares.
"""

from collections.abc import Callable, Hashable

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from ..model.round_robin import RoundRobin
from ..model.token_bucket import TokenBucket
from ..storage.notifications import Notifications
from ..wire.flow_control import SMALLEST_CHUNK

MUCH = 16 << 20
LITTLE = 2 << 20
"""Incoming bytes per second, of all logs and files together."""
LEFT_FOR_FOLLOWERS = 8 << 20
_SPAN = 0.05
"""Seconds over which the incoming rate is measured, and between two measurements while it is high."""


@frozen(eq=False)
class _Turn:
    size: int
    granted: Deferred[None]


class _Turns:
    """
    One turn in each iteration of the reactor.  *held_back*: whether there is none now; *took*: called with the bytes of
    each turn.
    """

    def __init__(self, clock: IReactorTime, held_back: Callable[[], bool], took: Callable[[int], object]) -> None:
        self._clock = clock
        self._held_back = held_back
        self._took = took
        self._waiting: RoundRobin[_Turn] = RoundRobin()
        # The next turn, if a follower waits for it.
        self._next: IDelayedCall | None = None

    def turn(self, holder: Hashable, size: int) -> Deferred[None]:
        granted: Deferred[None] = Deferred(lambda _: self._waiting.remove(holder, turn))
        turn = _Turn(size, granted)
        self._waiting.add(holder, turn)
        if self._next is None:
            self._plan()
        return granted

    def _plan(self) -> None:
        self._next = self._clock.callLater(_SPAN if self._held_back() else 0, self._take)

    def _take(self) -> None:
        self._next = None
        if self._waiting and not self._held_back():
            turn = self._waiting.take()
            self._took(turn.size)
            turn.granted.callback(None)
        if self._waiting and self._next is None:
            self._plan()


class IngestionFirst:
    """
    Gives followers their turns.  *notifications* counts the incoming bytes; *clock* is monotonic.
    """

    def __init__(self, notifications: Notifications, clock: IReactorTime) -> None:
        self._notifications = notifications
        self._clock = clock
        self._reading_budget = TokenBucket(clock.seconds, LEFT_FOR_FOLLOWERS * _SPAN, LEFT_FOR_FOLLOWERS)
        self._much = False
        self._since = clock.seconds()
        self._then = notifications.bytes_arrived
        self._lines = _Turns(clock, lambda: False, lambda size: None)
        self._chunks = _Turns(clock, self._held_back, self._spend)

    def turn(self, holder: Hashable, size: int) -> Deferred[None]:
        """
        Fires when a follower of *holder* may send *size* bytes.  Cancel it to stop waiting.
        """
        return (self._lines if size < SMALLEST_CHUNK else self._chunks).turn(holder, size)

    def _held_back(self) -> bool:
        return self._much_comes_in() and self._reading_budget.left < 0

    def _spend(self, size: int) -> None:
        # While little comes in, sent bytes create no debt: a debt would stop all followers when much comes in, until it
        # is repaid.
        self._reading_budget.spend(size if self._much_comes_in() else min(size, max(self._reading_budget.left, 0)))

    def _much_comes_in(self) -> bool:
        now, arrived = self._clock.seconds(), self._notifications.bytes_arrived
        came, passed = arrived - self._then, now - self._since
        if passed >= _SPAN:
            self._much = came >= (LITTLE if self._much else MUCH) * passed
            self._since, self._then = now, arrived
        elif came >= MUCH * _SPAN:
            self._much = True
        return self._much
