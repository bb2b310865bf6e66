"""
Queue: which request is built next, on which slave, and why the others wait.

The dispatcher asks whenever something changes.  The queue then goes through the waiting requests, most urgent first:
each gets either a slave, and its build starts, or a `WaitReason`, which is what clients see.

There is one list for each builder.  An obstacle to one request of a builder is an obstacle to its less urgent ones,
unless ``canStartBuild`` decides about each; so the queue reads a builder's list only up to the first request that
cannot start, and that reason holds for the rest.  A long list of one builder costs the others nothing.
"""

from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge
from itertools import islice

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

from ...model import wait_reasons
from ...model.wait_reasons import WaitKind, WaitReason
from ...storage.records.requests import Buildset, Request
from ..config.generations import Generations
from ..config.objects import BuilderConfig
from ..slaves.registry import Member, SlaveRegistry
from ..slaves.slots import Slot, Slots
from .can_start import GOOD_FOR, CanStartAnswers
from .hold import Hold
from .wakeup import Wakeup

LOOK_FOR_ROOM = 5.0
"""Seconds after which the queue looks again while a `Hold` is in force."""
ASK_AGAIN = 60.0
"""Seconds after which the queue calls a ``canStartBuild`` again that refused."""
LONGEST_PAUSE = 300.0
"""The longest back-off in seconds, whatever the wall clock says."""


Urgency = tuple[int, int]
"""Sort key, smallest first: minus the priority, then the number of the request."""


@define(eq=False)
class WaitingRequest:
    """
    A request in the queue, its buildset, and the list of its builder.

    *due*: the earliest start, in seconds of the monotonic clock.  *own*: its reason while the list has none.
    """

    request: Request
    buildset: Buildset
    due: float
    siblings: "BuilderQueue"
    own: WaitReason = field(factory=wait_reasons.starting)

    @property
    def urgency(self) -> Urgency:
        """
        Its sort key.
        """
        return -self.request.priority, self.request.id

    @property
    def reason(self) -> WaitReason:
        """
        Why it waits.
        """
        return self.own if self.withdrawn else self.siblings.reason or self.own

    @property
    def withdrawn(self) -> bool:
        """
        Whether its cancellation is being recorded: it must not start.
        """
        return self.own.kind is WaitKind.CANCELLING


def _urgency(waiting: WaitingRequest) -> Urgency:
    return waiting.urgency


@define(eq=False)
class BuilderQueue:
    """
    The requests for one *builder*, most urgent first.  *reason*: why none of them can start now, or None.
    """

    builder: str
    order: list[WaitingRequest] = field(factory=list)
    reason: WaitReason | None = None

    def open(self) -> Iterator[WaitingRequest]:
        """
        The requests, until one sets the *reason* for the rest.
        """
        for waiting in tuple(self.order):
            if self.reason is not None:
                return
            yield waiting

    def after(self, urgency: Urgency) -> Iterator[WaitingRequest]:
        """
        The requests less urgent than *urgency*.
        """
        return islice(self.order, bisect_right(self.order, urgency, key=_urgency), None)

    def remove(self, waiting: WaitingRequest) -> None:
        """
        Take *waiting* out of the list.
        """
        del self.order[bisect_left(self.order, waiting.urgency, key=_urgency)]


