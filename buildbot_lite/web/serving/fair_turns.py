"""
Work that costs others something, such as the master: so much at a time, so much a second, and each visitor in turn.
"""

from collections import OrderedDict, deque
from collections.abc import Callable

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from ...errors import NoAnswerError
from ...model.token_bucket import TokenBucket
from .fair_places import Occupant


@define(eq=False)
class FairTurns:
    """
    At most *at_once* have their turn at a time, and *per_second* begin in a second, *in_a_row* after a rest.  Of more
    than *most_waiting*, those of whoever has the most fail with a `NoAnswerError`.  *now*: monotonic seconds.
    """

    now: Callable[[], float]
    clock: IReactorTime
    at_once: int
    in_a_row: int
    per_second: float
    most_waiting: int
    _waiting: OrderedDict[Occupant, deque[Deferred[None]]] = field(factory=OrderedDict)
    _count: int = 0
    _working: int = 0
    _bucket: TokenBucket = field(init=False)
    _call: IDelayedCall | None = None

    def __attrs_post_init__(self) -> None:
        self._bucket = TokenBucket(self.now, self.in_a_row, self.per_second)

    def begin(self, occupant: Occupant) -> Deferred[None]:
        """
        Fires when it is the turn of *occupant*, who calls `end` afterwards.
        """
        turn: Deferred[None] = Deferred()
        self._waiting.setdefault(occupant, deque()).append(turn)
        self._count += 1
        self._go_on()
        if self._count > self.most_waiting:
            self._refuse()
        return turn

    def end(self) -> None:
        """
        A turn is over.
        """
        self._working -= 1
        self._go_on()

    def _go_on(self) -> None:
        while self._waiting and self._working < self.at_once:
            if self._bucket.left < 1.0:
                self._later()
                return
            self._bucket.spend(1.0)
            self._working += 1
            self._next().callback(None)

    def _later(self) -> None:
        if self._call is None or not self._call.active():
            missing = (1.0 - self._bucket.left) / self.per_second
            # A little more, because of rounding.
            self._call = self.clock.callLater(missing + 0.001, self._go_on)

    def _next(self) -> Deferred[None]:
        occupant, turns = self._waiting.popitem(last=False)
        turn = turns.popleft()
        self._count -= 1
        if turns:
            self._waiting[occupant] = turns
        return turn

    def _refuse(self) -> None:
        # Of several who have the most, the one who came last: the others have waited already.
        occupant = max(reversed(self._waiting), key=lambda each: len(self._waiting[each]))
        turns = self._waiting[occupant]
        turn = turns.pop()
        self._count -= 1
        if not turns:
            del self._waiting[occupant]
        turn.errback(NoAnswerError("Too many strings are checked at this moment.  Try again in a second."))
