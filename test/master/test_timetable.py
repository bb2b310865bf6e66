"""
The times of Nightly, whatever the clock does.
"""

from datetime import datetime, tzinfo
from functools import partial
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import ConfigError
from buildbot_lite.master.config.timetable import Timetable
from buildbot_lite.master.scheduling.schedulers.clock_times import FiringTimes

BERLIN: tzinfo = ZoneInfo("Europe/Berlin")
UTC: tzinfo = ZoneInfo("UTC")


def at(text: str, zone: tzinfo = UTC, fold: int = 0) -> float:
    """
    The seconds since 1970 of a local time.
    """
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp()


def table(**fields: Any) -> Timetable:
    """
    The timetable with Nightly's defaults.
    """
    return Timetable.of_fields(
        **{"minute": 0, "hour": "*", "dayOfMonth": "*", "month": "*", "dayOfWeek": "*", **fields}
    )


class FieldTests(SynchronousTestCase):
    """
    A table with a row for each form of each field: the first time after Thursday, 2026-01-01 00:00.
    """

    TABLE: ClassVar[list[tuple[dict[str, Any], str]]] = [
        ({}, "2026-01-01 01:00"),
        ({"minute": 23}, "2026-01-01 00:23"),
        ({"minute": "*/5"}, "2026-01-01 00:05"),
        ({"minute": [30, 15]}, "2026-01-01 00:15"),
        ({"minute": "20-30/5"}, "2026-01-01 00:20"),
        ({"minute": "7"}, "2026-01-01 00:07"),
        ({"hour": 3}, "2026-01-01 03:00"),
        ({"hour": [6, 8], "minute": 23}, "2026-01-01 06:23"),
        ({"hour": range(2, 24, 2)}, "2026-01-01 02:00"),
        ({"hour": "*/7"}, "2026-01-01 07:00"),
        ({"hour": "5,22"}, "2026-01-01 05:00"),
        ({"hour": {9, 10}}, "2026-01-01 09:00"),
        ({"dayOfMonth": 24, "month": 12, "hour": 12}, "2026-12-24 12:00"),
        ({"dayOfMonth": "L", "hour": 0}, "2026-01-31 00:00"),
        ({"month": "jan,dec", "dayOfMonth": 2, "hour": 1}, "2026-01-02 01:00"),
        ({"month": "feb-mar", "hour": 0, "dayOfMonth": 1}, "2026-02-01 00:00"),
        ({"dayOfWeek": 0, "hour": 0}, "2026-01-05 00:00"),
        ({"dayOfWeek": "0", "hour": 0}, "2026-01-05 00:00"),
        ({"dayOfWeek": [5, 6], "hour": 0}, "2026-01-03 00:00"),
        ({"dayOfWeek": "5,6", "hour": 0}, "2026-01-03 00:00"),
        ({"dayOfWeek": 6, "hour": 0}, "2026-01-04 00:00"),
        ({"dayOfWeek": "mon-fri", "hour": 0}, "2026-01-02 00:00"),
        ({"dayOfWeek": "mon,sun", "hour": 0}, "2026-01-04 00:00"),
        ({"dayOfWeek": "1#1", "hour": 0}, "2026-01-05 00:00"),
        ({"dayOfWeek": "L1", "hour": 0}, "2026-01-26 00:00"),
        ({"dayOfWeek": "5,sun", "hour": 0}, "2026-01-03 00:00"),
        ({"dayOfMonth": 20, "dayOfWeek": 1, "hour": 0}, "2026-01-06 00:00"),
        ({"dayOfMonth": "*/20", "dayOfWeek": 0, "hour": 0}, "2026-01-05 00:00"),
    ]

    def test_table(self) -> None:
        """
        Promise 8.2: each field takes numbers, lists and cron's texts; 0 is Monday, and of two kinds of
        days either is enough.
        """
        for fields, expected in self.TABLE:
            with self.subTest(fields):
                self.assertEqual(table(**fields).next_after(at("2026-01-01 00:00"), UTC), at(expected))

    def test_mistakes(self) -> None:
        """
        What is no time is a mistake, and so is a range of days of which it is not clear with which day it begins.
        """
        wrong: list[tuple[dict[str, Any], str]] = [
            ({"minute": 60}, "minute must be a number from 0 to 59"),
            ({"hour": "24"}, "hour must be a number from 0 to 23"),
            ({"hour": None}, "hour must be a number"),
            ({"minute": True}, "minute must be a number"),
            ({"minute": "sometimes"}, "cannot be read"),
            ({"hour": []}, "hour is an empty list"),
            ({"dayOfWeek": 7}, "dayOfWeek must be a number from 0 to 6"),
            ({"dayOfWeek": "1-5"}, "Write names, like 'mon-fri'"),
            ({"dayOfMonth": 31, "month": 2}, "31 2 *"),
        ]
        for fields, sentence in wrong:
            with self.subTest(fields):
                self.assertIn(sentence, str(self.assertRaises(ConfigError, table, **fields)))


