"""
Locks: their holders, and the requests and steps that wait for them.

::

    request ── ask ──► free ── take ──► its build holds ── leave ──►
                └────► waits; the queue asks again with every decision
    step ───── wait ─► waits ── its turn ──► the step holds ── leave ──►

A request or step that needs several locks gets all of them at once, or waits and gets none.  So a waiting request holds
nothing, and a waiting step holds only the locks of its build.

**Order.**  All waiting requests and steps form one queue (here: the line), in the order of arrival; requests that
arrived between the same two steps are ordered by urgency.  When a lock is not available to a waiter, it is reserved
("promised") for it: later waiters get only the units that the reservations leave free.  Otherwise, later waiters that
need a part of a lock could overtake one that needs all of it for ever.  One exception: a waiter W may overtake an
earlier waiter that waits, directly or not, for W's own build; otherwise the reservation would cause a deadlock.

**Families.**  While a build waits for builds that it triggered, they share its locks: the family takes as many units as
the parent, or as all its children together if these need more.  So a child never waits for its parent.

(Rejected: a separate queue for each lock.  With several locks, two orders can contradict each other: a deadlock.)
"""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from operator import attrgetter
from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import Deferred

from ...model.locks import LockName, LockUse


@frozen
class LockOwner:
    """
    The build of *request*, or one *step* of it.
    """

    request: int
    step: int | None = None


@frozen
class LockObstacle:
    """
    Why a lock is not available.  *requests*: if *held*, the requests whose builds hold it; otherwise, those that have
    waited longer.
    """

    lock: LockName
    requests: tuple[int, ...]
    held: bool = True


@define(eq=False)
class _Waiter:
    """
    A request or step that waits.

    *place*: its sort key in the line.  *turn*: for a step, fires when it holds its locks.  *parent*: for a request, the
    request whose build waits for it.  *promised*: the locks that are reserved for it.
    """

    owner: LockOwner
    uses: tuple[LockUse, ...]
    place: tuple[Any, ...]
    turn: Deferred[None] | None = None
    parent: int | None = None
    promised: set[LockName] = field(factory=set)


@frozen
class _Taken:
    """
    A cached sum: the *units* of a lock that are taken, and the *obstacle* to show to all others.  It is valid until a
    build begins or stops to wait for another, so it is cleared before each series of questions.
    """

    units: int
    obstacle: LockObstacle


_place = attrgetter("place")


def _held_by(lock: LockName, holders: Iterable[LockOwner]) -> LockObstacle:
    return LockObstacle(lock, tuple(dict.fromkeys(each.request for each in holders)))


def _index(line: Sequence[_Waiter], waiter: _Waiter) -> int:
    return line.index(waiter, bisect_left(line, waiter.place, key=_place))


def _in_order(line: Sequence[_Waiter], index: int) -> bool:
    """
    Whether the waiter at *index* is in order with its neighbours in the sorted *line*.
    """
    place = line[index].place
    return (index == 0 or line[index - 1].place <= place) and (index + 1 == len(line) or place <= line[index + 1].place)


