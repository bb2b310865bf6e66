"""
Work that costs others something, such as the master, or memory: so much at a time, so much a second, and each visitor
in turn.
"""

from collections import Counter, OrderedDict, deque
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
    At most *at_once* have their turn at a time, half of them (or one) of the same visitor, so that work that takes long
    does not keep others waiting; and *per_second* begin in a second, *in_a_row* after a rest.  Of more than
    *most_waiting*, those of whoever has the most fail with a `NoAnswerError` that says *refusal*.
    *now*: monotonic seconds.

    Of IPv6 addresses, a /48 is one visitor: a site may have so many (RFC 6177, section 2), which are 65,536 /64.  If
    each /64 counted, one site would have all places in the queue, and everybody else would be the latecomer who is
    refused.  Several customers may share a /48 where they get less; of those, one who asks without end keeps the others
    waiting, and nobody else.
    """

    now: Callable[[], float]
    clock: IReactorTime
    at_once: int
    in_a_row: int
    per_second: float
    most_waiting: int
    refusal: str
    _waiting: OrderedDict[Occupant, deque[Deferred[None]]] = field(factory=OrderedDict)
    _count: int = 0
    _working: Counter[Occupant] = field(factory=Counter)
    _bucket: TokenBucket = field(init=False)
    _call: IDelayedCall | None = None

    def __attrs_post_init__(self) -> None:
        self._bucket = TokenBucket(self.now, self.in_a_row, self.per_second)

    def begin(self, occupant: Occupant) -> Deferred[None]:
        """
        Fires when it is the turn of *occupant*, for whom `end` is called afterwards.  Whoever cancels it waits no more.
        """
        turn: Deferred[None] = Deferred(lambda turn: self._leave(occupant, turn))
        self._waiting.setdefault(occupant, deque()).append(turn)
        self._count += 1
        self._go_on()
        if self._count > self.most_waiting:
            self._refuse()
        return turn

    def end(self, occupant: Occupant) -> None:
        """
        A turn of *occupant* is over.
        """
        self._working[occupant] -= 1
        if not self._working[occupant]:
            del self._working[occupant]
        self._go_on()

    def _go_on(self) -> None:
        while self._working.total() < self.at_once and (occupant := self._whose_turn()) is not None:
            if self._bucket.left < 1.0:
                self._later()
                return
            self._bucket.spend(1.0)
            self._working[occupant] += 1
            self._next(occupant).callback(None)

    def _whose_turn(self) -> Occupant | None:
        most = max(1, self.at_once // 2)
        return next((each for each in self._waiting if self._working[each] < most), None)

    def _later(self) -> None:
        if self._call is None or not self._call.active():
            missing = (1.0 - self._bucket.left) / self.per_second
            # A little more, because of rounding.
            self._call = self.clock.callLater(missing + 0.001, self._go_on)

    def _next(self, occupant: Occupant) -> Deferred[None]:
        turns = self._waiting.pop(occupant)
        turn = turns.popleft()
        self._count -= 1
        if turns:
            self._waiting[occupant] = turns
        return turn

    def _leave(self, occupant: Occupant, turn: Deferred[None]) -> None:
        turns = self._waiting[occupant]
        turns.remove(turn)
        self._count -= 1
        if not turns:
            del self._waiting[occupant]

    def _refuse(self) -> None:
        # Of several who have the most, the one who came last: the others have waited already.
        occupant = max(reversed(self._waiting), key=lambda each: len(self._waiting[each]))
        turns = self._waiting[occupant]
        turn = turns.pop()
        self._count -= 1
        if not turns:
            del self._waiting[occupant]
        turn.errback(NoAnswerError(self.refusal))