class DaylightTests(SynchronousTestCase):
    """
    Summer time in Berlin: 2026-03-29 02:00 becomes 03:00, 2026-10-25 03:00 becomes 02:00.
    """

    TABLE: ClassVar[list[tuple[str, dict[str, Any], str, list[tuple[str, int]]]]] = [
        (
            "spring: before",
            {"hour": 1, "minute": 30},
            "2026-03-28 12:00",
            [("2026-03-29 01:30", 0), ("2026-03-30 01:30", 0)],
        ),
        (
            "spring: in the gap",
            {"hour": 2, "minute": 30},
            "2026-03-28 12:00",
            [("2026-03-29 03:00", 0), ("2026-03-30 02:30", 0)],
        ),
        (
            "spring: two in the gap",
            {"hour": 2, "minute": [15, 45]},
            "2026-03-29 00:00",
            [("2026-03-29 03:00", 0), ("2026-03-30 02:15", 0)],
        ),
        (
            "spring: after",
            {"hour": 3, "minute": 0},
            "2026-03-29 00:00",
            [("2026-03-29 03:00", 0), ("2026-03-30 03:00", 0)],
        ),
        (
            "spring: hourly",
            {},
            "2026-03-29 00:30",
            [("2026-03-29 01:00", 0), ("2026-03-29 03:00", 0), ("2026-03-29 04:00", 0)],
        ),
        (
            "autumn: before",
            {"hour": 1, "minute": 30},
            "2026-10-25 00:00",
            [("2026-10-25 01:30", 0), ("2026-10-26 01:30", 0)],
        ),
        (
            "autumn: twice",
            {"hour": 2, "minute": 30},
            "2026-10-25 00:00",
            [("2026-10-25 02:30", 0), ("2026-10-26 02:30", 0)],
        ),
        (
            "autumn: hourly",
            {},
            "2026-10-25 01:30",
            [("2026-10-25 02:00", 0), ("2026-10-25 02:00", 1), ("2026-10-25 03:00", 0)],
        ),
        (
            "autumn: half-hourly",
            {"minute": "*/30"},
            "2026-10-25 02:15",
            [("2026-10-25 02:30", 0), ("2026-10-25 02:00", 1), ("2026-10-25 02:30", 1), ("2026-10-25 03:00", 0)],
        ),
        ("autumn: after", {"hour": 3}, "2026-10-25 00:00", [("2026-10-25 03:00", 0), ("2026-10-26 03:00", 0)]),
    ]

    def test_table(self) -> None:
        """
        Promise 8.2: a time in the gap of spring comes right after it; a time that autumn has twice comes once; what is
        hourly goes on as time does.
        """
        for what, fields, start, expected in self.TABLE:
            with self.subTest(what):
                found, now = [], at(start, BERLIN)
                for _ in expected:
                    now = table(**fields).next_after(now, BERLIN)
                    found.append(now)
                self.assertEqual(found, [at(text, BERLIN, fold) for text, fold in expected])

    def test_from_second_hour(self) -> None:
        """
        From within the second of two equal hours, the next time is never before it.
        """
        for minute in range(0, 60, 7):
            now = at(f"2026-10-25 02:{minute:02}", BERLIN, fold=1)
            self.assertEqual(table(hour=2, minute=30).next_after(now, BERLIN), at("2026-10-26 02:30", BERLIN))


