"""
What the holder of one string may take of our time: half of it.

Whoever holds a string may make any call that the contract has, as often as they like: read nothing, append nothing,
send documents that take long to read.  Each is answered, but not so that everybody else waits.  So what is done for a
link is timed (in time of the processor), and paid out of a purse that all links have in common on which that string was
shown.  When more than there was has been spent, a link is read no further until they are even::

    heard ──what it sends costs more than there is──► resting ──even again──► heard

To be read later is all that happens to it: its system holds back what it sends.  An honest slave that is so busy has
more to say each time, and makes fewer calls.  Bytes of streams are what links are for; they cost nothing here, up to
three times their usual price, and everybody's come in turn.

Rejected: counting calls, because one can cost a thousand times what another does; cutting the link, because a slow
machine may owe it to others.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime

from ...model.token_bucket import TokenBucket, once_every
from ..contract import FREE_PER_BYTE

SLOWED = "it makes more calls than it has a share of the master's time for; its link is read more slowly"
_SAY_EVERY = 60.0
_SHORTEST_REST = 0.01


class Share:
    """
    The time for the link that *transport* is the end of, paid out of *purse*.  *time* tells what the processor has done
    for this thread, in seconds; *slowed* hears why, once a minute.
    """

    def __init__(
        self,
        clock: IReactorTime,
        purse: TokenBucket,
        transport: IPushProducer,
        time: Callable[[], float],
        slowed: Callable[[str], None],
    ) -> None:
        self._clock = clock
        self._transport = transport
        self._time = time
        self._slowed = slowed
        self._purse = purse
        self._resting: IDelayedCall | None = None
        self._rested_at = 0.0
        self._slowed_lines = once_every(_SAY_EVERY, clock.seconds)
        self._stopped = False

    @property
    def resting(self) -> bool:
        """
        Whether it is not read for now.
        """
        return self._resting is not None

    @property
    def deaf_until(self) -> float:
        """
        Until when it was not read: so long its silence means nothing.
        """
        return self._clock.seconds() if self.resting else self._rested_at

    @contextmanager
    def spending(self) -> Iterator[None]:
        """
        What is done meanwhile is done for it.
        """
        begun = self._time()
        try:
            yield
        finally:
            self._purse.spend(self._time() - begun)
            if self._resting is None and self._purse.left < 0 and not self._stopped:
                self._transport.pauseProducing()
                self._rest()
                self._say()

    def earned(self, size: int) -> None:
        """
        It brought, or is given, *size* bytes of a stream.
        """
        self._purse.spend(-size * FREE_PER_BYTE)

    def stop(self) -> None:
        """
        The link is lost.
        """
        self._stopped = True
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None

    def _rest(self) -> None:
        self._resting = self._clock.callLater(max(_SHORTEST_REST, self._purse.wait), self._rested)

    def _rested(self) -> None:
        self._resting = None
        if self._purse.left < 0:
            self._rest()  # what had come already cost more
        else:
            self._rested_at = self._clock.seconds()
            self._transport.resumeProducing()

    def _say(self) -> None:
        if self._slowed_lines.take():
            self._slowed(SLOWED)
