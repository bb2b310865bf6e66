"""
Memory for what connections hold: heads and bodies of requests that come in, and answers that wait to be read.

::

    no room ─► whoever holds the most bytes (`fair_places.most_expendable`) loses the oldest of theirs
"""

from collections.abc import Callable, Iterator
from itertools import takewhile
from typing import Self

from attrs import define, field

from .byte_budget import BudgetShare, ByteBudget
from .fair_places import UNKNOWN, Occupant, most_expendable


@define(eq=False)
class HeldBody:
    """
    A body that comes in, or a full buffer of answers, with *size* bytes so far.  *cut*: ends its connection.
    *occupant*: for whom it counts.
    """

    cut: Callable[[], object]
    occupant: Occupant = UNKNOWN
    size: int = 0


def cut_nobody() -> None:
    """
    What `HeldBody.cut` is when its connection is over.
    """


@define(eq=False)
class BodyRoom:
    """
    Room for as many bytes of bodies as *share* permits.  A body for which there is none displaces that which has been
    coming in for longest, of whoever holds the most in this room: who sends slowly, or never ends, does not keep the
    others out, and a flood displaces itself.  *one_each*: of each occupant, one complete body is answered at a time;
    the others wait, and can be displaced as those that come in.
    """

    share: BudgetShare
    one_each: bool = False
    # Of each occupant: what can be displaced, the oldest first, and the bytes of all of theirs.
    _coming: dict[Occupant, dict[HeldBody, None]] = field(factory=dict)
    _sizes: dict[Occupant, int] = field(factory=dict)
    _answered: dict[Occupant, HeldBody] = field(factory=dict)
    _waiting: dict[Occupant, dict[HeldBody, Callable[[], object]]] = field(factory=dict)

    @classmethod
    def of(cls, most: int, *, one_each: bool = False) -> Self:
        """
        Room for *most* bytes that shares them with no other.
        """
        return cls(ByteBudget(most).share(most), one_each)

    @property
    def held(self) -> int:
        """
        Bytes of all bodies.
        """
        return self.share.held

    @property
    def coming(self) -> int:
        """
        How many bodies come in.
        """
        return sum(map(len, self._coming.values()))

    def begin(self, body: HeldBody) -> Self:
        """
        *body* begins to come in.
        """
        self._coming.setdefault(body.occupant, {})[body] = None
        return self

    def grow(self, body: HeldBody, count: int) -> bool:
        """
        Whether there is room for *count* more bytes of *body*, which are held then.  If not, no other is displaced.
        """
        displaced = self._in_the_way(body, count)
        if displaced is None:
            return False
        for each in displaced:
            self.release(each)
            each.cut()
        self._add(body, count)
        return True

    def _in_the_way(self, body: HeldBody, count: int) -> list[HeldBody] | None:
        """
        What has to go before *body* has *count* more bytes; None if that would not be enough.
        """
        lacking = self.share.lacking(count)
        found: list[HeldBody] = []
        if not lacking:
            return found
        most = self.held + count - lacking
        # A newcomer gets in as long as it has no more than this one.
        sizes = {**self._sizes, body.occupant: self._sizes.get(body.occupant, 0) - body.size}
        left: dict[Occupant, Iterator[HeldBody]] = {}
        spared: set[Occupant] = set()
        while lacking > 0:
            occupant = most_expendable(sizes, body.occupant, body.size + count, most, spared)
            if occupant is None:
                return None
            oldest = next(left.setdefault(occupant, self._displaceable(occupant, body)), None)
            if oldest is not None:
                found.append(oldest)
                sizes[occupant] -= oldest.size
                lacking -= oldest.size
            elif occupant == body.occupant:
                return None  # all that it holds is being answered, or younger
            else:
                spared.add(occupant)
        return found

    def _displaceable(self, occupant: Occupant, body: HeldBody) -> Iterator[HeldBody]:
        older = takewhile(lambda each: each is not body, self._coming.get(occupant, ()))
        # What holds nothing would be cut for nothing.
        return (each for each in older if each.size)

    def _add(self, body: HeldBody, count: int) -> None:
        body.size += count
        self.share.add(count)
        self._sizes[body.occupant] = self._sizes.get(body.occupant, 0) + count
        if not self._sizes[body.occupant]:
            del self._sizes[body.occupant]

    def resize(self, body: HeldBody, size: int) -> bool:
        """
        Whether there is room for *size* bytes of *body* instead of those that it has.
        """
        if size > body.size:
            return self.grow(body, size - body.size)
        self._add(body, size - body.size)
        return True

    def complete(self, body: HeldBody, in_turn: Callable[[], object]) -> bool:
        """
        *body* is here.  True: its request is answered now, and it is not displaced meanwhile.  False: it waits until
        *in_turn* is called, which must not answer at once: it is called while another body is released.
        """
        if self.one_each and body.occupant in self._answered:
            self._waiting.setdefault(body.occupant, {})[body] = in_turn
            return False
        self._begin(body)
        return True

    def _begin(self, body: HeldBody) -> None:
        self._is_here(body)
        if self.one_each:
            self._answered[body.occupant] = body

    def _is_here(self, body: HeldBody) -> None:
        of_one = self._coming.get(body.occupant, {})
        of_one.pop(body, None)
        if not of_one:
            self._coming.pop(body.occupant, None)

    def release(self, body: HeldBody) -> None:
        """
        *body* is not needed any more.
        """
        self._is_here(body)
        self._add(body, -body.size)
        waiting = self._waiting.get(body.occupant, {})
        waiting.pop(body, None)
        if self._answered.get(body.occupant) is body:
            del self._answered[body.occupant]
            if (following := next(iter(waiting), None)) is not None:
                in_turn = waiting.pop(following)
                self._begin(following)
                in_turn()
        if not waiting:
            self._waiting.pop(body.occupant, None)
