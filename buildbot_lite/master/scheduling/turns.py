"""
Turns: among requests of the same priority, the submitter of whom a build was started longest ago comes next.

So a submitter of thousands of requests delays each other one by one build for each slave, and each gets the same number
of builds while all have requests that wait.  Of one submitter's requests the oldest comes first.  Whoever submits with
a FURL is a submitter; all requests of schedulers are together another one, so that without FURLs the oldest request
comes first, as in Buildbot.  Requests that a `Trigger` made are of schedulers, whoever submitted the parent build.

Rejected: numbers that requests get on their arrival (as in fair queueing of packets).  A builder, whose machines are
slow, and another, whose are fast, use up such numbers at different speeds, but share submitters and perhaps slaves.
"""

from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush, heapreplace, merge
from itertools import count

from .builder_queue import BuilderQueue, WaitingRequest, urgency_of

MOST_SUBMITTERS = 10_000
"""Submitters whose last start is remembered."""

Turn = tuple[int, int, int]
"""Sort key, smallest first: minus the priority, when a build of the submitter was last started, the request."""


class Turns:
    """
    Knows when a build of each submitter was last started, in the order of all starts.
    """

    def __init__(self) -> None:
        self._started = 0
        self._last: dict[int | None, int] = {}

    def started(self, waiting: WaitingRequest) -> None:
        """
        The build of *waiting* starts.
        """
        submitter = waiting.buildset.submitter
        self._started += 1
        self._last.pop(submitter, None)
        self._last[submitter] = self._started
        if len(self._last) > MOST_SUBMITTERS:
            del self._last[next(iter(self._last))]

    def turn_of(self, waiting: WaitingRequest) -> Turn:
        """
        The sort key of *waiting* now.
        """
        return _rank(waiting, self._last.get(waiting.buildset.submitter, 0))

    def merged(self, lists: Iterable[Iterator[WaitingRequest]]) -> Iterator[WaitingRequest]:
        """
        The requests of *lists*, each of one submitter and most urgent first, in the order of their turns; those for
        which an obstacle has become known meanwhile are left out.  What is started in between changes the turns of
        those that follow.
        """
        heads = [
            (self.turn_of(waiting), number, waiting, part)
            for number, part in enumerate(lists)
            if (waiting := next(part, None)) is not None
        ]
        heapify(heads)
        while heads:
            known, number, waiting, part = heappop(heads)
            if waiting.siblings.reason is not None:
                # No more of its builder, at once: it may have requests of thousands of submitters.
                heads = [head for head in heads if head[2].siblings.reason is None]
                heapify(heads)
                continue
            # A turn only becomes later, so the first whose turn is as known is the first of all.
            if (turn := self.turn_of(waiting)) != known:
                heappush(heads, (turn, number, waiting, part))
                continue
            if waiting.siblings.why(waiting) is None:
                yield waiting
            if (following := next(part, None)) is not None:
                heappush(heads, (self.turn_of(following), number, following, part))

    def expected(self, groups: Iterable[Iterable[BuilderQueue]]) -> Iterator[WaitingRequest]:
        """
        All requests, as if each got its turn and none had an obstacle: those of the first of *groups*, then those of
        the next.  While it is read, no request may come or go.
        """
        last, starts = dict(self._last), count(self._started + 1)
        for group in groups:
            of_submitters: dict[int | None, list[list[WaitingRequest]]] = {}
            for each in group:
                for submitter, requests in each.by_submitter.items():
                    of_submitters.setdefault(submitter, []).append(requests)
            # A submitter has one place here, that of the most urgent request: to move those of all builders at each
            # turn would take the square of their number.
            heads: list[tuple[Turn, int, WaitingRequest, int | None, Iterator[WaitingRequest]]] = []
            for number, (submitter, lists) in enumerate(of_submitters.items()):
                mine = merge(*lists, key=urgency_of)
                first = next(mine)
                heads.append((_rank(first, last.get(submitter, 0)), number, first, submitter, mine))
            heapify(heads)
            while heads:
                _, number, waiting, submitter, own = heads[0]
                yield waiting
                last[submitter] = next(starts)
                if (following := next(own, None)) is None:
                    heappop(heads)
                else:
                    heapreplace(heads, (_rank(following, last[submitter]), number, following, submitter, own))


def _rank(waiting: WaitingRequest, last: int) -> Turn:
    return -waiting.request.priority, last, waiting.request.id
