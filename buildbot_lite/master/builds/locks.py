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

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred

from ...model.locks import LockName, LockUse
from .lock_lines import LockLines, LockOwner, LockWaiter


@frozen
class LockObstacle:
    """
    Why a lock is not available.  *requests*: if *held*, the requests whose builds hold it; otherwise, those that have
    waited longer.
    """

    lock: LockName
    requests: tuple[int, ...]
    held: bool = True


@frozen
class _Taken:
    """
    A cached sum: the *units* of a lock that are taken, and the *obstacle* to show to all others.  It is valid until a
    build begins or stops to wait for another, so it is cleared before each series of questions.
    """

    units: int
    obstacle: LockObstacle


def _held_by(lock: LockName, holders: Iterable[LockOwner]) -> LockObstacle:
    return LockObstacle(lock, tuple(dict.fromkeys(each.request for each in holders)))


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
        self._lines = LockLines()
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
        waiter = self._lines.of(owner)
        arrival = self._steps_so_far if waiter is None else waiter.place[0]
        place = (arrival, 1, *rank)
        if waiter is not None and waiter.uses == uses:
            self._lines.move(waiter, place)
            waiter.parent = parent
        else:
            self._lines.remove(owner)
            if not uses:
                return None
            promised = set() if waiter is None else waiter.promised & {use.lock for use in uses}
            waiter = LockWaiter(owner, uses, place, parent=parent, promised=promised)
            self._lines.add(waiter)
        return self._obstacle(waiter)

    def take(self, owner: LockOwner, uses: Iterable[LockUse]) -> None:
        """
        Let *owner* hold *uses*.  The caller knows that they are available, by `ask` or because they are recorded as
        held; this is not checked.
        """
        waiter = self._lines.remove(owner)
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
        self._lines.add(LockWaiter(owner, tuple(uses), (self._steps_so_far, 0), turn))
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
        waiter, holding = self._lines.remove(owner), self._holding.pop(owner, None)
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
        self._lines.remove(LockOwner(request))
        for owner in tuple(self._owners.get(request, ())):
            self.leave(owner)

    def retain(self, requests: Collection[int]) -> None:
        """
        End the waiting of all requests except *requests*.  Steps go on waiting.
        """
        removed = [each for each in self._lines.all() if each.turn is None and each.owner.request not in requests]
        for each in removed:
            self._lines.remove(each.owner)
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
        for waiter in self._lines.steps():
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
        waiter = self._lines.of(owner)
        return None if waiter is None else self._obstacle(waiter)

    def holding(self, owner: LockOwner) -> Sequence[LockUse]:
        return self._holding.get(owner, ())

    def of_request(self, request: int) -> Sequence[LockUse]:
        """
        The locks that the build of *request* and its steps hold.
        """
        return [use for owner in self._owners.get(request, ()) for use in self.holding(owner)]

    def _obstacle(self, waiter: LockWaiter) -> LockObstacle | None:
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

    def _promised_to_others(self, waiter: LockWaiter, use: LockUse) -> LockObstacle | None:
        """
        The earlier waiters for which so much of the lock is reserved that too little is left for *waiter*.
        """
        limit = self._units(use)
        left, before = limit - self._load(waiter.owner, use), []
        family = self._family(waiter.owner.request)
        holds = any(self.of_request(each) for each in family)
        for other in self._lines.before(waiter, use.lock):
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
        waiter = self._lines.of(LockOwner(request))
        return waiter.parent if waiter is not None and waiter.turn is None else self._parent(request)

    def _waits_for(self, waiter: LockWaiter, family: Sequence[int]) -> bool:
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

    def _before(self, waiter: LockWaiter) -> Iterator[int | LockWaiter]:
        """
        The requests whose builds hold what *waiter* needs, and the waiters before it.
        """
        own = self._family(waiter.owner.request)
        for use in waiter.uses:
            yield from {each.request for each in self._held.get(use.lock, {}) if each.request not in own}
            yield from self._lines.before(waiter, use.lock)

    def _below(self, request: int) -> Iterator[LockWaiter]:
        """
        The waiters for which the build of *request* waits: its own steps, and its descendants.
        """
        for waiter in self._lines.all():
            if request in self._family(waiter.owner.request):
                yield waiter
