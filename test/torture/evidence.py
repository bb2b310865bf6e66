"""
The evidence after a campaign about the farm's own actions.
"""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any

from attrs import frozen

Note = Callable[[str, bool, str], None]
Rows = Callable[..., Sequence[tuple[Any, ...]]]

# Seconds after a campaign's end: what has a later time was recorded while the master's clock was an hour ahead.
_AN_HOUR_AHEAD = 1800.0


@frozen(kw_only=True)
class Evidence:
    """
    The records and the witnesses of a campaign from *began* to *ended*, when all requests have finished but those of
    `autonomous.UNFINISHED`.

    *rows*: the result of a query on the farm's database.  *revisions*: branch and revision of each commit that must be
    a change.  *disturbances*: begin and end of each time in which the master could not work as it should.  *overfull*:
    what commands noted that found no slot of their lock free.  *holders*: what those noted that held one.  Times are
    seconds since 1970.
    """

    rows: Rows
    revisions: AbstractSet[tuple[str, str]]
    began: float
    ended: float
    disturbances: Sequence[tuple[float, float]] = ()
    overfull: Sequence[str] = ()
    holders: Sequence[str] = ()

    def is_ahead(self, at: float) -> bool:
        """
        Whether *at* is a time of a clock that was an hour ahead.  Which of two times on different sides of such a
        jump was first is not known.
        """
        return at > self.ended + _AN_HOUR_AHEAD

    def latest(self, at: float, patience: float) -> float:
        """
        The latest allowed time of an action that is due *at*: after *patience* seconds, which count anew from the end
        of each disturbance within them.
        """
        by = at + patience
        for begins, ends in sorted(self.disturbances):
            if begins <= by and ends >= at:
                by = max(by, ends + patience)
        return by


def starts(log: str, ready: str) -> list[tuple[float, float]]:
    """
    Begin and end of each start of the master, by its *log*.  *ready*: the line at the end of a start.  On a busy
    machine a start may take longer than any other limit.
    """
    found: list[tuple[float, float]] = []
    for line in log.splitlines():
        if "Loading master.tac" in line or ready in line:
            at = datetime.fromisoformat(line.partition(" ")[0]).timestamp()
            if ready not in line:
                found.append((at, at))
            elif found:
                found[-1] = (found[-1][0], max(found[-1][0], at))
    return found