class Locks:
    """
    All locks of the farm.

    *limit*: returns the units of a lock in the current configuration, or None if it has no such lock.  *parent*:
    returns the request whose build waits for the running build of a request, if any.  *changed*: called when the queue
    should ask again.
    """

    def __init__(
        self,
        *,
        limit: Callable[[LockName], int | None] = lambda lock: None,
        parent: Callable[[int], int | None] = lambda request: None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._limit = limit
        self._parent = parent
        self._changed = changed
        self._held: dict[LockName, dict[LockOwner, LockUse]] = {}
        self._holding: dict[LockOwner, tuple[LockUse, ...]] = {}
        self._owners: dict[int, set[LockOwner]] = {}
        self._waiting: dict[LockOwner, _Waiter] = {}
        self._lines: dict[LockName, list[_Waiter]] = {}
        self._taken: dict[LockName, _Taken] = {}
        self._steps_so_far = 0

    def ask(
        self, request: int, uses: Sequence[LockUse], *, rank: tuple[Any, ...], parent: int | None = None
    ) -> LockObstacle | None:
        """
        Return None if *uses* are available to the build of *request*.  Otherwise return why not, and let it wait.

        *rank*: sort key, smallest first.  The ranks of a decision of the queue must be smaller than those of earlier
        decisions, so that only the newest order counts.  *parent*: the request whose build waits for this one.  Each
        decision must ask again, until `take`, or until `retain` removes the request.
        """
        owner, uses = LockOwner(request), tuple(uses)
        waiter = self._waiting.get(owner)
        arrival = self._steps_so_far if waiter is None else waiter.place[0]
        place = (arrival, 1, *rank)
        if waiter is not None and waiter.uses == uses:
            self._move(waiter, place)
            waiter.parent = parent
        else:
            self._unqueue(owner)
            if not uses:
                return None
            promised = set() if waiter is None else waiter.promised & {use.lock for use in uses}
            waiter = _Waiter(owner, uses, place, parent=parent, promised=promised)
            self._enqueue(waiter)
        return self._obstacle(waiter)

    def take(self, owner: LockOwner, uses: Iterable[LockUse]) -> None:
        """
        Let *owner* hold *uses*.  The caller knows that they are available, by `ask` or because they are recorded as
        held; this is not checked.
        """
        waiter = self._unqueue(owner)
        taken = self._holding[owner] = tuple(uses)
        if waiter is not None and waiter.promised - {use.lock for use in taken}:
            self._changed()
        self._owners.setdefault(owner.request, set()).add(owner)
        for use in taken:
            self._held.setdefault(use.lock, {})[owner] = use
            self._taken.pop(use.lock, None)

    def wait(self, owner: LockOwner, uses: Iterable[LockUse]) -> Deferred[None]:
        """
        A Deferred that fires when *owner*, a step, holds *uses*.  Cancelling it ends the waiting.
        """
        turn: Deferred[None] = Deferred(lambda _: self.leave(owner))
        self._steps_so_far += 1
        self._enqueue(_Waiter(owner, tuple(uses), (self._steps_so_far, 0), turn))
        self._owners.setdefault(owner.request, set()).add(owner)
        self.serve()
        return turn

    def leave(self, owner: LockOwner) -> None:
        """
        Release the locks of *owner*, and end its waiting.
        """
        owners = self._owners.get(owner.request, set())
        owners.discard(owner)
        if not owners:
            self._owners.pop(owner.request, None)
        waiter, holding = self._unqueue(owner), self._holding.pop(owner, None)
        for use in holding or ():
            holders = self._held[use.lock]
            del holders[owner]
            self._taken.pop(use.lock, None)
            if not holders:
                del self._held[use.lock]
        if waiter is not None or holding:
            self.serve()
            self._changed()

    def leave_all(self, request: int) -> None:
        """
        Release the locks of the build of *request* and its steps, which have ended, and end their waiting.
        """
        self._unqueue(LockOwner(request))
        for owner in tuple(self._owners.get(request, ())):
            self.leave(owner)

    def retain(self, requests: Collection[int]) -> None:
        """
        End the waiting of all requests except *requests*.  Steps go on waiting.
        """
        removed = [each for each in self._waiting.values() if each.turn is None and each.owner.request not in requests]
        for each in removed:
            self._unqueue(each.owner)
        self.serve()
        if any(each.promised for each in removed):
            # Requests that were asked for earlier in this decision may wait for these reservations only.
            self._changed()

    def serve(self) -> None:
        """
        Give all waiting steps the locks that are available to them.
        """
        self._taken.clear()
        turns = []
        for waiter in sorted((each for each in self._waiting.values() if each.turn is not None), key=_place):
            if self._obstacle(waiter) is None:
                self.take(waiter.owner, waiter.uses)
                turns.append(waiter.turn)
        for turn in turns:
            # The code of a step that continues here may have cancelled another one.
            if turn is not None and not turn.called:
                turn.callback(None)

    def obstacle(self, owner: LockOwner) -> LockObstacle | None:
        """
        Why *owner* waits; None if it does not wait.
        """
        # A build may have stopped waiting for another one since the sums were computed.
        self._taken.clear()
        waiter = self._waiting.get(owner)
        return None if waiter is None else self._obstacle(waiter)

    def holding(self, owner: LockOwner) -> Sequence[LockUse]:
        """
        The locks that *owner* holds.
        """
        return self._holding.get(owner, ())

    def of_request(self, request: int) -> Sequence[LockUse]:
        """
        The locks that the build of *request* and its steps hold.
        """
        return [use for owner in self._owners.get(request, ()) for use in self.holding(owner)]

    def _enqueue(self, waiter: _Waiter) -> None:
        self._waiting[waiter.owner] = waiter
        for use in waiter.uses:
            insort(self._lines.setdefault(use.lock, []), waiter, key=_place)

    def _unqueue(self, owner: LockOwner) -> _Waiter | None:
        waiter = self._waiting.pop(owner, None)
        if waiter is not None:
            for use in waiter.uses:
                line = self._lines[use.lock]
                del line[_index(line, waiter)]
                if not line:
                    del self._lines[use.lock]
        return waiter

    def _move(self, waiter: _Waiter, place: tuple[Any, ...]) -> None:
        lines = [self._lines[use.lock] for use in waiter.uses]
        indices = [_index(line, waiter) for line in lines]
        waiter.place = place
        for line, index in zip(lines, indices, strict=True):
            # Usually the order is that of the previous decision.
            if not _in_order(line, index):
                del line[index]
                insort(line, waiter, key=_place)

    def _obstacle(self, waiter: _Waiter) -> LockObstacle | None:
        first = None
        for use in waiter.uses:
            obstacle = self._held_by_others(waiter.owner, use) or self._promised_to_others(waiter, use)
            if obstacle is not None:
                waiter.promised.add(use.lock)
                first = first or obstacle
        return first

    def _units(self, use: LockUse) -> int:
        return self._limit(use.lock) or use.limit

    def _held_by_others(self, owner: LockOwner, use: LockUse) -> LockObstacle | None:
        if self._load(owner, use) <= self._units(use):
            return None
        if self._is_alone(owner.request):
            return self._taken[use.lock].obstacle
        family = self._family(owner.request)
        return _held_by(use.lock, (each for each in self._held.get(use.lock, ()) if each.request not in family))

    def _load(self, owner: LockOwner, use: LockUse) -> int:
        """
        The units that would be taken if *owner* also got *use*.  Children share the units of their parents.
        """
        limit, holders = self._units(use), self._held.get(use.lock, {})
        if not self._is_alone(owner.request):
            return self._units_of({**holders, owner: use}, limit)
        # Cached, because one decision may ask for the same sum a thousand times.
        taken = self._taken.get(use.lock)
        if taken is None:
            taken = self._taken[use.lock] = _Taken(self._units_of(holders, limit), _held_by(use.lock, holders))
        return taken.units + use.units(limit)

    def _is_alone(self, request: int) -> bool:
        """
        Whether *request* shares locks with nobody: its build holds none, and no build waits for it.
        """
        return request not in self._owners and self._parent_of(request) is None

    def _units_of(self, holders: Mapping[LockOwner, LockUse], limit: int) -> int:
        own, within, total = Counter[int](), Counter[int](), 0
        for holder, held in holders.items():
            own[holder.request] = max(own[holder.request], held.units(limit))
        families = {request: self._family(request) for request in own}
        for request in sorted(own, key=lambda each: len(families[each]), reverse=True):
            load = max(own[request], within[request])
            above = next((each for each in families[request][1:] if each in own), None)
            if above is None:
                total += load
            else:
                within[above] += load
        return total

    def _promised_to_others(self, waiter: _Waiter, use: LockUse) -> LockObstacle | None:
        """
        The earlier waiters for which so much of the lock is reserved that too little is left for *waiter*.
        """
        limit = self._units(use)
        left, before = limit - self._load(waiter.owner, use), []
        family = self._family(waiter.owner.request)
        holds = any(self.of_request(each) for each in family)
        for other in takewhile(lambda each: each is not waiter, self._lines.get(use.lock, ())):
            if use.lock not in other.promised or (holds and self._waits_for(other, family)):
                continue
            left -= next(each for each in other.uses if each.lock == use.lock).units(limit)
            before.append(other.owner.request)
            if left < 0:
                return LockObstacle(use.lock, tuple(dict.fromkeys(before)), held=False)
        return None

    def _family(self, request: int) -> Sequence[int]:
        """
        *request*, the request whose build waits for it, and so on upwards.
        """
        family = [request]
        while (parent := self._parent_of(family[-1])) is not None and parent not in family:
            family.append(parent)
        return family

    def _parent_of(self, request: int) -> int | None:
        waiter = self._waiting.get(LockOwner(request))
        return waiter.parent if waiter is not None and waiter.turn is None else self._parent(request)

    def _waits_for(self, waiter: _Waiter, family: Sequence[int]) -> bool:
        """
        Whether *waiter* may have to wait, directly or not, for the builds of *family*, which hold locks.
        """
        seen = [waiter]  # grows in the loop
        for each in seen:
            for blocker in self._before(each):
                if isinstance(blocker, int):
                    if blocker in family:
                        return True
                    seen += [other for other in self._below(blocker) if other not in seen]
                elif blocker not in seen:
                    seen.append(blocker)
        return False

    def _before(self, waiter: _Waiter) -> Iterator[int | _Waiter]:
        """
        The requests whose builds hold what *waiter* needs, and the waiters before it.
        """
        own = self._family(waiter.owner.request)
        for use in waiter.uses:
            yield from {each.request for each in self._held.get(use.lock, {}) if each.request not in own}
            yield from takewhile(lambda each: each is not waiter, self._lines.get(use.lock, ()))

    def _below(self, request: int) -> Iterator[_Waiter]:
        """
        The waiters for which the build of *request* waits: its own steps, and its descendants.
        """
        for waiter in self._waiting.values():
            if request in self._family(waiter.owner.request):
                yield waiter
