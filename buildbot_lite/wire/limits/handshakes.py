"""
Limits the CPU time for unauthenticated peers, mostly for their TLS handshakes, to a third of the master's.

A TLS handshake takes one or two milliseconds; five hundred a second would leave no time for builds.  So all work for
unauthenticated peers is timed, and a new handshake waits until their share has recovered.  The waiting addresses take
turns.  Within an address the newest connection comes first: in a flood, the oldest ones are about to time out, and
their handshakes would be wasted.

::

    ClientHello complete ──► queued ──address's turn, time available──► OpenSSL answers ──► … timed until authenticated
"""

from collections import OrderedDict
from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from ...model.token_bucket import TokenBucket
from ..contract import UNAUTHENTICATED_SHARE

# Seconds of CPU time that may be saved up, so that two hundred slaves that connect at once do not wait.
_BURST = 0.5
# Seconds of debt to which work before TLS is charged.  That work cannot be delayed; without this limit, a peer that
# connects after a flood would wait until all of the flood's work is paid for.
_LARGEST_DEBT = 0.5
_SHORTEST_WAIT = 0.001

Begin = Callable[[], None]


class HandshakeQueue:
    """
    The handshakes that wait for CPU time.  *now*: returns seconds with a resolution of a millisecond or better.
    """

    def __init__(self, clock: IReactorTime, now: Callable[[], float]) -> None:
        self._clock = clock
        self._now = now
        self._time = TokenBucket(now, _BURST, UNAUTHENTICATED_SHARE)
        self._waiting: OrderedDict[str, list[Begin]] = OrderedDict()
        self._timer: IDelayedCall | None = None

    def metered(self, work: Callable[[], None]) -> None:
        """
        Call *work* and charge its time.
        """
        begun = self._now()
        try:
            work()
        finally:
            self._time.spend(self._now() - begun)

    def metered_plaintext(self, work: Callable[[], None]) -> None:
        """
        Call *work*, which is done before TLS begins, and charge its time, up to the largest debt.
        """
        begun = self._now()
        try:
            work()
        finally:
            cost, credit = self._now() - begun, self._time.left + _LARGEST_DEBT
            self._time.spend(max(0.0, min(cost, credit)))

    def enqueue(self, address: str, begin: Begin) -> None:
        """
        Call *begin* when a handshake from *address* may begin: at once if there is time and no other handshake waits.
        """
        if not self._waiting and self._time.left >= 0:
            begin()
            return
        self._waiting.setdefault(address, []).append(begin)
        self._set_timer()

    def cancel(self, address: str, begin: Begin) -> None:
        """
        Remove *begin* if it still waits.
        """
        waiting = self._waiting.get(address, [])
        if begin in waiting:
            waiting.remove(begin)
            if not waiting:
                del self._waiting[address]
        if not self._waiting and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self) -> None:
        if self._timer is None and self._waiting:
            self._timer = self._clock.callLater(max(_SHORTEST_WAIT, self._time.wait), self._time_passed)

    def _time_passed(self) -> None:
        self._timer = None
        # One handshake per turn of the reactor, so that other work is not delayed.
        if self._waiting and self._time.left >= 0:
            address, waiting = self._waiting.popitem(last=False)
            begin = waiting.pop()
            if waiting:
                self._waiting[address] = waiting
            begin()
        self._set_timer()
