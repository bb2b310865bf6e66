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
    The base of schedulers that request builds at certain times.

    *onlyIfChanged*: request builds only if there was an important change since the previous ones; default False.
    *branch*, *repository*, *project*: the source of builds that are not for a change; or *codebases*.
    *change_filter*, *fileIsImportant*, *onlyImportant*, *createAbsoluteSourceStamps*: as for `SingleBranchScheduler`.
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
    Requests builds every *periodicBuildTimer* seconds, the first ones immediately.
    """

    def __init__(self, name: Any, builderNames: Any, periodicBuildTimer: Any, **more: Any) -> None:
        super().__init__(name, builderNames, **more)
        self.period = self.arguments.seconds("periodicBuildTimer", periodicBuildTimer, least=SHORTEST_PERIOD)


class Nightly(ClockScheduler):
    """
    Requests builds at times given by *minute*, *hour*, *dayOfMonth*, *month* and *dayOfWeek*, in local time.

    Each is a number, a list of numbers, or a text as in crontab(5): ``"*"``, ``"*/5"``, ``"1-5"``, ``"jan,dec"``,
    ``"mon-fri"``, ``"L"``.  *dayOfWeek*: 0 is Monday.  If both *dayOfMonth* and *dayOfWeek* are given, one of them is
    enough.  *force_at_minute* and so on: with *onlyIfChanged*, those of its times for which builds are requested even
    without a change.
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
    Requests builds at times given as for `Nightly`, of the sources with which a `Trigger` step last called it; none if
    no step has called it since the previous ones.
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
    The timetable for the arguments *values* of *scheduler*, in the order of `FIELDS`.  Mistakes in them are noted.
    """
    try:
        return Timetable.of_fields(**dict(zip(FIELDS, values, strict=True)))
    except ConfigError as error:
        scheduler.arguments.note(f"{error}.")
        return Timetable(("0 * * * *",))
