"""
Jobs that the machine keeps from going on: its disk is full, or a program that makes an index fails.

::

    a job fails ──► pause ──► the job that has waited longest is tried ──┬─ fails: a pause twice as long
                                                                         ├─ goes on: the next one is tried at once
                                                                         └─ takes long: the next one after a pause

Nothing tells the farm when the fault is gone.  So of all the jobs of a target, one is tried after each pause.  The
first attempt of a job waits for no pause, because the fault of another job may be its own: a file of it that is lost.
"""

from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime

FIRST_PAUSE = 30.0
LONGEST_PAUSE = 900.0
"""Seconds.  Each pause is twice as long as the one before, up to this."""
LONGEST_REASON = 1000
"""Characters."""


@define
class _Trouble:
    """
    The trouble of one target.  *jobs*: those that wait, in the order in which they are tried.  *tried*: the one that is
    being tried.  *away*: those that may take long, and do not hold others back meanwhile.  *pauses*: those since a job
    went on last.  *since*, *again*: seconds since the epoch.
    """

    since: float
    reason: str = ""
    jobs: dict[int, None] = field(factory=dict)
    tried: int | None = None
    away: set[int] = field(factory=set)
    pauses: int = 0
    again: float = 0.0
    call: IDelayedCall | None = None

    def has(self, job: int) -> bool:
        """
        Whether *job* waits, is tried, or is away.
        """
        return job in self.jobs or job == self.tried or job in self.away

    def leave(self, job: int) -> bool:
        """
        Let *job* go.  Whether it was tried, or was away.
        """
        self.jobs.pop(job, None)
        was_tried = self.tried == job
        if was_tried:
            self.tried = None
        was_away = job in self.away
        self.away.discard(job)
        return was_tried or was_away


class TargetTroubles:
    """
    The troubles of all targets.  *clock*: for pauses.  *wall*: seconds since the epoch.  *proceed*: lets a job go on;
    its end is told by `failed` or `went_on`.
    """

    def __init__(self, clock: IReactorTime, wall: Callable[[], float], proceed: Callable[[int], None]) -> None:
        self._clock = clock
        self._wall = wall
        self._proceed = proceed
        self._troubles: dict[str, _Trouble] = {}

    def of(self, target: str) -> dict[str, Any] | None:
        """
        The trouble of *target* for people: why its jobs do not go on, since when, and when the next one is tried (both
        in seconds since the epoch); None: it has none.
        """
        found = self._troubles.get(target)
        if found is None or not found.jobs:
            return None
        return {"reason": found.reason, "since": found.since, "again": found.again}

    def failed(self, target: str, job: int, reason: str) -> None:
        """
        *job* could not go on, for a *reason* that is the machine's.  It is tried again later.  *target*: "" if its
        record could not be read.
        """
        target = target or self._target_of(job)
        trouble = self._troubles.setdefault(target, _Trouble(self._wall()))
        trouble.reason = reason[:LONGEST_REASON]
        trouble.leave(job)
        trouble.jobs[job] = None
        self._pause(target, trouble)

    def worked(self, target: str, job: int) -> None:
        """
        *job* has done a step of several.  If *target*'s trouble kept it from that, it does so no longer.
        """
        trouble = self._troubles.get(target)
        if trouble is not None and trouble.has(job):
            self.went_on(target, job, worked=True)

    def takes_long(self, target: str, job: int) -> None:
        """
        *job* does something now that may take an hour, such as a ``repo_script``.  Another one is tried meanwhile, but
        not at once: nothing says yet that the trouble is gone.
        """
        trouble = self._troubles.get(target)
        if trouble is not None and trouble.has(job):
            trouble.leave(job)
            trouble.away.add(job)
            if trouble.jobs:
                self._pause(target, trouble)

    def _pause(self, target: str, trouble: _Trouble) -> None:
        if trouble.call is None and trouble.tried is None:
            pause = min(FIRST_PAUSE * 2**trouble.pauses, LONGEST_PAUSE)
            # So many that the longest pause is reached, and the power stays small.
            trouble.pauses = min(trouble.pauses + 1, 10)
            trouble.again = self._wall() + pause
            trouble.call = self._clock.callLater(pause, self._try_next, target)

    def went_on(self, target: str, job: int, *, worked: bool) -> None:
        """
        *job* does not wait (any more).  *worked*: it did something that its target's trouble would have kept it from.
        *target*: as for `failed`.
        """
        target = target or self._target_of(job)
        trouble = self._troubles.get(target)
        if trouble is None:
            return
        was_tried = trouble.leave(job)
        if worked:
            trouble.pauses = 0
        if trouble.tried is None and (worked or was_tried or not trouble.jobs):
            if trouble.call is not None:
                trouble.call.cancel()
            self._try_next(target)

    def _target_of(self, job: int) -> str:
        found = (target for target, each in self._troubles.items() if each.has(job))
        return next(found, "")

    def stop(self) -> None:
        """
        Try nothing again.
        """
        for trouble in self._troubles.values():
            if trouble.call is not None:
                trouble.call.cancel()
        self._troubles.clear()

    def _try_next(self, target: str) -> None:
        trouble = self._troubles[target]
        trouble.call = None
        if not trouble.jobs:
            # Those that are away may come back with the same trouble.
            if not trouble.away:
                del self._troubles[target]
            return
        trouble.tried = next(iter(trouble.jobs))
        self._proceed(trouble.tried)
