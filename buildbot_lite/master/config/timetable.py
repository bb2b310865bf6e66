"""
Timetables: the times of a `Nightly` scheduler, given by minute, hour, dayOfMonth, month and dayOfWeek.

The fields are those of cron, and changes of the clock are treated nearly as cron does (crontab(5), cron(8)).  With
fixed hours, each time occurs once: a time that the local clock skips occurs immediately after the gap, and one that it
shows twice occurs the first time only.  With every hour, a time occurs whenever the local clock shows it.

Three rules differ from cron's.  "Every hour" means that the hour field allows all hours, not that a field begins with
``*``; so ``*/15`` minutes past two are neither skipped in spring nor repeated in autumn.  In dayOfWeek, 0 is Monday.
If both dayOfMonth and dayOfWeek are given, one of them is enough, even if one begins with ``*``.

(Rejected: cronsim's own arithmetic with time zones.  It loses times where clocks change by half an hour or at
midnight.)
"""

import io
import math
import os
import re
import struct
from bisect import bisect_left
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from attrs import field, frozen
from cronsim import CronSim, CronSimError
from twisted.logger import Logger

from ...errors import ConfigError

_log = Logger()
_HOURS = 24
_SECOND = timedelta(seconds=1)
_HALF_A_DAY = 43_200

FIELDS = ("minute", "hour", "dayOfMonth", "month", "dayOfWeek")
_RANGES = {"minute": (0, 59), "hour": (0, 23), "dayOfMonth": (1, 31), "month": (1, 12), "dayOfWeek": (0, 6)}
_NUMBER = re.compile(r"\d+\Z")
_DAYS = re.compile(r"\d+-\d+(/\d+)?\Z")


def local_zone() -> tzinfo:
    """
    The time zone of this machine: that of the variable TZ (tzset(3)), or else of /etc/localtime.  If it is unknown, it
    is UTC, and the log says so.
    """
    name = os.environ.get("TZ", "").removeprefix(":")
    place = name if name.startswith("/") else "/etc/localtime"
    try:
        if name and not name.startswith("/"):
            return _zone_named(name)
        with open(place, "rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, ValueError, KeyError):
        _log.warn("the time zone {zone} is unknown: times in master.cfg are in UTC.", zone=name or place)
        return UTC


def _zone_named(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        # A rule such as CET-1CEST,M3.5.0,M10.5.0/3 is the footer of a zone's file (RFC 8536, section 3.3).
        header = b"TZif2" + bytes(15) + struct.pack(">6l", 0, 0, 0, 0, 1, 4)
        only_type = struct.pack(">lBB", 0, 0, 0) + b"UTC\0"
        return ZoneInfo.from_file(io.BytesIO((header + only_type) * 2 + b"\n" + name.encode() + b"\n"), key=name)


@frozen
class Timetable:
    """
    The times of all of these cron *expressions* together.
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
                raise ConfigError(f"{expression!r:.100} is a time that never occurs") from None

    @classmethod
    def of_fields(cls, **fields: Any) -> "Timetable":
        """
        The timetable for arguments of `Nightly`: each a number, a list of numbers, or a text as in crontab(5).
        `ConfigError` if one of them cannot be read.
        """
        texts = {name: _text(name, fields[name]) for name in FIELDS}
        days, weekdays = texts["dayOfMonth"], texts["dayOfWeek"]
        if days != "*" and weekdays != "*" and (days.startswith("*") or weekdays.startswith("*")):
            # In one expression, cron(8) would require both.
            either: tuple[dict[str, str], ...] = ({**texts, "dayOfWeek": "*"}, {**texts, "dayOfMonth": "*"})
        else:
            either = (texts,)
        return cls(tuple(" ".join(each[name] for name in FIELDS) for each in either))

    def next_after(self, seconds: float, zone: tzinfo) -> float:
        """
        The first time after *seconds*; both in seconds since 1970.
        """
        return float(min(_next_after(expression, math.floor(seconds), zone) for expression in self.expressions))

    def may_meet(self, other: "Timetable") -> bool:
        """
        False: by its fields it has no time in common with *other*.
        """
        return any(_may_meet(one, two) for one in self.expressions for two in other.expressions)

    def __str__(self) -> str:
        return " or ".join(self.expressions)


def _may_meet(one: str, two: str) -> bool:
    names = ["minutes", "hours", "months"]
    # Otherwise the day of the month or that of the week is enough.
    if all("*" in (days, weekdays) for _, _, days, _, weekdays in (one.split(), two.split())):
        names += ["days", "weekdays"]
    first, second = (CronSim(each, datetime(2000, 1, 1, tzinfo=UTC)) for each in (one, two))
    return all(_overlap(getattr(first, name), getattr(second, name)) for name in names)


def _overlap(one: AbstractSet[Any], two: AbstractSet[Any]) -> bool:
    """
    Whether two sets of a field's values may have one in common; the last day and the nth weekday of a month may be any.
    """
    special = any(isinstance(each, tuple) or each < 0 for each in one | two)
    return special or not one.isdisjoint(two)


def _next_after(expression: str, seconds: int, zone: tzinfo) -> int:
    every_hour = len(CronSim(expression, _local(seconds, zone)).hours) == _HOURS
    return _next_shown(expression, seconds, zone) if every_hour else _next_reached(expression, seconds, zone)


def _next_reached(expression: str, seconds: int, zone: tzinfo) -> int:
    """
    The first time after *seconds* at which the local clock reaches a time of *expression* for the first time.
    """
    times = CronSim(expression, _local(seconds, zone))
    return next(found for each in times if (found := _reached(each, zone)) > seconds)


def _next_shown(expression: str, seconds: int, zone: tzinfo) -> int:
    """
    The first time after *seconds* at which the local clock shows a time of *expression*.
    """
    begin = seconds + 1
    while True:
        local = _local(begin, zone)
        shown = next(CronSim(expression, local - _SECOND))
        found = begin + int((shown - local).total_seconds())
        change = _next_change(begin, found, zone)
        if change is None:
            return found
        begin = change


def _reached(local: datetime, zone: tzinfo) -> int:
    """
    When the local clock first shows *local*; if it skips *local*, the time immediately after the gap.
    """
    found = int(local.replace(tzinfo=zone).timestamp())
    if _local(found, zone) == local:
        return found
    # PEP 495: for a skipped time, fold=1 gives a time before the gap, and fold=0 one after it.
    before = int(local.replace(tzinfo=zone, fold=1).timestamp())
    return _next_change(before, found, zone) or found


def _next_change(begin: int, end: int, zone: tzinfo) -> int | None:
    """
    The first time after *begin* and not after *end* at which the offset from UTC changes; None if there is none.
    """
    offset, since = _offset(begin, zone), begin
    for until in (*range(begin + _HALF_A_DAY, end, _HALF_A_DAY), end):
        if _offset(until, zone) != offset:
            return bisect_left(range(until), True, since, key=lambda each: _offset(each, zone) != offset)
        since = until
    return None


def _local(seconds: int, zone: tzinfo) -> datetime:
    """
    The date and time that the local clock shows.
    """
    return datetime.fromtimestamp(seconds, zone).replace(tzinfo=None, fold=0)


def _offset(seconds: int, zone: tzinfo) -> timedelta | None:
    return datetime.fromtimestamp(seconds, zone).utcoffset()


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
