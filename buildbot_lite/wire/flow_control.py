"""
How many bytes may be in flight on one connection: a slave's to its master, a master's to a client following a log.

A slave has one `FlowControl` per link, shared by all streams on it; each follower has one of its own.  On a fast link,
several chunks of 256 KiB are in flight (measured best).  A slow link gets no more than it carries in `LONGEST_QUEUE`
seconds, because keepalives and interrupts wait in the same queue: behind too much data, they would come too late, and
the link would be cut for silence.

The rate is measured as in BBR (draft-cheng-iccrg-delivery-rate-estimation): the bytes that were acknowledged between
the sending of a chunk and its acknowledgement, divided by that time.  The window starts at one small chunk and grows
with the measured rate, so the first line of a log arrives at once on any link.
"""

from collections.abc import Callable

from attrs import frozen
from twisted.internet.interfaces import IReactorTime

# Bytes.
SMALLEST_CHUNK = 16 << 10
LARGEST_CHUNK = 256 << 10
LARGEST_WINDOW = 4 << 20
# Seconds that the bytes in flight may need at the measured rate.
LONGEST_QUEUE = 5.0


@frozen
class SentChunk:
    """
    A chunk in flight: its *size*, *when* it was sent, the bytes *acknowledged* until then, and whether it made the
    window *full*.
    """

    size: int
    when: float
    acknowledged: int
    full: bool


class FlowControl:
    """
    The window of one connection, *largest* bytes at most.  *clock* is monotonic.
    """

    def __init__(self, clock: IReactorTime, largest: int = LARGEST_WINDOW) -> None:
        self._clock = clock
        self._largest = largest
        self._rate = 0.0
        self._in_flight = 0
        self._acknowledged = 0
        self._waiting: dict[Callable[[], None], None] = {}

    @property
    def window(self) -> int:
        """
        Bytes that may be in flight.
        """
        return int(min(self._largest, max(SMALLEST_CHUNK, self._rate * LONGEST_QUEUE)))

    @property
    def chunk(self) -> int:
        """
        The largest size in bytes of the next chunk.
        """
        return min(LARGEST_CHUNK, max(SMALLEST_CHUNK, self.window // 4))

    @property
    def room(self) -> bool:
        """
        Whether one more chunk may be sent.
        """
        return self._in_flight == 0 or self._in_flight + self.chunk <= self.window

    def sent(self, size: int) -> SentChunk:
        """
        Count *size* bytes as in flight.  Pass the result to `answered`.
        """
        self._in_flight += size
        full = self._in_flight + self.chunk > self.window
        return SentChunk(size, self._clock.seconds(), self._acknowledged, full)

    def answered(self, chunk: SentChunk, *, measure: bool = True) -> None:
        """
        Count *chunk* as answered.  *measure*: the chunk was accepted, so the time of its answer measures the rate.
        """
        self._in_flight -= chunk.size
        if measure:
            self._acknowledged += chunk.size
            took = max(self._clock.seconds() - chunk.when, 1e-4)
            rate = (self._acknowledged - chunk.acknowledged) / took
            # While the window is not full, the measured rate is only a lower bound.
            if chunk.full or rate > self._rate:
                self._rate = rate if rate > self._rate else (3 * self._rate + rate) / 4
        while self._waiting and self.room:
            first = next(iter(self._waiting))
            del self._waiting[first]
            first()

    def wait(self, call: Callable[[], None]) -> None:
        """
        Call *call* once, when there is room; calls are made in the order of their registration.
        """
        self._waiting.setdefault(call)

    def stop_waiting(self, call: Callable[[], None]) -> None:
        """
        Cancel the registration of *call* by `wait`, if there is one.
        """
        self._waiting.pop(call, None)
