"""
Timetables: the times that a `Nightly` scheduler means by its minute, hour, dayOfMonth, month and dayOfWeek.

The fields are cron's, and so is what happens when clocks change (crontab(5), cron(8)): a time that a spring day does
not have comes right after the gap, a time that an autumn day has twice comes once; "every hour" and "every five
minutes" are not interrupted.  Two rules are not cron's: 0 is Monday in numbers for dayOfWeek, and when both dayOfMonth
and dayOfWeek are given, either is enough, also where one of them begins with ``*``.
"""

import os
import re
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from attrs import field, frozen
from cronsim import CronSim, CronSimError

from ...errors import ConfigError

FIELDS = ("minute", "hour", "dayOfMonth", "month", "dayOfWeek")
_RANGES = {"minute": (0, 59), "hour": (0, 23), "dayOfMonth": (1, 31), "month": (1, 12), "dayOfWeek": (0, 6)}
_NUMBER = re.compile(r"\d+\Z")
_DAYS = re.compile(r"\d+-\d+(/\d+)?\Z")


def local_zone() -> tzinfo:
    """
    The time zone of this machine: of the variable TZ or, without it, of /etc/localtime; UTC when neither is known.
    """
    name = os.environ.get("TZ", "").removeprefix(":")
    try:
        if name and not name.startswith("/"):
            return ZoneInfo(name)
        with open(name or "/etc/localtime", "rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, ValueError, KeyError):
        return UTC


@frozen
class Timetable:
    """
    The times that all of these cron *expressions* mean together.
    """

    expressions: tuple[str, ...] = field()

    @expressions.validator
    def _check(self, attribute: object, value: tuple[str, ...]) -> None:
        for expression in value:
            try:
                next(CronSim(expression, datetime(2000, 1, 1, tzinfo=UTC)))
            except CronSimError as error:
                raise ConfigError(f"{str(error).removeprefix('Bad ')} cannot be read in {expression!r:.100}") from None
            except StopIteration:
                raise ConfigError(f"{expression!r:.100} is a time that never comes") from None

    @classmethod
    def of_fields(cls, **fields: Any) -> "Timetable":
        """
        The timetable of Nightly's arguments: numbers, lists of them, or cron's texts.  `ConfigError` says which of them
        cannot be read.
        """
        texts = {name: _text(name, fields[name]) for name in FIELDS}
        days, weekdays = texts["dayOfMonth"], texts["dayOfWeek"]
        if days != "*" and weekdays != "*" and (days.startswith("*") or weekdays.startswith("*")):
            # cron(8) would take the days that are both.
            either: tuple[dict[str, str], ...] = ({**texts, "dayOfWeek": "*"}, {**texts, "dayOfMonth": "*"})
        else:
            either = (texts,)
        return cls(tuple(" ".join(each[name] for name in FIELDS) for each in either))

    def next_after(self, seconds: float, zone: tzinfo) -> float:
        """
        The first time after *seconds*; both in seconds since 1970.
        """
        return min(_next_after(expression, seconds, zone) for expression in self.expressions)

    def __str__(self) -> str:
        return " or ".join(self.expressions)


def _next_after(expression: str, seconds: float, zone: tzinfo) -> float:
    # In the second of two equal hours in autumn, the first answers may be in the first of them.
    times = CronSim(expression, datetime.fromtimestamp(seconds, zone))
    return next(timestamp for each in times if (timestamp := each.timestamp()) > seconds)


def _text(name: str, value: Any) -> str:
    if isinstance(value, (list, tuple, range, set, frozenset)):
        parts = [_one(name, each) for each in (sorted(value) if isinstance(value, (set, frozenset)) else value)]
        if not parts:
            raise ConfigError(f"{name} is an empty list")
        return ",".join(parts)
    if isinstance(value, str):
        return ",".join(_one(name, each.strip()) for each in value.split(","))
    return _one(name, value)


def _one(name: str, value: Any) -> str:
    first, last = _RANGES[name]
    if isinstance(value, str) and not _NUMBER.match(value):
        if name == "dayOfWeek":
            return _weekday(value)
        return value
    if isinstance(value, bool) or not isinstance(value, (int, str)) or not first <= int(value) <= last:
        raise ConfigError(
            f"{name} must be a number from {first} to {last}, a list of them, or cron's text, not {value!r:.60}"
        )
    return str((int(value) + 1) % 7 if name == "dayOfWeek" else int(value))


def _weekday(text: str) -> str:
    if _DAYS.match(text):
        raise ConfigError(
            f"dayOfWeek has {text!r:.60}: does it count from Sunday, as cron, or from Monday?  Write names, "
            "like 'mon-fri', or a list of numbers, where 0 is Monday"
        )
    last = re.fullmatch(r"[Ll](\d)", text)
    return f"{last[1]}L" if last else text
