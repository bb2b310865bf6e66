"""
Limits the CPU time for the holder of a FURL to half of the master's.

A holder may make any call of the contract as often as it likes: read nothing, append nothing, send documents that take
long to parse.  Each call is answered, but other peers must not wait for that.  So the CPU time that a link causes is
charged to a token bucket, which all links of the holder share (`account`).  While the bucket is overdrawn, the link is
not read::

    reading ──a call overdraws the bucket──► paused ──the bucket has recovered──► reading

TCP's flow control then makes the peer wait.  A slave of ours that has to wait sends more bytes per call and makes fewer
calls.  Bytes of streams are what links are for, so up to three times their usual cost is refunded.

Rejected: counting calls, because one can cost a thousand times as much as another; cutting the link, because on a slow
machine the usual calls of a correct peer can overdraw the bucket, too.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType

from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime

from ...model.token_bucket import TokenBucket, once_every
from ..contract import FREE_SECONDS_PER_BYTE, FREE_SECONDS_PER_SENT_BYTE

SLOWED = "it uses more than its share of the master's CPU time, so the master reads its link more slowly"
_LOG_INTERVAL = 60.0
_SHORTEST_PAUSE = 0.01


class _Metered:
    """
    A context that charges the CPU time of its block.  (A class, because `contextmanager` takes three times as long, and
    there are two of these for each message.)
    """

    __slots__ = ("_begun", "_charge", "_time")

    def __init__(self, time: Callable[[], float], charge: Callable[[float], None]) -> None:
        self._time = time
        self._charge = charge

    def __enter__(self) -> None:
        self._begun = self._time()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._charge(self._time() - self._begun)


class CpuShare:
    """
    The CPU time of one link, charged to *bucket*.

    *transport*: that of the link, paused while the bucket is overdrawn.  *time*: returns the CPU time of this thread in
    seconds.  *slowed*: called with a sentence when a pause begins, at most once a minute.
    """

    def __init__(
        self,
        clock: IReactorTime,
        bucket: TokenBucket,
        transport: IPushProducer,
        time: Callable[[], float],
        slowed: Callable[[str], None],
    ) -> None:
        self._clock = clock
        self._transport = transport
        self._time = time
        self._slowed = slowed
        self._bucket = bucket
        self._resume_call: IDelayedCall | None = None
        self._resumed_at = 0.0
        self._slowed_lines = once_every(_LOG_INTERVAL, clock.seconds)
        self._stopped = False

    @property
    def paused(self) -> bool:
        """
        Whether the link is not read now.
        """
        return self._resume_call is not None

    @property
    def paused_until(self) -> float:
        """
        The last time, on *clock*, at which the link was not read.  Silence until then does not mean that the peer is
        dead.
        """
        return self._clock.seconds() if self.paused else self._resumed_at

    def metered(self) -> AbstractContextManager[None]:
        """
        A context that charges the CPU time of its block.
        """
        return _Metered(self._time, self._charge)

    def _charge(self, seconds: float) -> None:
        if self._bucket.spend(seconds) < 0 and self._resume_call is None and not self._stopped:
            self._transport.pauseProducing()
            self._resume_later()
            if self._slowed_lines.take():
                self._slowed(SLOWED)

    def refund(self, size: int) -> None:
        """
        Refund the usual cost of *size* bytes of a stream that the peer sent or requested.
        """
        self._bucket.spend(-size * FREE_SECONDS_PER_BYTE)

    def refund_sent(self, size: int) -> None:
        """
        Refund the usual cost of the acknowledgements of *size* bytes of a stream that are sent to the peer.
        """
        self._bucket.spend(-size * FREE_SECONDS_PER_SENT_BYTE)

    def stop(self) -> None:
        """
        Stop metering, because the link is lost.
        """
        self._stopped = True
        if self._resume_call is not None:
            self._resume_call.cancel()
            self._resume_call = None

    def _resume_later(self) -> None:
        self._resume_call = self._clock.callLater(max(_SHORTEST_PAUSE, self._bucket.wait), self._resume)

    def _resume(self) -> None:
        self._resume_call = None
        if self._bucket.left < 0:
            self._resume_later()  # data that was received before the pause was charged meanwhile
        else:
            self._resumed_at = self._clock.seconds()
            self._transport.resumeProducing()