class Queue:
    """
    The requests that wait, in one list for each builder.  *wall*: seconds since 1970.
    """

    def __init__(
        self,
        *,
        slaves: SlaveRegistry,
        slots: Slots,
        generations: Generations,
        hold: Hold,
        wakeup: Wakeup,
        clock: IReactorTime,
        wall: Callable[[], float],
    ) -> None:
        self._slaves = slaves
        self._slots = slots
        self._generations = generations
        self._hold = hold
        self._wakeup = wakeup
        self._clock = clock
        self._wall = wall
        self._by_builder: dict[str, BuilderQueue] = {}
        self._by_id: dict[int, WaitingRequest] = {}
        self._by_grant: Counter[int | None] = Counter()
        self._warm: dict[str, str] = {}
        self._can_start = CanStartAnswers(clock=clock, changed=wakeup.set)
        self.decided = 0
        """How many times `choose` has begun: as long as it is the same, so is every reason."""

    def add(self, request: Request, buildset: Buildset) -> None:
        """
        Put *request* into the queue.
        """
        # The records hold the back-off's end in seconds since 1970.  That clock may jump, so it is read only once.
        pause = min(max(0.0, request.not_before - self._wall()), LONGEST_PAUSE)
        siblings = self._by_builder.setdefault(request.builder, BuilderQueue(request.builder))
        waiting = WaitingRequest(request, buildset, self._clock.seconds() + pause, siblings)
        self._by_id[request.id] = waiting
        self._by_grant[buildset.by_grant] += 1
        insort(siblings.order, waiting, key=_urgency)
        self._wakeup.set()

    def remove(self, request: int) -> WaitingRequest | None:
        """
        Take *request* out of the queue; None when it is not there.
        """
        waiting = self._by_id.pop(request, None)
        if waiting is not None:
            waiting.siblings.remove(waiting)
            if not waiting.siblings.order:
                del self._by_builder[waiting.request.builder]
            waiting.siblings = BuilderQueue(waiting.request.builder)  # the reason of the others is not its own any more
            self._by_grant[waiting.buildset.by_grant] -= 1
            self._can_start.forget(request)
        return waiting

    def withdraw(self, request: int) -> bool:
        """
        Do not start *request* while its cancellation is being recorded; `remove` or `restore` follows.  False: it is
        not in the queue.
        """
        waiting = self._by_id.get(request)
        if waiting is not None:
            waiting.own = wait_reasons.cancelling()
        return waiting is not None

    def restore(self, request: int) -> None:
        """
        Let *request* start again: its cancellation could not be recorded.
        """
        self._by_id[request].own = wait_reasons.starting()
        self._wakeup.set()

    def __contains__(self, request: int) -> bool:
        return request in self._by_id

    def count_of_grant(self, grant: int) -> int:
        """
        The number of requests that were submitted with the FURL of *grant*.
        """
        return self._by_grant[grant]

    def count_of_builder(self, builder: str) -> int:
        """
        The number of requests for *builder*.
        """
        return len(self._by_builder[builder].order) if builder in self._by_builder else 0

    def waiting(self) -> Iterable[WaitingRequest]:
        """
        All requests, most urgent first.
        """
        return tuple(merge(*(each.order for each in self._by_builder.values()), key=_urgency))

    def page(self, most: int, after: Urgency | None = None) -> Sequence[WaitingRequest]:
        """
        At most *most* requests, most urgent first; with *after*, only those less urgent than it.
        """
        parts = (each.order if after is None else each.after(after) for each in self._by_builder.values())
        return tuple(islice(merge(*parts, key=_urgency), most))

    def why(self, request: int) -> WaitReason | None:
        """
        Why *request* waits; None when it does not.
        """
        waiting = self._by_id.get(request)
        return None if waiting is None else waiting.reason

    def __len__(self) -> int:
        return len(self._by_id)

    def choose(self) -> Iterator[tuple[WaitingRequest, str]]:
        """
        The builds to start now, each with its slave; their slots are taken.  Every other request gets its reason.
        """
        self.decided += 1
        again: list[float] = []
        hold, builders = self._hold.reason(), self._generations.config.builders
        for each in self._by_builder.values():
            gone = None if each.builder in builders else wait_reasons.no_builder(each.builder)
            each.reason = hold or gone
        if hold is not None and self._by_id:
            again.append(LOOK_FOR_ROOM)
        for waiting in merge(*(each.open() for each in tuple(self._by_builder.values())), key=_urgency):
            builder = builders[waiting.request.builder]
            if waiting.withdrawn:
                continue
            if (left := waiting.due - self._clock.seconds()) > 0:
                waiting.own = wait_reasons.back_off(left, waiting.request.retries)
                again.append(left)
            elif (slave := self._place(waiting, builder)) is not None:
                yield waiting, slave
            if left <= 0 and builder.can_start_build is not None and waiting.request.id in self._by_id:
                again.append(GOOD_FOR if self._can_start.knows(waiting.request.id) else ASK_AGAIN)
        self._wakeup.set_after(min(again, default=None))

    def _place(self, waiting: WaitingRequest, builder: BuilderConfig) -> str | None:
        """
        The slave on which *waiting* is built now: its slot is taken, and the request leaves the queue.
        """
        choice = self._choose_slave(waiting, builder)
        if isinstance(choice, WaitReason):
            waiting.own = choice
            if builder.can_start_build is None:
                waiting.siblings.reason = choice
            return None
        self.remove(waiting.request.id)
        waiting.own = wait_reasons.starting()
        self._warm[builder.name] = choice.name
        self._slots.take(waiting.request.id, Slot(builder.name, builder.name, choice.name))
        return choice.name

    def _choose_slave(self, waiting: WaitingRequest, builder: BuilderConfig) -> Member | WaitReason:
        obstacles: list[WaitReason] = []
        free: list[Member] = []
        for name in builder.slavenames:
            member = self._slaves.get(name)
            if member is None:
                continue  # impossible: the configuration is checked for it
            obstacle = member.obstacle() or self._occupied(member, builder)
            if obstacle is None:
                free.append(member)
            else:
                obstacles.append(obstacle)
        for member in sorted(free, key=lambda each: self._preference(each, builder)):
            allowed = self._can_start.allowed(builder, member.config, waiting.request)
            if allowed:
                return member
            no = wait_reasons.can_start_pending if allowed is None else wait_reasons.refused
            obstacles.append(no(member.name, builder.name))
        return wait_reasons.nearest(obstacles) if obstacles else wait_reasons.no_builder(builder.name)

    def _occupied(self, member: Member, builder: BuilderConfig) -> WaitReason | None:
        running = self._slots.on(member.name)
        most = member.config.max_builds
        if most is not None and len(running) >= most:
            return wait_reasons.busy(member.name, [each.label for each in running])
        if not builder.concurrent:
            same = [each.label for each in running if each.builder == builder.name]
            if same:
                return wait_reasons.builder_busy(member.name, same[0])
        return None

    def _preference(self, member: Member, builder: BuilderConfig) -> tuple[int, bool]:
        # The least loaded; of equals the one with the newest checkout.
        return len(self._slots.on(member.name)), self._warm.get(builder.name) != member.name
