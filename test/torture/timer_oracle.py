"""
The oracle for timers: no time fires twice, and none is skipped.  When the clock was set forward and back, the farm has
fired for the time ahead (crontab's rule).  The records of that time are not judged, and a disturbance of the campaign
marks how long nothing else has to happen.
"""

from itertools import pairwise

from .autonomous import NIGHTLY, PERIOD, PERIODIC
from .evidence import Evidence, Note

MINUTE = 60.0
PATIENCE = 30.0
"""Seconds until a timer that is due must have fired, on a machine that is busy."""
JITTER = 4.0
"""Seconds by which the recorded time of a submission may be later than the decision, on a machine that is busy."""


def judge_timers(evidence: Evidence, note: Note) -> None:
    """
    Judge each time at which a timer fired or should have.
    """
    _periodic(evidence, note)
    _nightly(evidence, note)


def _fired(evidence: Evidence, scheduler: str) -> list[float]:
    query = "select submitted from buildsets where scheduler = ? order by id"
    return [at for (at,) in evidence.rows(query, scheduler)]


def _periodic(evidence: Evidence, note: Note) -> None:
    fired = _fired(evidence, PERIODIC)
    for before, after in pairwise(fired):
        if evidence.is_ahead(before) == evidence.is_ahead(after):
            seconds = after - before
            note("timers: twice", seconds >= PERIOD - JITTER, f"{PERIODIC} fired again after {seconds:.1f} s")
    real = [at for at in fired if not evidence.is_ahead(at)]
    for before, after in pairwise([evidence.began - PERIOD, *real, evidence.ended]):
        due = before + PERIOD
        note(
            "timers: skipped",
            after <= evidence.latest(due, PATIENCE),
            f"{PERIODIC} was due at {due:.1f} and did not fire until {after:.1f}",
        )


def _nightly(evidence: Evidence, note: Note) -> None:
    fired = _fired(evidence, NIGHTLY)
    minutes = [at // MINUTE for at in fired]
    for minute in sorted(set(minutes)):
        count = minutes.count(minute)
        note("timers: twice", count == 1, f"{NIGHTLY} fired {count} times in the minute from {minute * MINUTE:.0f}")
    due = (evidence.began // MINUTE + 1) * MINUTE
    while (by := evidence.latest(due, PATIENCE)) <= evidence.ended:
        found = any(due <= at <= by for at in fired)
        note("timers: skipped", found, f"{NIGHTLY} was due at {due:.0f} and did not fire until {by:.0f}")
        due += MINUTE
