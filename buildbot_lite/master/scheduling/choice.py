"""
Choice: which request is built next, on which slave, and why the others wait.

The dispatcher asks whenever something changes.  It goes through the waiting requests, most urgent first; submitters
take turns (``turns``).  Each gets either a slave and its locks, and its build starts, or a `WaitReason`, which clients
see.

An obstacle to one request of a builder is an obstacle to its less urgent ones that need the same: the same locks, on
the same slaves.  So only the first request of each kind is looked at, and its reason holds for the rest; a long list of
one builder costs the others nothing.  Only with a ``canStartBuild``, each request is looked at.
"""

from collections.abc import Callable, Iterator, Sequence

from attrs import define
from twisted.internet.interfaces import IReactorTime

from ...model import wait_reasons
from ...model.locks import LockUse
from ...model.wait_reasons import WaitReason
from ...storage.records.buildsets import Buildset
from ..builds.lock_lines import LockOwner
from ..builds.lock_waits import reason
from ..builds.locks import LockObstacle, Locks
from ..config.generations import Generations
from ..config.objects import BuilderConfig
from ..slaves.member import Member
from ..slaves.registry import SlaveRegistry
from ..slaves.slots import Slot, Slots
from .builder_queue import WaitingRequest
from .can_start import CanStartAnswers
from .hold import Hold
from .lock_needs import LockNeedsTable
from .preferences import Preferences
from .queue import Queue
from .user_answers import GOOD_FOR, UserAnswers
from .wakeup import Wakeup

LOOK_FOR_ROOM = 5.0
"""Seconds after which the queue is examined again while a `Hold` is in force."""
ASK_AGAIN = 60.0
"""Seconds after which a ``canStartBuild`` that refused is called again."""


