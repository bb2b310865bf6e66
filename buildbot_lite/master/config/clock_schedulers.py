"""
The schedulers that request builds at certain times.
"""

# ruff: noqa: N803 - arguments keep Buildbot's names

from typing import Any

from ...errors import ConfigError
from .change_filter import NOT_A_BRANCH, ChangeFilter
from .change_schedulers import ChangeChoice
from .mistakes import remark
from .schedulers import BaseScheduler, Triggerable
from .timetable import FIELDS, Timetable

SHORTEST_PERIOD = 1.0
_DEFAULTS = (0, "*", "*", "*", "*")


class ClockScheduler(BaseScheduler):
    """
    Build requests at certain times.

    *onlyIfChanged*: only when an important change came since its previous builds; these are then of that change's
    branch and revision.  Otherwise they are of *branch* and *repository*, or what *codebases* says.  *change_filter*,
    *fileIsImportant*, *onlyImportant*, *createAbsoluteSourceStamps*: as for `SingleBranchScheduler`.
    """

    def __init__(
        self,
        name: Any,
        builderNames: Any,
        *,
        branch: Any = NOT_A_BRANCH,
        repository: Any = None,
        project: Any = None,
        onlyIfChanged: Any = False,
        fileIsImportant: Any = None,
        change_filter: Any = None,
        onlyImportant: Any = False,
        createAbsoluteSourceStamps: Any = False,
        **common: Any,
    ) -> None:
        super().__init__(name, builderNames, **common)
        if change_filter is None and branch is not NOT_A_BRANCH:
            change_filter = ChangeFilter(branch=branch)
        self.choice = ChangeChoice(self.arguments, change_filter, fileIsImportant, onlyImportant)
        self.only_if_changed = self.arguments.flag("onlyIfChanged", onlyIfChanged)
        self.absolute = self.arguments.flag("createAbsoluteSourceStamps", createAbsoluteSourceStamps)
        arguments = {
            "branch": None if branch is NOT_A_BRANCH else branch,
            "repository": repository,
            "project": project,
        }
        checked = {
            field: self.arguments.optional(self.arguments.text, field, value) for field, value in arguments.items()
        }
        self.stamp = {field: value for field, value in checked.items() if value is not None}


class Periodic(ClockScheduler):
    """
    Build requests every *periodicBuildTimer* seconds, the first at once.
    """

    def __init__(self, name: Any, builderNames: Any, periodicBuildTimer: Any, **more: Any) -> None:
        super().__init__(name, builderNames, **more)
        self.period = self.arguments.seconds("periodicBuildTimer", periodicBuildTimer, least=SHORTEST_PERIOD)


class Nightly(ClockScheduler):
    """
    Build requests at certain minutes, hours, days of the month, months, days of the week, by the master's local time.

    Each is a number, a list of numbers, or a text of cron's: ``"*"``, ``"*/5"``, ``"1-5"``, ``"jan,dec"``,
    ``"mon-fri"``, ``"L"``.  For *dayOfWeek* 0 is Monday.  When both *dayOfMonth* and *dayOfWeek* are given, either is
    enough.  *force_at_minute* and so on, with *onlyIfChanged*: at those of its times that these name, also without a
    change.
    """

    def __init__(
        self,
        name: Any,
        builderNames: Any,
        minute: Any = 0,
        hour: Any = "*",
        dayOfMonth: Any = "*",
        month: Any = "*",
        dayOfWeek: Any = "*",
        *,
        force_at_minute: Any = None,
        force_at_hour: Any = None,
        force_at_day_of_month: Any = None,
        force_at_month: Any = None,
        force_at_day_of_week: Any = None,
        **more: Any,
    ) -> None:
        super().__init__(name, builderNames, **more)
        self.timetable = timetable(self, (minute, hour, dayOfMonth, month, dayOfWeek))
        forced = (force_at_minute, force_at_hour, force_at_day_of_month, force_at_month, force_at_day_of_week)
        self.forced: Timetable | None = None
        if any(each is not None for each in forced):
            whole = [default if value is None else value for value, default in zip(forced, _DEFAULTS, strict=True)]
            self.forced = timetable(self, whole)
            if not self.only_if_changed:
                remark(
                    f"{self.arguments.owner}: force_at_… has no effect without onlyIfChanged=True: each time builds "
                    "anyway.",
                    self.place,
                )
            elif not self.forced.may_meet(self.timetable):
                remark(
                    f"{self.arguments.owner}: force_at_… ({self.forced}) names none of its times ({self.timetable}), "
                    "so nothing is forced.",
                    self.place,
                )


class NightlyTriggerable(Triggerable):
    """
    Build requests at certain times, as of `Nightly`, of the sources with which a `Trigger` step last called it; none
    when no step has called it since its previous builds.
    """

    def __init__(
        self,
        name: Any,
        builderNames: Any,
        minute: Any = 0,
        hour: Any = "*",
        dayOfMonth: Any = "*",
        month: Any = "*",
        dayOfWeek: Any = "*",
        **common: Any,
    ) -> None:
        super().__init__(name, builderNames, **common)
        self.timetable = timetable(self, (minute, hour, dayOfMonth, month, dayOfWeek))


def timetable(scheduler: BaseScheduler, values: Any) -> Timetable:
    """
    The timetable of a scheduler's arguments *values*, in the order of `FIELDS`; a mistake of *scheduler* is noted.
    """
    try:
        return Timetable.of_fields(**dict(zip(FIELDS, values, strict=True)))
    except ConfigError as error:
        scheduler.arguments.note(f"{error}.")
        return Timetable(("0 * * * *",))
