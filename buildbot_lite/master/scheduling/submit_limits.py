"""
Submit limits: whether a FURL may submit now.

::

    admitted ──► input comes in ──► the transaction ──► recorded: it counts as a use
        │                 │                │
        │                 '────────────────'──► aborted, or refused: it does not count
        '──► refused, with the reason: before any input was read

An admitted submission counts at once; otherwise twenty submissions that begin together would all pass a limit of one.
All counts are in memory, because the check comes before everything else; after a restart they come from the records.

A submission may become more requests later: a package whose source is made first becomes a request for each
architecture.  It counts as these from the beginning, because nothing limits them when they come.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Self

from attrs import frozen

from ...errors import LimitError
from ...storage.records.grants import Grant
from ..grants.registry import GrantRegistry
from .queue import Queue

HOUR = 3600.0
MOST_AT_ONCE = 1000
"""Submissions with one FURL that may be under way at a time."""
MOST_INPUTS = 20
"""The same for submissions with input, whose duration the submitter decides."""


@frozen(eq=False)
class Admission:
    """
    Permission to submit once with *grant*: a context manager that counts as one submission under way.

    The holder enters it at once and leaves it when the submission is recorded or has failed.  Nothing else can end it:
    a client that disconnects while its submission is being recorded has used its FURL.
    """

    grant: Grant
    _limits: "SubmitLimits"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self._limits.ended(self.grant.id)


@frozen
class ExpectedRequests:
    """
    Requests that a submission with *grant* will become: so many *requests*, when its only one, *first*, has ended.
    """

    grant: int
    first: int
    requests: int


class SubmitLimits:
    """
    The limits of all FURLs.  *queue*: of waiting requests.  *wall*: seconds since 1970.
    """

    def __init__(self, *, grants: GrantRegistry, queue: Queue, wall: Callable[[], float]) -> None:
        self._grants = grants
        self._queue = queue
        self._wall = wall
        self._expected: dict[int, ExpectedRequests] = {}
        self._coming: Counter[int] = Counter()
        self._times: dict[int, deque[float]] = {}

    def remember(self, times: Mapping[int, Iterable[float]]) -> None:
        """
        Restore the uses of the last hour: *times* by grant, for grants with a limit per hour.
        """
        for id, when in times.items():
            self._times[id] = deque(when)

    def admit(self, id: int, requests: int, *, with_input: bool) -> Admission:
        """
        Permit the grant *id* to make one submission of so many *requests*; `RefusedError` says why not.
        *with_input*: whether the scheduler takes input.
        """
        grant = self._grants.in_force(id)
        coming = self._coming[id]
        if coming >= (MOST_INPUTS if with_input else MOST_AT_ONCE):
            raise LimitError(f"{coming} submissions with this string are coming in already.  Try again later.")
        if grant.uses_allowed is not None and grant.uses + coming >= grant.uses_allowed:
            raise LimitError(
                f"This string was good for {_times(grant.uses_allowed)}, and is used up.  "
                "Ask the farm's admin for another."
            )
        self._check_rate(grant, coming)
        self._check_waiting(grant, coming, requests)
        self._coming[id] += 1
        return Admission(grant, self)

    def spent(self, grant: Grant) -> None:
        """
        Count a use: a submission with *grant* is recorded.
        """
        now = self._wall()
        if grant.per_hour is not None:
            self._times.setdefault(grant.id, deque()).append(now)
        self._grants.note_use(grant.id, now)

    def expect(self, number: int, expected: ExpectedRequests) -> None:
        """
        Count the *expected* requests as waiting until `came` is called.  *number*: that of the submission, as in
        `RecordedSubmission`; a second call replaces the first.
        """
        self._expected[number] = expected

    def came(self, number: int) -> None:
        """
        The requests that were expected for the submission *number* wait now, or never will.
        """
        self._expected.pop(number, None)

    def ended(self, id: int) -> None:
        """
        A submission of the grant *id* is no longer under way.
        """
        self._coming[id] -= 1
        if not self._coming[id]:
            del self._coming[id]

    def _check_rate(self, grant: Grant, coming: int) -> None:
        if grant.per_hour is None:
            return
        now, times = self._wall(), self._times.setdefault(grant.id, deque())
        while times and times[0] <= now - HOUR:
            times.popleft()
        if len(times) + coming >= grant.per_hour:
            wait = times[0] + HOUR - now if times else HOUR
            raise LimitError(
                f"This string is good for {_times(grant.per_hour)} an hour.  Try again in {wait / 60:.0f} min."
            )

    def _check_waiting(self, grant: Grant, coming: int, requests: int) -> None:
        most = grant.most_waiting
        if most is None:
            return
        expected = [each for each in self._expected.values() if each.grant == grant.id]
        later = sum(each.requests - (each.first in self._queue) for each in expected)
        waiting = self._queue.count_of_grant(grant.id) + later + coming * requests
        if waiting + requests > most:
            counting = ", counting what earlier submissions will become" if later else ""
            raise LimitError(
                f"At most {most} requests of this string may wait, and {waiting} do{counting}.  "
                "Try again when one has begun."
            )


def _times(number: int) -> str:
    return "1 submission" if number == 1 else f"{number} submissions"
