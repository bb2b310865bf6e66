"""
Choice: which request is built next, on which slave, and why the others wait.

The dispatcher asks whenever something changes.  The waiting requests are looked at, most urgent first: each gets either
a slave and its locks, and its build starts, or a `WaitReason`, which is what clients see.

An obstacle to one request of a builder is an obstacle to its less urgent ones, unless something decides about each
(``canStartBuild``, locks that are rendered, or a source that only some slaves may build).  So a builder's list is read
only up to the first request that cannot start, and that reason holds for the rest.  A long list of one builder costs
the others nothing.
"""

from collections.abc import Callable, Iterator, Sequence

from twisted.internet.interfaces import IReactorTime

from ...errors import BuildbotLiteError
from ...model import wait_reasons
from ...model.locks import LockUse
from ...model.rendering import View, is_renderable, render_now
from ...model.source_stamps import slaves_of, stamps_of
from ...model.wait_reasons import WaitReason
from ...storage.records.builds import Build
from ...storage.records.requests import Buildset
from ..builds.lock_waits import reason
from ..builds.locks import LockOwner, Locks
from ..config.arguments import ArgumentChecker
from ..config.generations import Generations
from ..config.locks import checked_accesses, uses_on
from ..config.objects import BuilderConfig
from ..slaves.registry import Member, SlaveRegistry
from ..slaves.slots import Slot, Slots
from .can_start import GOOD_FOR, CanStartAnswers
from .hold import Hold
from .preferences import Preferences
from .preparation import properties_of
from .queue import Queue, WaitingRequest
from .wakeup import Wakeup

LOOK_FOR_ROOM = 5.0
"""Seconds after which the queue is looked at again while a `Hold` is in force."""
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
        self._generations = generations
        self._hold = hold
        self._wakeup = wakeup
        self._clock = clock
        self._warm: dict[str, str] = {}
        self.decided = 0
        """How many times `choose` has begun: as long as it is the same, so is every reason."""

    def choose(self) -> Iterator[tuple[WaitingRequest, str]]:
        """
        The builds to start now, each with its slave; their slots and locks are taken.  Every other request gets its
        reason.
        """
        self.decided += 1
        again: list[float] = []
        hold, builders = self._hold.reason(), self._generations.config.builders
        self._locks.serve()
        for each in self._queue.by_builder():
            gone = None if each.builder in builders else wait_reasons.no_builder(each.builder)
            each.reason = hold or gone
        if hold is not None and len(self._queue):
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
                again.append(GOOD_FOR if self._can_start.knows(waiting.request.id) else ASK_AGAIN)
        self._locks.retain(in_line)
        self._wakeup.set_after(min(again, default=None))

    def _place(self, waiting: WaitingRequest, builder: BuilderConfig, position: int) -> str | None:
        """
        The slave on which *waiting* is built now: slot and locks are taken, and the request leaves the queue.
        """
        choice = self._choose_slave(waiting, builder, position)
        if isinstance(choice, WaitReason):
            waiting.own = choice
            alone = is_renderable(builder.locks) or slaves_of(waiting.buildset.source) is not None
            if builder.can_start_build is None and not alone:
                waiting.siblings.reason = choice
            return None
        member, uses = choice
        request = waiting.request.id
        self._queue.remove(request)
        waiting.own = wait_reasons.starting()
        self._warm[builder.name] = member.name
        self._slots.take(request, Slot(builder.name, builder.name, member.name))
        self._locks.take(LockOwner(request), uses)
        return member.name

    def _choose_slave(
        self, waiting: WaitingRequest, builder: BuilderConfig, position: int
    ) -> tuple[Member, Sequence[LockUse]] | WaitReason:
        before, waiting.in_line_on = waiting.in_line_on, None
        only = slaves_of(waiting.buildset.source)
        obstacles: list[WaitReason] = []
        free: list[Member] = []
        for name in builder.slavenames:
            member = self._slaves.get(name)
            if member is None or (only is not None and name not in only):
                continue
            obstacle = member.obstacle() or self._occupied(member, builder)
            if obstacle is None:
                free.append(member)
            else:
                obstacles.append(obstacle)
        locked: list[tuple[Member, Sequence[LockUse]]] = []
        free.sort(key=lambda each: (each.name != before, *self._preference(each, builder)))
        chosen = self._preferences.slaves(builder, waiting, free)
        if isinstance(chosen, WaitReason):
            return chosen
        for member in chosen:
            uses = self._uses(waiting, builder, member)
            if isinstance(uses, WaitReason):
                obstacles.append(uses)
                continue
            if (missing := self._missing(waiting, uses, position)) is not None:
                obstacles.append(missing)
                locked.append((member, uses))
                continue
            allowed = self._can_start.allowed(builder, member.config, waiting.request)
            if allowed:
                return member, uses
            no = wait_reasons.can_start_pending if allowed is None else wait_reasons.refused
            obstacles.append(no(member.name, builder.name))
        for member, uses in locked[:1]:
            # It waits in line for one slave, even if it was asked about several.
            waiting.in_line_on = member.name
            self._missing(waiting, uses, position)
        if only is not None and not obstacles:
            return wait_reasons.no_slave_of(builder.name, only)
        return wait_reasons.nearest(obstacles) if obstacles else wait_reasons.no_builder(builder.name)

    def _uses(self, waiting: WaitingRequest, builder: BuilderConfig, member: Member) -> Sequence[LockUse] | WaitReason:
        """
        What a build of *waiting* needs of locks on that slave; or why that is not known.
        """
        accesses = builder.locks
        if is_renderable(accesses):
            row = Build(0, waiting.request.id, builder.name, 0, member.name, "", "", "", 0.0, None, None, "", {})
            properties = properties_of(self._generations.config, row, waiting.buildset)
            view = View(properties, sources=stamps_of(waiting.buildset.source), slave={"name": member.name})
            try:
                rendered = render_now(accesses, view)
                accesses = checked_accesses(ArgumentChecker(f"The builder {builder.name!r}"), "locks", rendered or ())
            except BuildbotLiteError as error:
                return wait_reasons.locks_unknown(builder.name, str(error))
        return uses_on(member.name, accesses, member.config.locks)

    def _missing(self, waiting: WaitingRequest, uses: Sequence[LockUse], position: int) -> WaitReason | None:
        obstacle = self._locks.ask(waiting.request.id, uses, rank=(position,), parent=self._parent(waiting.buildset))
        return reason(obstacle, self._slots.label)

    def _occupied(self, member: Member, builder: BuilderConfig) -> WaitReason | None:
        running = self._slots.on(member.name)
        most = member.config.max_builds
        if most is not None and len(running) >= most:
            return wait_reasons.busy(member.name, [each.label for each in running])
        if not builder.concurrent:
            same = [each.label for each in running if each.builder == builder.name]
            if same:
                return wait_reasons.builder_busy(member.name, same[0])
        return None

    def _preference(self, member: Member, builder: BuilderConfig) -> tuple[int, bool]:
        # The least loaded; of equals the one with the newest checkout.
        return len(self._slots.on(member.name)), self._warm.get(builder.name) != member.name
