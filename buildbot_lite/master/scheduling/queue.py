"""
Queue: the requests that wait, each with the reason why.

There is one list for each builder, most urgent first.  ``choice`` decides which of them are built.
"""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from heapq import merge

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

from ...model import wait_reasons
from ...model.json_reader import encode
from ...model.source_stamps import slaves_of
from ...model.wait_reasons import WaitKind, WaitReason
from ...storage.records.buildsets import Buildset
from ...storage.records.requests import Request
from .user_answers import UserAnswers
from .views import without_revision
from .wakeup import Wakeup

LONGEST_PAUSE = 300.0
"""The longest back-off in seconds, whatever the wall clock says."""
MOST_PRIORITIES = 100
"""Priorities that are looked at for the age of the oldest request."""


Urgency = tuple[int, int]
"""Sort key, smallest first: minus the priority, then the number of the request."""


@define(eq=False)
class WaitingRequest:
    """
    A request in the queue, its buildset, and the list of its builder.

    *due*: the earliest start, in seconds of the monotonic clock.  *own*: its reason while the list has none.  *held*:
    why it may not start at all, whatever its list says; None: it may.
    *in_line_on*: the slave on which it would be built if it had the locks for it.  *only*: the slaves that may build
    it; None: all of its builder.  *needs*: its rendered locks, once they are known.  *kind*: the same for requests of a
    builder that need the same to start: if one cannot start, neither can the others.  (Builds for which another waits
    share its locks.)
    """

    request: Request
    buildset: Buildset
    due: float
    siblings: "BuilderQueue"
    own: WaitReason = field(factory=wait_reasons.starting)
    in_line_on: str | None = None
    needs: object = None
    held: WaitReason | None = None
    only: tuple[str, ...] | None = field(init=False)
    kind: Hashable = field(init=False)
    _alike: bytes | None = None

    @only.default
    def _slaves_of_source(self) -> tuple[str, ...] | None:
        only = slaves_of(self.buildset.source)
        return None if only is None else tuple(only)

    @kind.default
    def _kind_without_needs(self) -> Hashable:
        return self.only, None, self.buildset.parent_build

    def know(self, needs: Hashable) -> None:
        """
        Its locks are rendered.
        """
        self.needs = needs
        self.kind = self.only, needs, self.buildset.parent_build

    @property
    def alike(self) -> bytes:
        """
        The key of requests with the same sources, apart from the revision, and the same properties.
        """
        if self._alike is None:
            buildset = self.buildset
            values = {name: value for name, (value, _) in buildset.properties.items()}
            self._alike = encode([without_revision(buildset.source), values, buildset.input])
        return self._alike

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
        return self.own if self.withdrawn else self.held or self.siblings.why(self) or self.own

    @property
    def withdrawn(self) -> bool:
        """
        Whether its cancellation is being recorded: it must not start.
        """
        return self.own.kind is WaitKind.CANCELLING

    @property
    def open(self) -> bool:
        """
        Whether it may start: it is neither withdrawn nor held.
        """
        return self.held is None and not self.withdrawn


def urgency_of(waiting: WaitingRequest) -> Urgency:
    """
    The sort key of *waiting*.
    """
    return waiting.urgency


@define(eq=False)
class BuilderQueue:
    """
    The requests for one *builder*, most urgent first, and those of each submitter alone.  *reason*: why none of them
    can start now, or None.
    """

    builder: str
    order: list[WaitingRequest] = field(factory=list)
    by_submitter: dict[int | None, list[WaitingRequest]] = field(factory=dict)
    reason: WaitReason | None = None
    _obstructed: dict[Hashable, WaitReason] = field(factory=dict)

    def begin(self, reason: WaitReason | None) -> None:
        """
        Begin a decision.  With a *reason*, no request can start in it.
        """
        self.reason = reason
        self._obstructed.clear()

    def no_slave(self, only: tuple[str, ...] | None, reason: WaitReason) -> WaitReason:
        """
        No slave of *only* (None: of the builder) is free.
        """
        if only is None:
            self.reason = reason
            return reason
        return self.obstruct(only, reason)

    def obstruct(self, kind: Hashable, reason: WaitReason) -> WaitReason:
        """
        No request of that *kind* can start in this decision.
        """
        self._obstructed[kind] = reason
        return reason

    def why(self, waiting: WaitingRequest) -> WaitReason | None:
        """
        The reason, known in this decision, for which *waiting* and requests of the same kind cannot start; None: none
        is known.
        """
        if self.reason is not None or not self._obstructed:
            return self.reason
        by_slaves = None if waiting.only is None else self._obstructed.get(waiting.only)
        return by_slaves or self._obstructed.get(waiting.kind)

    def open(self) -> list[Iterator[WaitingRequest]]:
        """
        For each submitter: the requests for which this decision knows no obstacle yet.
        """
        return [] if self.reason is not None else [self._open(requests) for requests in self.by_submitter.values()]

    def _open(self, requests: Sequence[WaitingRequest]) -> Iterator[WaitingRequest]:
        obstructed = self._obstructed
        for waiting in () if self.reason is not None else tuple(requests):
            if self.reason is not None:
                return
            if (
                waiting.held is None
                and waiting.kind not in obstructed
                and (waiting.only is None or waiting.only not in obstructed)
            ):
                yield waiting

    @property
    def oldest(self) -> float | None:
        """
        When the oldest of the requests was submitted, in seconds since 1970; None if there is none.  Only the
        `MOST_PRIORITIES` highest priorities are looked at.
        """
        found, place = None, 0
        for _ in range(MOST_PRIORITIES):
            if place == len(self.order):
                break
            # Of one priority, the first has the lowest number.
            first = self.order[place].request
            found = first.submitted if found is None else min(found, first.submitted)
            place = bisect_left(self.order, (1 - first.priority, 0), lo=place, key=urgency_of)
        return found

    def add(self, waiting: WaitingRequest) -> None:
        """
        Put *waiting* into the list.
        """
        for requests in (self.order, self.by_submitter.setdefault(waiting.buildset.submitter, [])):
            insort(requests, waiting, key=urgency_of)

    def remove(self, waiting: WaitingRequest) -> None:
        """
        Take *waiting* out of the list.
        """
        submitter = waiting.buildset.submitter
        for requests in (self.order, self.by_submitter[submitter]):
            del requests[bisect_left(requests, waiting.urgency, key=urgency_of)]
        if not self.by_submitter[submitter]:
            del self.by_submitter[submitter]


