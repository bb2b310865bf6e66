"""
Connections that have not shown a valid string yet.

Anybody can connect to the master's port.  Until a connection has named something that exists, it may cost us little:
a bounded number of bytes and calls (`broker`), a bounded time, and a bounded number of such connections in all.  When
they are too many, the oldest goes, of the address that holds most: so a flood from one place drives out itself.

::

    accepted --shows a valid string--> (forgotten: no stranger any more)
       |------ 20 s pass ------------> cut
       |------ too many -------------> cut
       `------ lost -----------------> (forgotten)
"""

from collections import OrderedDict, deque
from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from .contract import MOST_STRANGERS, STRANGER_SECONDS

_REPORT_EVERY = 60.0
_MOST_REPORTED = 100


class Stranger:
    """
    One connection that has shown nothing yet.  *cut* ends it.
    """

    def __init__(self, strangers: "Strangers", address: str, since: float, cut: Callable[[], None]) -> None:
        self.address = address
        self.since = since
        self.cut = cut
        self.known = True
        self._strangers = strangers

    def gone(self) -> None:
        """
        It is a stranger no longer: it has shown a valid string, or it is lost.
        """
        if self.known:
            self._strangers.forget(self)

    def puzzled_by(self, failure: Failure) -> None:
        """
        Something here failed over what it sent.
        """
        self._strangers.puzzled_by(failure)


class Strangers:
    """
    All of them, of one listening Tub.
    """

    log = Logger()

    def __init__(self, clock: IReactorTime, most: int = MOST_STRANGERS, seconds: float = STRANGER_SECONDS) -> None:
        self._clock = clock
        self._most = most
        self._seconds = seconds
        self._by_address: dict[str, OrderedDict[Stranger, None]] = {}
        # How many an address holds → the addresses that hold so many; so the one that holds most is found at once.
        self._by_count: dict[int, OrderedDict[str, None]] = {}
        self._highest = 0
        self._number = 0
        self._ages: deque[Stranger] = deque()
        self._timer: IDelayedCall | None = None
        self._cut = 0
        self._reported = self._puzzled = clock.seconds() - _REPORT_EVERY
        self._refused: dict[tuple[str, str], float] = {}

    def __len__(self) -> int:
        return self._number

    def accept(self, address: str, cut: Callable[[], None]) -> Stranger:
        """
        Another one has connected, from *address*; *cut* ends its connection.
        """
        while self._number >= self._most:
            crowd = next(iter(self._by_count[self._highest]))
            self._drop(next(iter(self._by_address[crowd])))
        stranger = Stranger(self, address, self._clock.seconds(), cut)
        held = self._by_address.setdefault(address, OrderedDict())
        held[stranger] = None
        self._count(address, len(held) - 1, len(held))
        self._number += 1
        self._ages.append(stranger)
        self._wait()
        return stranger

    def forget(self, stranger: Stranger) -> None:
        """
        *stranger* is one no longer.
        """
        stranger.known = False
        held = self._by_address[stranger.address]
        del held[stranger]
        self._count(stranger.address, len(held) + 1, len(held))
        if not held:
            del self._by_address[stranger.address]
        self._number -= 1
        while self._ages and not self._ages[0].known:
            self._ages.popleft()
        if not self._ages and self._timer is not None:
            self._timer.cancel()
            self._timer = None
        elif len(self._ages) > 2 * self._most:
            # Only the front is cleared as it goes; a patient one there must not make the rest pile up.
            self._ages = deque(one for one in self._ages if one.known)

    def puzzled_by(self, failure: Failure) -> None:
        """
        Log *failure*, unless there was one in the last minute: strangers can cause as many as they like.
        """
        now = self._clock.seconds()
        if now - self._puzzled >= _REPORT_EVERY:
            self._puzzled = now
            self.log.warn("a connection could not be negotiated: {why}", why=repr(failure.value)[:500])

    def refused(self, address: str, sentence: str) -> None:
        """
        Log that somebody at *address* showed a string and was refused: once a minute for the same reason.
        """
        now = self._clock.seconds()
        self._refused = {key: at for key, at in self._refused.items() if now - at < _REPORT_EVERY}
        if (address, sentence) not in self._refused and len(self._refused) < _MOST_REPORTED:
            self._refused[address, sentence] = now
            self.log.warn("a string was refused to {address}: {why}", address=address, why=sentence)

    def _count(self, address: str, before: int, after: int) -> None:
        if before:
            peers = self._by_count[before]
            del peers[address]
            if not peers:
                del self._by_count[before]
        if after:
            self._by_count.setdefault(after, OrderedDict())[address] = None
        if after > self._highest:
            self._highest = after
        elif self._highest not in self._by_count:
            self._highest = after  # it went down by one, and nobody else held so many

    def _drop(self, stranger: Stranger) -> None:
        self.forget(stranger)
        stranger.cut()
        self._cut += 1
        now = self._clock.seconds()
        if now - self._reported >= _REPORT_EVERY:
            self.log.info("{count} connections showed no valid string and were cut", count=self._cut)
            self._reported = now
            self._cut = 0

    def _wait(self) -> None:
        if self._timer is None and self._ages:
            delay = max(0.0, self._ages[0].since + self._seconds - self._clock.seconds())
            self._timer = self._clock.callLater(delay, self._time_passed)

    def _time_passed(self) -> None:
        self._timer = None
        now = self._clock.seconds()
        while self._ages and (not self._ages[0].known or now >= self._ages[0].since + self._seconds):
            oldest = self._ages.popleft()
            if oldest.known:
                self._drop(oldest)
        self._wait()
