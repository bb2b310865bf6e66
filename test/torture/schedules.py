"""
Schedules of failures and submissions, derived from a seed, which can be printed and run again.

A schedule is lines of text, each an `Event`::

    0.0 submit job1 work 40000 6.0 0      job, builder, bytes of its log, seconds that it takes, its exit code
    3.2 silence bot1 31.0                 a fault, its target, its duration in seconds
    7.9 kill-keeper bot2
    8.1 push topic 2                      branch, number of commits
    8.5 nudge                             two submissions that ask for the same

`FAULTS` lists the faults.  A schedule does not know the farm's state: killing a dead process has no effect.
"""

from collections.abc import Iterable, Sequence
from random import Random

from attrs import frozen

SLAVES = ("bot1", "bot2")
BRANCHES = ("fix", "topic", "release")
BUILDERS = ("work", "work", "changing", "once")
SLAVE, MASTER, BOTH, NO_TARGET = "slave", "master", "both", "none"


@frozen
class Fault:
    """
    A kind of failure.

    *target*: a slave, the master, any of them, or none.  *least*, *most*: bounds of its duration in seconds.
    *weight*: relative frequency.  *retries*: whether it may cost builds an attempt.  *minutes*: least length of a
    schedule that contains it.
    """

    name: str
    target: str
    least: float = 0.0
    most: float = 0.0
    weight: int = 2
    retries: bool = False
    minutes: float = 0.0


FAULTS = (
    Fault("cut", SLAVE, weight=6),
    Fault("cuts", SLAVE, 3, 8, weight=2),
    Fault("silence", SLAVE, 2, 40),
    Fault("throttle", SLAVE, 5, 30),
    Fault("delay", SLAVE, 5, 30),
    Fault("kill-slave", SLAVE, 0, 6, weight=4),
    Fault("restart-slave", SLAVE, weight=2),
    Fault("stop-slave", SLAVE, 2, 40),
    Fault("stop-keeper", SLAVE, 1, 20, weight=1),
    Fault("kill-master", NO_TARGET, 0, 5, weight=3),
    Fault("restart-master", NO_TARGET, weight=1),
    Fault("stop-master", NO_TARGET, 2, 30),
    Fault("kill-both", SLAVE, 0, 5),
    Fault("reconfigure", NO_TARGET, weight=2),
    Fault("edit-and-kill-master", NO_TARGET, 0, 5, weight=1),
    Fault("fill-disk", BOTH, 4, 20),
    Fault("lock-database", NO_TARGET, 3, 30, weight=2),
    Fault("clock", BOTH, 4, 20),
    Fault("kill-keeper", SLAVE, weight=2, retries=True),
    Fault("reboot", SLAVE, 0, 5, weight=2, retries=True),
    Fault("partition", SLAVE, 190, 220, weight=1, retries=True, minutes=8),
)
PUSHES = ("push", "force-push", "delete-branch")
"""What happens to the branches of the repository that is polled."""
NUDGE = "nudge"
BY_NAME = {fault.name: fault for fault in FAULTS}


@frozen
class Event:
    """
    The fault or submission *name* with the arguments *words*, *at* seconds after the start.
    """

    at: float
    name: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join((f"{self.at:.1f}", self.name, *self.words))

    @property
    def ends(self) -> float:
        """
        The end of the fault, in seconds after the start.
        """
        return self.at + (float(self.words[-1]) if self.name in BY_NAME and BY_NAME[self.name].most else 0.0)


def schedule(seed: int, minutes: float) -> list[Event]:
    """
    The schedule of *seed*.
    """
    random = Random(seed)
    length = 60 * minutes
    kinds = [fault for fault in FAULTS if fault.minutes <= minutes]
    events: list[Event] = []
    at, job = 0.0, 0
    while at < length:
        job += 1
        events.append(_job(random, at, f"job{seed}x{job}"))
        at += random.uniform(2.0, 6.0)
    at = 1.0
    while at < length:
        events.append(_push(random, at))
        at += random.choice((0.5, random.uniform(1.0, 6.0)))
    at = random.uniform(3.0, 6.0)
    while at < length:
        events.append(Event(at, NUDGE, ()))
        at += random.uniform(8.0, 16.0)
    at = random.uniform(2.0, 4.0)
    while at < length:
        (fault,) = random.choices(kinds, [fault.weight for fault in kinds])
        events.append(_event(random, at, fault, length))
        at += random.choice((0.3, random.uniform(2.0, 9.0), random.uniform(6.0, 14.0)))
    return sorted(events, key=lambda event: event.at)


def written(events: Iterable[Event]) -> str:
    """
    The text of a schedule.
    """
    return "".join(f"{event}\n" for event in events)


def read(text: str) -> Sequence[Event]:
    """
    The schedule with that text.
    """
    events = []
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            at, name, *words = line.split()
            events.append(Event(float(at), name, tuple(words)))
    return events


def _job(random: Random, at: float, name: str) -> Event:
    size = random.choice((0, 1, 3_000, 60_000, 400_000))
    code = random.choice((0, 0, 0, 1))
    return Event(at, "submit", (name, random.choice(BUILDERS), str(size), f"{random.uniform(0.1, 9.0):.1f}", str(code)))


def _push(random: Random, at: float) -> Event:
    branch = random.choice(BRANCHES)
    kind = random.choice(("push", "push", *PUSHES))
    return Event(at, kind, (branch, str(random.randint(1, 3))) if kind == "push" else (branch,))


def _event(random: Random, at: float, fault: Fault, length: float) -> Event:
    words: list[str] = []
    if fault.target in (SLAVE, BOTH):
        words.append(random.choice(SLAVES if fault.target == SLAVE else (*SLAVES, MASTER)))
    if fault.most:
        # Short schedules contain short faults.
        most = fault.most if fault.minutes else min(fault.most, max(fault.least + 1, length / 6))
        words.append(f"{random.uniform(fault.least, most):.1f}")
    return Event(at, fault.name, tuple(words))
