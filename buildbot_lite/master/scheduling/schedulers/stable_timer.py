"""
Schedulers that changes start: `SingleBranchScheduler` and `AnyBranchScheduler`.

Changes of one line of development (repository, branch, project, codebase; and forks apart) form a group with a timer of
its own.  Each change of a group restarts its timer; when it ends, all of the group is built.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

from attrs import define, field

from ....model.change_view import ChangeView
from ....model.source_stamps import Stamp
from ....storage.records.changes import RecordedChange
from ...config.change_schedulers import SingleBranchScheduler
from .active import MOST_PENDING, Memory, Troubles, importance
from .decisions import Decisions
from .submitting import Firing, reason_for, stamp_of, stamps_for

Line: TypeAlias = tuple[str, str | None, str, str, bool]


@define(eq=False)
class ChangeGroup:
    """
    The changes of one line that wait.  *last*: when the newest came, in seconds since 1970.  *important*: whether one
    of them is.
    """

    changes: list[tuple[RecordedChange, bool]] = field(factory=list)
    last: float = 0.0

    @property
    def important(self) -> bool:
        """
        Whether one of them is important.
        """
        return any(important for _, important in self.changes)

    def add(self, recorded: RecordedChange, when: float, *, important: bool) -> None:
        """
        *recorded* came at *when*.
        """
        self.changes.append((recorded, important))
        self.last = max(self.last, when)

    def take(self, *, together: bool) -> list[list[RecordedChange]]:
        """
        Remove and return the changes of each build: all in one, or *not together*: each important change in its own,
        with those before it that are not important; those after the last important one stay.
        """
        if together:
            taken, self.changes = [[recorded for recorded, _ in self.changes]], []
            return taken
        taken, rest = [], self.changes
        self.changes = []
        for each in rest:
            self.changes.append(each)
            if each[1]:
                taken.append([recorded for recorded, _ in self.changes])
                self.changes = []
        return taken


class StableTimerScheduler:
    """
    *config* at work: the role `ActiveScheduler`.
    """

    def __init__(self, config: SingleBranchScheduler, memory: Memory, troubles: Troubles) -> None:
        self.config = config
        self.troubles = troubles
        self._groups: dict[Line, ChangeGroup] = {}
        self._codebases: dict[str, Stamp] = dict((memory.state or {}).get("codebases", {}))
        self._count = len(memory.pending)
        for each in memory.pending:
            self._group(each.recorded).add(each.recorded, each.added, important=each.important)

    def consider(self, recorded: RecordedChange, change: ChangeView, decisions: Decisions) -> None:
        important = importance(self.config.choice, change, self.config, self.troubles)
        if important is None:
            return
        # The revision of a fork must not be used for later builds, which may use secrets.
        if self.config.absolute and not recorded.change.untrusted:
            self._codebases[change.codebase] = stamp_of(recorded)
            decisions.keep_state(self.config.name, {"codebases": self._codebases})
        group = self._group(recorded)
        group.add(recorded, decisions.now, important=important)
        if important and self.config.tree_stable_timer is None:
            self._fire(_line(recorded), decisions, unrecorded=recorded.id)
        else:
            decisions.wait(self.config.name, recorded.id, important=important)
            self._bound(decisions)

    def due(self) -> float | None:
        timer = self.config.tree_stable_timer or 0.0
        return min((group.last + timer for group in self._groups.values() if group.important), default=None)

    def act(self, decisions: Decisions) -> None:
        timer = self.config.tree_stable_timer or 0.0
        for line, group in tuple(self._groups.items()):
            # A clock that was set back must not extend the timer.
            group.last = min(group.last, decisions.now)
            if group.important and group.last + timer <= decisions.now:
                self._fire(line, decisions)

    def describe(self) -> Mapping[str, Any]:
        waiting = sum(len(group.changes) for group in self._groups.values() if group.important)
        if waiting == 0:
            return {"waits_for": "a change", "next": None}
        many = "1 change waits" if waiting == 1 else f"{waiting} changes wait"
        return {"waits_for": f"{self.config.tree_stable_timer or 0:g} s without a change; {many}", "next": self.due()}

    def _fire(self, line: Line, decisions: Decisions, unrecorded: int | None = None) -> None:
        """
        Build the changes of *line*.  *unrecorded*: the one that is not recorded as waiting.

        Without a timer each important change is built by itself, also those that have waited since the configuration
        had one.
        """
        group = self._groups[line]
        for changes in group.take(together=self.config.tree_stable_timer is not None):
            waiting = [each.id for each in changes if each.id != unrecorded]
            self._count -= len(waiting)
            if waiting:
                decisions.drop(self.config.name, waiting)
            decisions.fire(
                Firing(
                    scheduler=self.config,
                    stamps=stamps_for(self.config, changes, self._codebases),
                    reason=reason_for(self.config, changes),
                    changes=changes,
                    untrusted=changes[-1].change.untrusted,
                )
            )
        if not group.changes:
            del self._groups[line]

    def _group(self, recorded: RecordedChange) -> ChangeGroup:
        return self._groups.setdefault(_line(recorded), ChangeGroup())

    def _bound(self, decisions: Decisions) -> None:
        self._count += 1
        if self._count <= MOST_PENDING:
            return
        old = [
            (each.id, line)
            for line, group in self._groups.items()
            for each, important in group.changes
            if not important
        ]
        if old:
            oldest, line = min(old)
            group = self._groups[line]
            group.changes = [(each, important) for each, important in group.changes if each.id != oldest]
            if not group.changes:
                del self._groups[line]
            decisions.drop(self.config.name, [oldest])
            self._count -= 1


def _line(recorded: RecordedChange) -> Line:
    change = recorded.change
    return change.repository, change.branch, change.project, change.codebase, change.untrusted
