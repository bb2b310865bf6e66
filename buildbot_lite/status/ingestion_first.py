"""
Builds before those who watch them.

A log that is written as quickly as the disk takes it keeps the master busy.  Whoever follows it at the same time would
halve that, and fifty followers would bring it to a standstill, though nobody reads hundreds of MiB as they come.  So
while much comes in, followers together get `LEFT_FOR_FOLLOWERS` bytes a second, and the rest once it is quieter::

    bytes that come in    ▁▁▁██████████████▁▁▁▁▁▁▁▁▁▁
    what followers get    ▁▁▁▂▂▂▂▂▂▂▂▂▂▂▂▂▂███████▁▁▁

Pieces of at most `SMALL` bytes are lines that somebody waits for: they never wait here, and logs that grow more slowly
than `MUCH` are never held back.

Rejected: telling by the load of the master's processor, because on a machine that is shared with slaves it is the
machine that is busy; and a share of the time for each follower, because fifty of them have fifty shares.
"""

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from ..model.token_bucket import Allowance
from ..storage.notifications import Notifications

MUCH = 16 << 20
"""Bytes per second that come in, of all logs and files: from there on followers wait."""
LEFT_FOR_FOLLOWERS = 8 << 20
SMALL = 16 << 10
_SPAN = 0.05
"""Seconds over which it is seen how much comes in, and between two looks of those that wait."""


class IngestionFirst:
    """
    Gives followers their turns.  *growth* knows how much comes in; *clock* is monotonic.
    """

    def __init__(self, notifications: Notifications, clock: IReactorTime) -> None:
        self._notifications = notifications
        self._clock = clock
        self._left = Allowance(clock.seconds, LEFT_FOR_FOLLOWERS * _SPAN, LEFT_FOR_FOLLOWERS)
        self._much = False
        self._since = clock.seconds()
        self._then = notifications.bytes_arrived

    async def turn(self, size: int) -> None:
        """
        A follower got *size* bytes; returns when it may have more.
        """
        if size <= SMALL:
            return
        self._left.spend(size)
        while self._much_comes_in() and self._left.left < 0:
            await deferLater(self._clock, _SPAN)

    def _much_comes_in(self) -> bool:
        now, arrived = self._clock.seconds(), self._notifications.bytes_arrived
        came, passed = arrived - self._then, now - self._since
        if passed >= _SPAN:
            self._much = came >= MUCH * passed
            self._since, self._then = now, arrived
        return self._much or came >= MUCH * _SPAN
