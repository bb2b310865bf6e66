"""
The next time of a scheduler that fires at certain times, also when the clock is set.

The clock is the master's wall clock, in seconds since 1970, which does not jump with summer time; `Timetable` knows
about that.  It may be set, though, and the master may be down:

- set forward, or down: what was missed happens once, at once, and the log says so;
- set back by at most `MOST_BACK`: what has happened does not happen again (crontab's rule, cron(8));
- set back by more: that corrects a clock that was wrong, and times count from now.

A period has no times of day that could happen again: however little the clock was set back, it counts from now, so that
it never pauses for longer than a period.
"""

from collections.abc import Callable, Mapping
from typing import Any

from attrs import define

MOST_BACK = 3 * 3600.0
LATE = 120.0
"""Seconds after which a firing is late enough for a line in the log."""


@define(eq=False)
class FiringTimes:
    """
    When a scheduler fires.

    *following*: the first time after a given one.  *rule*: a text that is another one when *following* is.
    *most_back*: seconds by which the clock may be set back without that being a correction.  *last*: the time up to
    which nothing is to fire any more; None: it never fired, and fires *first*.  *recorded*: what the records hold.
    """

    following: Callable[[float], float]
    rule: str
    most_back: float
    last: float | None = None
    first: float | None = None
    recorded: Mapping[str, Any] | None = None
    _next: tuple[float, float] | None = None

    @classmethod
    def restored(
        cls,
        following: Callable[[float], float],
        rule: str,
        state: Mapping[str, Any] | None,
        now: float,
        *,
        at_once: bool,
    ) -> "FiringTimes":
        """
        The times, restored from the records.  *at_once*: it is a period; a new one fires now, not only at its next
        time.  If *rule* is not the recorded one, times count from now: the earlier times of a new rule were never
        intended.
        """
        times = cls(following, rule, most_back=0.0 if at_once else MOST_BACK)
        if state is None:
            times.first, times.last = (now, None) if at_once else (None, now)
        else:
            times.recorded = {"last": state["last"], "rule": state["rule"]}
            times.last = now if state["rule"] != rule and not at_once else float(state["last"])
        return times

    def due(self) -> float:
        """
        When to fire next, in seconds since 1970.
        """
        if self.last is None:
            return self.first or 0.0
        if self._next is None or self._next[0] != self.last:
            self._next = (self.last, self.following(self.last))
        return self._next[1]

    def correct(self, now: float) -> float:
        """
        Look at the clock, which shows *now*; returns by how many seconds it was set back, if times therefore count from
        now, else 0.
        """
        if self.last is None or self.last - now <= self.most_back:
            return 0.0
        back, self.last = self.last - now, now
        return back

    def fire(self, now: float) -> float:
        """
        Note that the scheduler fires *now*; return by how many seconds that is too late.
        """
        late = now - self.due()
        self.last = max(now, self.last or 0.0)
        return late

    @property
    def unrecorded(self) -> bool:
        """
        Whether the state changed since it was recorded.
        """
        return self.recorded != {"last": self.last, "rule": self.rule}

    def to_document(self) -> dict[str, Any]:
        """
        The state to record; it counts as recorded from now on.
        """
        self.recorded = {"last": self.last, "rule": self.rule}
        return dict(self.recorded)
