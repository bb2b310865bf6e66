"""
Which request is built next, where, and why the others wait.

One loop decides: it sleeps until something changed (a request came, a build ended, a slave attached, a back-off is
over; what changes without a word, as room on the disk or the mind of ``canStartBuild``, is asked again after a while),
then looks at every waiting request once, most urgent first.  The answer for each is either a slave, and the
build starts, or a `Reason`.  What people are told is that very reason.
"""

from bisect import insort
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ..model import reasons
from ..model.reasons import Reason
from ..storage.records.requests import Buildset, Request
from .asking import GOOD_FOR, Asking
from .roster import Member, Roster
from .vocabulary import BuilderConfig

LOOK_FOR_ROOM = 5.0
"""Seconds between two looks whether there is room on the master's disk."""
ASK_AGAIN = 60.0
"""Seconds after which a ``canStartBuild`` that refused is asked again."""
LONGEST_PAUSE = 300.0
"""Seconds that a request waits at most before it is tried again, whatever the wall clock says."""


@define
class Waiting:
    """
    A request that waits, the buildset that it belongs to, and why it waits.

    *due*: when it may be tried, by the clock that never jumps.
    """

    request: Request
    buildset: Buildset
    due: float
    reason: Reason = field(factory=reasons.starting)

    @property
    def urgency(self) -> tuple[int, int]:
        """
        What sorts first is built first.
        """
        return -self.request.priority, self.request.id


@frozen
class Running:
    """
    A build that occupies a slot.
    """

    label: str
    builder: str
    slave: str


@define
class Slots:
    """
    What runs where.
    """

    _running: dict[int, Running] = field(factory=dict)
    _by_slave: dict[str, dict[int, Running]] = field(factory=dict)

    def take(self, request: int, running: Running) -> None:
        """
        The build of *request* begins, or is known by a better label now.
        """
        self._running[request] = running
        self._by_slave.setdefault(running.slave, {})[request] = running

    def leave(self, request: int) -> None:
        """
        It ended.
        """
        running = self._running.pop(request, None)
        if running is not None:
            del self._by_slave[running.slave][request]

    def on(self, slave: str) -> list[Running]:
        """
        What runs on *slave*.
        """
        return list(self._by_slave.get(slave, {}).values())

    def __len__(self) -> int:
        return len(self._running)


