"""
Schedulers that a finished buildset of another scheduler starts: `Dependent`.

Buildsets end in any order, so a scheduler reads on in their numbers and keeps the numbers of those that had not ended.
"""

from collections.abc import Collection, Mapping
from typing import Any

from ....model.change_view import ChangeView
from ....model.results import Result
from ....model.source_stamps import is_untrusted, slaves_of, stamps_of
from ....storage.records.buildsets import Buildset
from ....storage.records.changes import RecordedChange
from ...config.schedulers import Dependent
from .active import Memory, Troubles
from .decisions import Decisions
from .submitting import Firing, stamps_for

GOOD = frozenset({Result.SUCCESS, Result.WARNINGS})


class DependentScheduler:
    """
    *config* at work: the role `ActiveScheduler`.  *newest*: the number of the newest buildset, with which a new one
    begins.
    """

    def __init__(self, config: Dependent, memory: Memory, troubles: Troubles, *, newest: int) -> None:
        self.config = config
        self.troubles = troubles
        state = memory.state or {}
        if state.get("upstream") != config.upstream:
            state = {}
        self._new = not state
        self.seen: int = state.get("seen", newest)
        self.watched: set[int] = set(state.get("watched", ()))

    def consider(self, recorded: RecordedChange, change: ChangeView, decisions: Decisions) -> None:
        pass

    def due(self) -> float | None:
        return 0.0 if self._new else None

    def act(self, decisions: Decisions) -> None:
        if self._new:
            self._new = False
            self._keep(decisions)

    def submitted(self, buildsets: Collection[int], newest: int, decisions: Decisions) -> None:
        """
        *buildsets* of its upstream are there, with numbers above `seen` and up to *newest*.
        """
        self.seen = newest
        if buildsets:
            self.watched.update(buildsets)
            self._keep(decisions)

    def ended(self, buildset: Buildset, changes: tuple[RecordedChange, ...], decisions: Decisions) -> None:
        """
        *buildset*, one of `watched`, ended; it built *changes*.
        """
        self.watched.discard(buildset.id)
        self._keep(decisions)
        if buildset.result not in GOOD:
            return
        untrusted = is_untrusted(buildset.source)
        if untrusted and not self.config.forks:
            self.troubles.add(
                f"buildset {buildset.id} built code from a fork, which it does not take: it has no forks=True"
            )
            return
        decisions.fire(
            Firing(
                scheduler=self.config,
                stamps=stamps_for(self.config, ()) | stamps_of(buildset.source),
                reason=f"{self.config.kind} {self.config.name!r}: {self.config.upstream!r} was good",
                changes=changes,
                untrusted=untrusted,
                slaves=slaves_of(buildset.source),
                input=buildset.input,
            )
        )

    def describe(self) -> Mapping[str, Any]:
        running = f" ({len(self.watched)} unfinished)" if self.watched else ""
        return {"waits_for": f"a good end of {self.config.upstream!r}{running}", "next": None}

    def _keep(self, decisions: Decisions) -> None:
        state = {"upstream": self.config.upstream, "seen": self.seen, "watched": sorted(self.watched)}
        decisions.keep_state(self.config.name, state)
