"""
Whose turn it is to shake hands: strangers get at most a third of our time.

A TLS handshake takes one or two milliseconds; five hundred a second would leave nothing for builds.  So the work that
is done for strangers is timed, and who wants to begin a handshake waits until there is time for strangers again.  The
addresses take turns, and of each address the newest comes first: in a flood, the oldest will not be patient for long
enough any more, and to serve them would be to serve nobody.

::

    hello complete ──► waits ──its address's turn, and time──► OpenSSL answers ──► …  (timed until it shows a string)
"""

from collections import OrderedDict
from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from ...model.token_bucket import TokenBucket
from ..contract import STRANGERS_SHARE

# Seconds of work that may be saved up, so that two hundred slaves which come at once do not wait.
_MOST_SAVED = 0.5
# Seconds that may be owed for what was heard before TLS: that is done whatever it costs, and who comes after a flood is
# not to pay for it.
_MOST_OWED = 0.5
_SHORTEST_WAIT = 0.001

Begin = Callable[[], None]


class Turns:
    """
    The time for strangers.  *now* is a clock that can measure milliseconds.
    """

    def __init__(self, clock: IReactorTime, now: Callable[[], float]) -> None:
        self._clock = clock
        self._now = now
        self._time = TokenBucket(now, _MOST_SAVED, STRANGERS_SHARE)
        self._waiting: OrderedDict[str, list[Begin]] = OrderedDict()
        self._timer: IDelayedCall | None = None

    def work(self, work: Callable[[], None]) -> None:
        """
        Do *work* for a stranger.
        """
        begun = self._now()
        try:
            work()
        finally:
            self._time.spend(self._now() - begun)

    def hear(self, work: Callable[[], None]) -> None:
        """
        Do *work* for one that has only just connected.
        """
        begun = self._now()
        try:
            work()
        finally:
            cost, may_owe = self._now() - begun, self._time.left + _MOST_OWED
            self._time.spend(max(0.0, min(cost, may_owe)))

    def begin(self, address: str, begin: Begin) -> None:
        """
        Call *begin* as soon as it is the turn of somebody at *address*, at once if there is time.
        """
        if not self._waiting and self._time.left >= 0:
            begin()
            return
        self._waiting.setdefault(address, []).append(begin)
        self._wait()

    def leave(self, address: str, begin: Begin) -> None:
        """
        It waits no longer.
        """
        waiting = self._waiting.get(address, [])
        if begin in waiting:
            waiting.remove(begin)
            if not waiting:
                del self._waiting[address]
        if not self._waiting and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        if self._timer is None and self._waiting:
            self._timer = self._clock.callLater(max(_SHORTEST_WAIT, self._time.wait), self._time_passed)

    def _time_passed(self) -> None:
        self._timer = None
        # One, then others, once around the reactor.
        if self._waiting and self._time.left >= 0:
            address, waiting = self._waiting.popitem(last=False)
            begin = waiting.pop()
            if waiting:
                self._waiting[address] = waiting
            begin()
        self._wait()
