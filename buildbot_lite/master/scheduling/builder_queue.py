"""
The requests for one builder that wait, most urgent first, each with the reason why.

A decision of `choice` notes here which requests cannot start, by what they need, so that it looks at each need once.
"""

from bisect import bisect_left, insort
from collections.abc import Hashable, Iterator, Sequence

from attrs import define, field

from ...model import wait_reasons
from ...model.json_reader import encode
from ...model.source_stamps import slaves_of
from ...model.wait_reasons import WaitKind, WaitReason
from ...storage.records.buildsets import Buildset
from ...storage.records.requests import Request
from .views import without_revision

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
        Note *needs*, its rendered locks.
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
