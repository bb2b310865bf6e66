"""
Who may submit now: the limits of submissions' strings.

::

    admitted ──► input comes in ──► the transaction ──► recorded: it counts as a use
        │                 │                │
        │                 '────────────────'──► broke off, or refused: it does not count
        '──► refused, with the sentence: before a byte of it was taken

What is admitted counts at once, so that twenty submissions that begin together are not twenty exceptions.  Everything
is in memory, because it is asked before anything else is done; after a restart it is what the records say.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Self

from attrs import frozen

from ...errors import LimitError
from ...storage.records.grants import Grant
from ..grants.registry import GrantRegistry

HOUR = 3600.0
MOST_AT_ONCE = 1000
"""Submissions with one string that are on their way into the records."""
MOST_INPUTS = 20
"""Those of them whose input is still coming in, which may take as long as their submitters like."""


@frozen(eq=False)
class Admission:
    """
    Leave to submit once with *grant*: a place among those that are under way, until the end of its ``with``.

    Whoever is admitted enters it at once and holds it until the submission is in the records, or is none.  It cannot be
    given back from elsewhere: a client that hangs up while its submission is being written has used its string.
    """

    grant: Grant
    _limits: "SubmitLimits"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self._limits.ended(self.grant.id)


class SubmitLimits:
    """
    All strings' limits.  *waiting*: how many requests of a grant wait now.  *wall*: seconds since 1970.
    """

    def __init__(self, *, grants: GrantRegistry, waiting: Callable[[int], int], wall: Callable[[], float]) -> None:
        self._grants = grants
        self._waiting = waiting
        self._wall = wall
        self._coming: Counter[int] = Counter()
        self._times: dict[int, deque[float]] = {}

    def remember(self, times: Mapping[int, Iterable[float]]) -> None:
        """
        When strings with a limit per hour were used during the last hour, by the numbers of their grants.
        """
        for id, when in times.items():
            self._times[id] = deque(when)

    def admit(self, id: int, requests: int, *, with_input: bool) -> Admission:
        """
        Let the grant *id* submit once, which makes so many *requests*; or `RefusedError`, with the sentence.
        *with_input*: whether what this string submits to takes any.
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
        A submission with *grant* is in the records.
        """
        now = self._wall()
        if grant.per_hour is not None:
            self._times.setdefault(grant.id, deque()).append(now)
        self._grants.note_use(grant.id, now)

    def ended(self, id: int) -> None:
        """
        See `Admission`.
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
        waiting = self._waiting(grant.id) + coming * requests
        if waiting + requests > most:
            raise LimitError(
                f"At most {most} requests of this string may wait, and {waiting} do.  Try again when one has begun."
            )


def _times(number: int) -> str:
    return "1 submission" if number == 1 else f"{number} submissions"