class Queue:
    """
    The requests that wait, in one list for each builder.  *answers*: those about a request that leaves are
    dropped.  *wall*: seconds since 1970.
    """

    def __init__(
        self,
        *,
        answers: UserAnswers,
        wakeup: Wakeup,
        clock: IReactorTime,
        wall: Callable[[], float],
    ) -> None:
        self._answers = answers
        self._wakeup = wakeup
        self._clock = clock
        self._wall = wall
        self._by_builder: dict[str, BuilderQueue] = {}
        self._by_id: dict[int, WaitingRequest] = {}
        self._held: dict[int, WaitReason] = {}
        self._by_grant: Counter[int | None] = Counter()

    def add(self, request: Request, buildset: Buildset) -> None:
        """
        Put *request* into the queue.
        """
        # The records hold the back-off's end in seconds since 1970.  That clock may jump, so it is read only once.
        pause = min(max(0.0, request.not_before - self._wall()), LONGEST_PAUSE)
        siblings = self._by_builder.setdefault(request.builder, BuilderQueue(request.builder))
        due, held = self._clock.seconds() + pause, self._held.get(request.id)
        waiting = WaitingRequest(request, buildset, due, siblings, held=held)
        self._by_id[request.id] = waiting
        self._by_grant[buildset.by_grant] += 1
        siblings.add(waiting)
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
            waiting.siblings = BuilderQueue(waiting.request.builder)  # the others do not have the same reason any more
            self._by_grant[waiting.buildset.by_grant] -= 1
            self._answers.forget(request)
            if waiting.withdrawn:
                # A lock may have been kept for it, or a function asked about it in the place of others.
                self._wakeup.set()
        return waiting

    def withdraw(self, request: int) -> bool:
        """
        Do not start *request* while its cancellation is being recorded; `remove` or `restore` follows.  Returns False
        when *request* is not in the queue.
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

    def hold(self, requests: Mapping[int, WaitReason]) -> None:
        """
        Do not start *requests*, each for a reason, until `release`.  A request may be held before it comes into the
        queue; its hold stays when it leaves the queue for a build, and comes back.
        """
        self._held.update(requests)
        self._mark(requests)

    def release(self, requests: Iterable[int]) -> None:
        """
        Let *requests* start, as far as they were held.
        """
        for request in (numbers := tuple(requests)):
            self._held.pop(request, None)
        self._mark(numbers)

    def _mark(self, requests: Iterable[int]) -> None:
        for request in requests:
            if (waiting := self._by_id.get(request)) is not None:
                waiting.held = self._held.get(request)
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

    def get(self, request: int) -> WaitingRequest | None:
        """
        The request, if it is here.
        """
        return self._by_id.get(request)

    def of_builder(self, builder: str) -> Sequence[WaitingRequest]:
        """
        The requests for *builder*, most urgent first.
        """
        return tuple(self._by_builder[builder].order) if builder in self._by_builder else ()

    def by_builder(self) -> Sequence[BuilderQueue]:
        """
        The list of each builder that has requests.
        """
        return tuple(self._by_builder.values())

    def waiting(self) -> Iterable[WaitingRequest]:
        """
        All requests, most urgent first.
        """
        return tuple(merge(*(each.order for each in self._by_builder.values()), key=urgency_of))

    def why(self, request: int) -> WaitReason | None:
        """
        Why *request* waits; None when it does not.
        """
        waiting = self._by_id.get(request)
        return None if waiting is None else waiting.reason

    def __len__(self) -> int:
        return len(self._by_id)
