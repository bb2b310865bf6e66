"""
The interface of a scheduler to the engine, and the parts that most schedulers share.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from attrs import define, field, frozen
from twisted.logger import Logger

from ....model.change_view import ChangeView
from ....model.user_functions import error_text
from ....storage.records.changes import RecordedChange
from ....storage.records.pending_changes import PendingChange
from ...config.change_schedulers import ChangeChoice
from ...config.schedulers import BaseScheduler
from .decisions import Decisions

MOST_PENDING = 5000
"""Changes that wait for one scheduler.  Beyond that, the oldest unimportant ones are dropped."""


@frozen
class Memory:
    """
    The recorded state of one scheduler: its *state*, None for a new one, and the changes that wait for it.
    """

    state: Any = None
    pending: tuple[PendingChange, ...] = ()


@define(eq=False)
class Troubles:
    """
    The errors of one scheduler: they are logged, and the last one is kept for people.  *wall*: seconds since 1970.
    """

    scheduler: str
    wall: Callable[[], float]
    last: tuple[float, str] | None = None
    _log: Logger = field(factory=Logger)

    def add(self, sentence: str, *, traceback: bool = False) -> None:
        """
        Note *sentence*; with *traceback* log the exception that is being handled, too.
        """
        self.last = (self.wall(), sentence)
        if traceback:
            self._log.failure("scheduler {scheduler}: {why}", scheduler=self.scheduler, why=sentence)
        else:
            self._log.warn("scheduler {scheduler}: {why}", scheduler=self.scheduler, why=sentence)


class ActiveScheduler(Protocol):
    """
    A running scheduler.  Its methods decide; they do not wait.  The state in memory may be ahead of the records: after
    an error the engine makes new objects from the records.
    """

    @property
    def config(self) -> BaseScheduler:
        """
        The scheduler of the configuration.
        """

    @property
    def troubles(self) -> Troubles:
        """
        The errors of the scheduler.
        """

    def consider(self, recorded: RecordedChange, change: ChangeView, decisions: Decisions) -> None:
        """
        A change was recorded.
        """

    def due(self) -> float | None:
        """
        The time at which `act` has something to do, in seconds since 1970; None: there is no such time.
        """

    def act(self, decisions: Decisions) -> None:
        """
        Make the decisions that are due at ``decisions.now``.
        """

    def describe(self) -> Mapping[str, Any]:
        """
        The event that the scheduler waits for, as "waits_for", a sentence without a full stop, and "next", seconds
        since 1970 or None.
        """


def importance(choice: ChangeChoice, change: ChangeView, scheduler: BaseScheduler, troubles: Troubles) -> bool | None:
    """
    Whether *change* is important for *scheduler*; None: it does not take it.

    A function of the configuration that raises counts as a "no".
    """
    if change.untrusted and not scheduler.forks:
        return None
    try:
        if choice.filter is not None and choice.filter.why_not(change) is not None:
            return None
    except Exception as error:  # noqa: BLE001 - a function of the configuration
        troubles.add(
            f"its change_filter failed with change {change.number}, which it does not take therefore: "
            f"{error_text(error)}",
            traceback=True,
        )
        return None
    if change.codebase not in scheduler.codebases:
        if scheduler.has_codebases:
            return None
        known = ", ".join(map(repr, scheduler.codebases))
        troubles.add(
            f"change {change.number} is of the codebase {change.codebase!r:.100}, and its codebases are {known}: "
            "it does not take the change"
        )
        return None
    if choice.important is None:
        return True
    try:
        important = bool(choice.important(change))
    except Exception as error:  # noqa: BLE001 - a function of the configuration
        troubles.add(
            f"its fileIsImportant failed with change {change.number}, which counts as not important: "
            f"{error_text(error)}",
            traceback=True,
        )
        important = False
    return None if choice.only_important and not important else important