class ClockTests(SynchronousTestCase):
    """
    A clock that is set, and masters that are down: a nightly at 03:00 and a period of six hours.
    """

    TABLE: ClassVar[list[tuple[str, str | None, str, str | None, str]]] = [
        # what, last, now, fires for, next
        ("before its time", "2026-01-01 03:00", "2026-01-02 02:59", None, "2026-01-02 03:00"),
        ("its time", "2026-01-01 03:00", "2026-01-02 03:00", "2026-01-02 03:00", "2026-01-03 03:00"),
        ("late", "2026-01-01 03:00", "2026-01-02 11:00", "2026-01-02 03:00", "2026-01-03 03:00"),
        ("down for days", "2026-01-01 03:00", "2026-01-09 11:00", "2026-01-02 03:00", "2026-01-10 03:00"),
        ("set back a little", "2026-01-02 03:00", "2026-01-02 02:00", None, "2026-01-03 03:00"),
        ("set back a day", "2026-01-02 03:00", "2026-01-01 04:00", None, "2026-01-02 03:00"),
        ("set back a year", "2026-01-02 03:00", "2025-01-01 04:00", None, "2025-01-02 03:00"),
        ("set forward a year", "2026-01-02 03:00", "2027-01-01 04:00", "2026-01-03 03:00", "2027-01-02 03:00"),
        ("new", None, "2026-01-01 12:00", None, "2026-01-02 03:00"),
    ]

    def test_nightly(self) -> None:
        """
        Promise 8.2: nothing fires twice, and what was missed fires once, whatever the clock does.
        """
        for what, last, now, fires, following_text in self.TABLE:
            with self.subTest(what):
                state = None if last is None else {"last": at(last), "rule": "r"}
                following = partial(table(hour=3).next_after, zone=UTC)
                times = FiringTimes.restored(following, "r", state, at(now), at_once=False)
                times.correct(at(now))
                due = times.due() if times.due() <= at(now) else None
                if due is not None:
                    times.fire(at(now))
                self.assertEqual((due, times.due()), (None if fires is None else at(fires), at(following_text)))

    def test_period(self) -> None:
        """
        Promise 8.2: a period begins at once, then counts from when it last fired, over restarts; a clock that was ahead
        does not make it longer than that, be it by a day or by a second.
        """
        table = [
            (None, 1000.0, 1000.0),
            (1000.0, 1001.0, 1060.0),
            (1000.0, 5000.0, 1060.0),
            (100_000.0, 1000.0, 1060.0),
            (5000.0, 1000.0, 1060.0),
            (1000.5, 1000.0, 1060.0),
        ]
        for last, now, expected in table:
            state = None if last is None else {"last": last, "rule": "60"}
            times = FiringTimes.restored(lambda t: t + 60, "60", state, now, at_once=True)
            times.correct(now)
            self.assertEqual(times.due(), expected)

    def test_other_rule(self) -> None:
        """
        A nightly with other times than before the restart has missed nothing of the new ones; and that is recorded.
        """
        state = {"last": at("2026-01-01 03:00"), "rule": "0 3 * * *"}
        times = FiringTimes.restored(
            lambda t: table(hour=9).next_after(t, UTC), "new", state, at("2026-01-01 10:00"), at_once=False
        )
        self.assertTrue(times.unrecorded)
        self.assertEqual(times.due(), at("2026-01-02 09:00"))