class BuildChoice:
    """
    Decides about the requests in *queue*.  *parent*: the request whose build waits for a buildset, if any.
    """

    def __init__(
        self,
        *,
        queue: Queue,
        slaves: SlaveRegistry,
        slots: Slots,
        locks: Locks,
        parent: Callable[[Buildset], int | None],
        can_start: CanStartAnswers,
        preferences: Preferences,
        answers: UserAnswers,
        generations: Generations,
        hold: Hold,
        wakeup: Wakeup,
        clock: IReactorTime,
    ) -> None:
        self._queue = queue
        self._slaves = slaves
        self._slots = slots
        self._locks = locks
        self._parent = parent
        self._can_start = can_start
        self._preferences = preferences
        self._answers = answers
        self._generations = generations
        self._hold = hold
        self._needs = LockNeedsTable(generations)
        self._wakeup = wakeup
        self._clock = clock
        self._warm: dict[str, str] = {}
        self._last_why: tuple[LockObstacle, WaitReason] | None = None
        self.decided = 0
        """How many times `choose` has begun: as long as it is the same, so is every reason."""

    def choose(self) -> Iterator[tuple[WaitingRequest, str]]:
        """
        The builds to start now, each with its slave; their slots and locks are taken.  Every other request gets its
        reason.
        """
        self.decided += 1
        again: list[float] = []
        hold_reason, builders = self._hold.reason(), self._generations.config.builders
        self._needs.begin()
        self._answers.begin()
        self._locks.serve()
        for each in self._queue.by_builder():
            removed = None if each.builder in builders else wait_reasons.no_builder(each.builder)
            each.begin(hold_reason or removed or self._hold.reason_of(each.builder))
        if hold_reason is not None and len(self._queue):
            again.append(LOOK_FOR_ROOM)
        in_line: set[int] = set()
        for position, waiting in enumerate(
            self._preferences.in_order(self._queue.by_builder(), self._generations.config)
        ):
            builder = builders[waiting.request.builder]
            if waiting.withdrawn:
                continue
            if (left := waiting.due - self._clock.seconds()) > 0:
                waiting.own = wait_reasons.back_off(left, waiting.request.retries)
                again.append(left)
            elif (slave := self._place(waiting, builder, position)) is not None:
                yield waiting, slave
            if waiting.in_line_on is not None:
                in_line.add(waiting.request.id)
            if left <= 0 and builder.can_start_build is not None and waiting.request.id in self._queue:
                again.append(GOOD_FOR if self._can_start.knows(waiting.request) else ASK_AGAIN)
        if self._needs.unfinished:
            again.append(0.0)
        if (rest := self._answers.again) is not None:
            again.append(rest)
        self._locks.retain(in_line)
        self._wakeup.set_after(min(again, default=None))

    def expected_order(self) -> Iterator[WaitingRequest]:
        """
        The requests in the order in which `choose` will look at them.  While it is read, none may come or go.
        """
        return self._preferences.expected_order(self._queue.by_builder(), self._generations.config)

    def _place(self, waiting: WaitingRequest, builder: BuilderConfig, position: int) -> str | None:
        """
        The slave on which *waiting* is built now: slot and locks are taken, and the request leaves the queue.
        """
        choice = self._choose_slave(waiting, builder, position)
        if isinstance(choice, WaitReason):
            waiting.own = choice
            return None
        member, uses = choice
        request = waiting.request.id
        self._queue.remove(request)
        waiting.own = wait_reasons.starting()
        self._warm[builder.name] = member.name
        self._preferences.turns.started(waiting)
        number = self._slots.free_number(member.name, builder.name) if builder.slotted else None
        self._slots.take(request, Slot(builder.name, builder.name, member.name, builder.directory, number))
        self._locks.take(LockOwner(request), uses)
        return member.name

    def _choose_slave(
        self, waiting: WaitingRequest, builder: BuilderConfig, position: int
    ) -> tuple[Member, Sequence[LockUse]] | WaitReason:
        before, waiting.in_line_on = waiting.in_line_on, None
        free, obstacles = self._free(waiting, builder)
        if not free:
            return waiting.siblings.no_slave(waiting.only, _nearest(obstacles, builder, waiting))
        if (needs := self._needs.of(waiting, builder)) is None:
            waiting.siblings.reason = wait_reasons.starting()
            return waiting.siblings.reason
        if len(free) > 1:
            warm = self._warm.get(builder.name)
            # The slave in whose line it already waits, then the least loaded, then the one with the newest checkout.
            free.sort(key=lambda each: (each.name != before, self._slots.count_on(each.name), each.name != warm))
        chosen = self._preferences.slaves(builder, waiting, free)
        if isinstance(chosen, WaitReason):
            return waiting.siblings.obstruct(waiting.kind, chosen)
        refused = False
        line = _Line(self._locks, waiting.request.id, (-self.decided, position), self._parent(waiting.buildset))
        for member in chosen:
            uses = needs.on[member.name]
            if isinstance(uses, WaitReason):
                obstacles.append(uses)
            elif (missing := line.ask(member.name, uses)) is not None:
                if (why := self._why(missing)) not in obstacles:
                    obstacles.append(why)
            elif allowed := self._can_start.allowed(builder, member.config, waiting):
                return member, uses
            else:
                refused = True
                no = wait_reasons.can_start_pending if allowed is None else wait_reasons.refused
                obstacles.append(no(member.name, builder.name))
        waiting.in_line_on = line.settle()
        nearest = _nearest(obstacles, builder, waiting)
        return nearest if refused else waiting.siblings.obstruct(waiting.kind, nearest)

    def _why(self, missing: LockObstacle) -> WaitReason:
        # Most requests of a long line wait for the same.
        if self._last_why is None or self._last_why[0] is not missing:
            self._last_why = missing, reason(missing, self._slots.label) or wait_reasons.starting()
        return self._last_why[1]

    def _free(self, waiting: WaitingRequest, builder: BuilderConfig) -> tuple[list[Member], list[WaitReason]]:
        """
        The slaves that could build *waiting* now, and the obstacles on the others.
        """
        free, obstacles = [], []
        for name in builder.slavenames:
            member = self._slaves.get(name)
            if member is None or (waiting.only is not None and name not in waiting.only):
                continue
            obstacle = member.obstacle() or member.other_machine(builder) or self._occupied(member, builder)
            if obstacle is None:
                free.append(member)
            else:
                obstacles.append(obstacle)
        return free, obstacles

    def _occupied(self, member: Member, builder: BuilderConfig) -> WaitReason | None:
        if not self._slots.count_on(member.name):
            return None
        running = self._slots.on(member.name)
        most = member.config.max_builds
        if most is not None and len(running) >= most:
            return wait_reasons.busy(member.name, [each.label for each in running])
        if builder.slotted:
            slotted = [each.label for each in running if each.number is not None]
            return wait_reasons.one_at_a_time(member.name, slotted[0]) if most is None and slotted else None
        if not builder.concurrent:
            same = [each.label for each in running if each.builder == builder.name]
            if same:
                return wait_reasons.builder_busy(member.name, same[0])
        return None


@define
class _Line:
    """
    One request asks for locks on one slave after the other.  It waits in line for the first that it could not have.
    """

    _locks: Locks
    _request: int
    _rank: tuple[int, int]
    _parent: int | None
    _first: tuple[str, Sequence[LockUse]] | None = None
    _last: Sequence[LockUse] | None = None
    _missing: LockObstacle | None = None

    def ask(self, slave: str, uses: Sequence[LockUse]) -> LockObstacle | None:
        """
        Why a build on *slave* cannot have *uses* now; None: it can.
        """
        if uses != self._last:
            self._last = uses
            self._missing = self._locks.ask(self._request, uses, rank=self._rank, parent=self._parent)
        if self._missing is not None and self._first is None:
            self._first = slave, uses
        return self._missing

    def settle(self) -> str | None:
        """
        The slave for whose locks the request waits in line, if for any.
        """
        if self._first is None:
            return None
        slave, uses = self._first
        self.ask(slave, uses)
        return slave


def _nearest(obstacles: Sequence[WaitReason], builder: BuilderConfig, waiting: WaitingRequest) -> WaitReason:
    if obstacles:
        return wait_reasons.nearest(obstacles)
    if waiting.only is not None:
        return wait_reasons.no_slave_of(builder.name, waiting.only)
    return wait_reasons.no_builder(builder.name)