class Queue:
    """
    The requests that wait.

    *builders*: what is configured now.  *start(waiting, slave)* begins a build; the slot is taken already.
    *hold*: why nothing at all starts (the master is stopping, its disk is full), or None.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        roster: Roster,
        builders: Callable[[], Mapping[str, BuilderConfig]],
        start: Callable[[Waiting, str], None],
        hold: Callable[[], Reason | None],
        clock: IReactorTime,
        wall: Callable[[], float],
    ) -> None:
        self._roster = roster
        self._builders = builders
        self._start = start
        self._hold = hold
        self._clock = clock
        self._wall = wall
        self._order: list[Waiting] = []
        self._by_id: dict[int, Waiting] = {}
        self._withdrawn: set[int] = set()
        self._by_grant: Counter[int | None] = Counter()
        self._wake: Deferred[None] = Deferred()
        self._alarm: IDelayedCall | None = None
        self._warm: dict[str, str] = {}
        self._asking = Asking(clock=clock, changed=self.consider)
        self.slots = Slots()

    def add(self, request: Request, buildset: Buildset) -> None:
        """
        One more.
        """
        # Its pause is kept in seconds since 1970, because it outlives us; that clock may jump, so it is asked once.
        pause = min(max(0.0, request.not_before - self._wall()), LONGEST_PAUSE)
        waiting = Waiting(request, buildset, self._clock.seconds() + pause)
        self._by_id[request.id] = waiting
        self._by_grant[buildset.by_grant] += 1
        insort(self._order, waiting, key=lambda each: each.urgency)
        self.consider()

    def remove(self, request: int) -> Waiting | None:
        """
        It need not be built any more; None when it does not wait here.
        """
        waiting = self._by_id.pop(request, None)
        if waiting is not None:
            self._order.remove(waiting)
            self._withdrawn.discard(request)
            self._by_grant[waiting.buildset.by_grant] -= 1
            self._asking.forget(request)
        return waiting

    def withdraw(self, request: int) -> bool:
        """
        Do not start it, because its end is being recorded; `remove` or `restore` follows.  False: it does not wait
        here.
        """
        waiting = self._by_id.get(request)
        if waiting is not None:
            self._withdrawn.add(request)
            waiting.reason = reasons.cancelling()
        return waiting is not None

    def restore(self, request: int) -> None:
        """
        Its end could not be recorded: it waits on.
        """
        self._withdrawn.discard(request)
        self.consider()

    def __contains__(self, request: int) -> bool:
        return request in self._by_id

    def waiting_for(self, grant: int) -> int:
        """
        How many requests wait that were asked for with a grant's string.
        """
        return self._by_grant[grant]

    def waiting(self) -> Iterable[Waiting]:
        """
        Everything that waits, most urgent first.
        """
        return tuple(self._order)

    def consider(self) -> None:
        """
        Something changed: look again, soon.
        """
        wake, self._wake = self._wake, Deferred()
        wake.callback(None)

    async def run(self) -> None:
        """
        Decide for ever.  Cancel it to stop.
        """
        while True:
            wake = self._wake
            try:
                self._look()
            except Exception:  # noqa: BLE001 - a defect of ours: it must not end the queue for ever
                self._log.failure("looking at the queue failed; it is tried again in {wait} s", wait=LOOK_FOR_ROOM)
                self._set_alarm(LOOK_FOR_ROOM)
            await wake
            # Several changes in one turn of the reactor are one reason to look.
            turn: Deferred[None] = Deferred()
            self._clock.callLater(0, turn.callback, None)
            await turn

    def _look(self) -> None:
        blocked: dict[str, Reason] = {}
        again: list[float] = []
        hold = self._hold()
        for waiting in tuple(self._order):
            builder = self._builders().get(waiting.request.builder)
            if waiting.request.id in self._withdrawn:
                continue
            if hold is not None:
                waiting.reason = hold
                again.append(LOOK_FOR_ROOM)
            elif builder is None:
                waiting.reason = reasons.no_builder(waiting.request.builder)
            elif builder.name in blocked:
                waiting.reason = blocked[builder.name]
            elif (left := waiting.due - self._clock.seconds()) > 0:
                waiting.reason = reasons.back_off(left, waiting.request.retries)
                again.append(left)
            else:
                self._place(waiting, builder, blocked)
                if builder.can_start_build is not None and waiting.request.id in self._by_id:
                    again.append(GOOD_FOR if self._asking.knows(waiting.request.id) else ASK_AGAIN)
        self._set_alarm(min(again, default=None))

    def _place(self, waiting: Waiting, builder: BuilderConfig, blocked: dict[str, Reason]) -> None:
        choice = self._choose(waiting, builder)
        if isinstance(choice, Reason):
            waiting.reason = choice
            if builder.can_start_build is None:
                blocked[builder.name] = choice
            return
        self.remove(waiting.request.id)
        waiting.reason = reasons.starting()
        self._warm[builder.name] = choice.name
        self.slots.take(waiting.request.id, Running(builder.name, builder.name, choice.name))
        self._start(waiting, choice.name)

    def _choose(self, waiting: Waiting, builder: BuilderConfig) -> Member | Reason:
        obstacles: list[Reason] = []
        free: list[Member] = []
        for name in builder.slavenames:
            member = self._roster.get(name)
            if member is None:
                continue  # the configuration's checks do not let this happen
            obstacle = member.obstacle() or self._occupied(member, builder)
            if obstacle is None:
                free.append(member)
            else:
                obstacles.append(obstacle)
        for member in sorted(free, key=lambda each: self._preference(each, builder)):
            allowed = self._asking.allowed(builder, member.config, waiting.request)
            if allowed:
                return member
            no = reasons.asked if allowed is None else reasons.refused
            obstacles.append(no(member.name, builder.name))
        return reasons.nearest(obstacles) if obstacles else reasons.no_builder(builder.name)

    def _occupied(self, member: Member, builder: BuilderConfig) -> Reason | None:
        running = self.slots.on(member.name)
        most = member.config.max_builds
        if most is not None and len(running) >= most:
            return reasons.busy(member.name, [each.label for each in running])
        if not builder.concurrent:
            same = [each.label for each in running if each.builder == builder.name]
            if same:
                return reasons.builder_busy(member.name, same[0])
        return None

    def _preference(self, member: Member, builder: BuilderConfig) -> tuple[int, bool]:
        # The least loaded; among equals the one that built it last, which has the checkout.
        return len(self.slots.on(member.name)), self._warm.get(builder.name) != member.name

    def _set_alarm(self, seconds: float | None) -> None:
        if self._alarm is not None and self._alarm.active():
            self._alarm.cancel()
        self._alarm = None if seconds is None else self._clock.callLater(seconds, self.consider)
