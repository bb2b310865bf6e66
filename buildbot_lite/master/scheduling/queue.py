"""
Queue: the requests that wait, in one list for each builder (`builder_queue`).  ``choice`` decides which are built.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import merge

from twisted.internet.interfaces import IReactorTime

from ...model import wait_reasons
from ...model.wait_reasons import WaitReason
from ...storage.records.buildsets import Buildset
from ...storage.records.requests import Request
from .builder_queue import BuilderQueue, WaitingRequest, urgency_of
from .user_answers import UserAnswers
from .wakeup import Wakeup

LONGEST_PAUSE = 300.0
"""The longest back-off in seconds, whatever the wall clock says."""


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
