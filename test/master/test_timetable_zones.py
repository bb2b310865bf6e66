"""
The times of Nightly where clocks change, against the plainest evaluation there is: look at the clock every minute.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, ClassVar
from unittest import mock
from zoneinfo import ZoneInfo

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.master.config.timetable import Timetable, local_zone

MINUTE = timedelta(minutes=1)
CHANGES = [
    # Zone, and a day before a change of its clock.
    ("Europe/Berlin", "2026-03-28"),
    ("Europe/Berlin", "2026-10-24"),
    ("Europe/Dublin", "2026-03-28"),  # summer time is its standard time
    ("America/New_York", "2026-10-31"),
    ("Australia/Lord_Howe", "2026-04-04"),  # half an hour
    ("Australia/Lord_Howe", "2026-10-03"),
    ("America/Sao_Paulo", "2017-10-14"),  # from midnight
    ("America/Sao_Paulo", "2018-02-17"),  # to 23:00 of the day before
    ("America/Havana", "2026-03-07"),
    ("America/Havana", "2026-10-31"),  # midnight comes twice
    ("Asia/Beirut", "2026-03-28"),
    ("America/St_Johns", "2008-03-08"),  # at a minute past midnight
    ("America/St_Johns", "2008-11-01"),
    ("Antarctica/Troll", "2026-03-28"),  # two hours
    ("Antarctica/Troll", "2026-10-24"),
    ("Antarctica/Casey", "2018-03-10"),  # three hours
    ("Asia/Kathmandu", "1985-12-31"),  # a quarter of an hour, for good
    ("Asia/Pyongyang", "2018-05-04"),  # half an hour before midnight
    ("Africa/Casablanca", "2026-02-14"),
    ("Pacific/Apia", "2011-12-28"),  # a day that never was
    ("UTC", "2026-03-28"),
]
DAYS = 4
MINUTES = st.one_of(
    st.just("*"), st.just("*/15"), st.just("*/30"), st.lists(st.integers(0, 59), min_size=1, max_size=3)
)
HOURS = st.one_of(
    st.just("*"),
    st.just("*/2"),
    st.just("*/1"),
    st.lists(st.sampled_from([0, 1, 2, 3, 4, 12, 22, 23]), min_size=1, max_size=4),
)
WEEKDAYS = st.one_of(st.just("*"), st.lists(st.integers(0, 6), min_size=1, max_size=5))
MONTH_DAYS = st.one_of(st.just("*"), st.just("*"), st.lists(st.integers(1, 31), min_size=1, max_size=12))


def numbers(value: Any, most: int) -> set[int]:
    """
    What a field means.
    """
    if isinstance(value, str):
        return set(range(0, most + 1, int(value.partition("/")[2] or 1)))
    return set(value)


def meant(local: datetime, fields: dict[str, Any]) -> bool:
    """
    Whether a local time is one that *fields* mean.
    """
    days, weekdays = fields["dayOfMonth"], fields["dayOfWeek"]
    of_month = days != "*" and local.day in days
    of_week = weekdays != "*" and local.weekday() in weekdays
    return (
        local.minute in numbers(fields["minute"], 59)
        and local.hour in numbers(fields["hour"], 23)
        and (of_month or of_week or (days == "*" and weekdays == "*"))
    )


def looked_up(fields: dict[str, Any], zone: ZoneInfo, begin: int, end: int) -> Iterator[int]:
    """
    The times from *begin* to *end*: each minute at which the clock shows one, or for certain hours reaches one first.
    """
    every_hour = len(numbers(fields["hour"], 23)) == 24
    reached = datetime.fromtimestamp(begin - 86_400, zone).replace(tzinfo=None)
    for now in range(begin - 86_400, end, 60):
        local = datetime.fromtimestamp(now, zone).replace(tzinfo=None)
        if every_hour:
            found = meant(local, fields)
        else:
            found = False
            while reached < local:
                reached += MINUTE
                found = found or meant(reached, fields)
        if found and now >= begin:
            yield now


class ZoneTests(SynchronousTestCase):
    """
    Zones whose clocks change in every way that there is.
    """

    @settings(deadline=None, max_examples=120)
    @given(
        change=st.sampled_from(CHANGES),
        fields=st.fixed_dictionaries(
            {"minute": MINUTES, "hour": HOURS, "dayOfMonth": MONTH_DAYS, "dayOfWeek": WEEKDAYS}
        ),
        start=st.integers(0, 86_400 * 3),
    )
    @example(
        ("Australia/Lord_Howe", "2026-04-04"), {"minute": [45], "hour": "*", "dayOfMonth": "*", "dayOfWeek": "*"}, 0
    )
    @example(
        ("Australia/Lord_Howe", "2026-10-03"), {"minute": [0], "hour": [3], "dayOfMonth": "*", "dayOfWeek": "*"}, 0
    )
    @example(("Europe/Berlin", "2026-03-28"), {"minute": "*/15", "hour": [2], "dayOfMonth": "*", "dayOfWeek": "*"}, 0)
    @example(("Europe/Berlin", "2026-10-24"), {"minute": [0], "hour": "*/2", "dayOfMonth": "*", "dayOfWeek": "*"}, 0)
    @example(("Pacific/Apia", "2011-12-28"), {"minute": [0], "hour": "*", "dayOfMonth": "*", "dayOfWeek": [4]}, 0)
    def test_against_each_minute(self, change: tuple[str, str], fields: dict[str, Any], start: int) -> None:
        """
        Promise 8.2: the times of a Nightly are those that somebody finds who looks at the clock every minute.
        """
        zone = ZoneInfo(change[0])
        first = int(datetime.fromisoformat(change[1]).replace(tzinfo=zone).timestamp())
        end = first + DAYS * 86_400
        now = first + start
        timetable = Timetable.of_fields(**fields, month="*")
        found = []
        while (following := timetable.next_after(now, zone)) < end:
            found.append(int(following))
            now = int(following)
        begin = (first + start) // 60 * 60 + 60
        self.assertEqual(found, list(looked_up(fields, zone, begin, end)))


class PlaceTests(SynchronousTestCase):
    """
    Cases that people ask about, in full.
    """

    TABLE: ClassVar[list[tuple[str, str, dict[str, Any], list[str]]]] = [
        ("Europe/Berlin", "2026-03-29 01:59", {"hour": 2, "minute": "*/15"}, ["2026-03-29 03:00", "2026-03-30 02:00"]),
        (
            "Australia/Lord_Howe",
            "2026-10-04 01:00",
            {"hour": 2, "minute": 15},
            ["2026-10-04 02:30", "2026-10-05 02:15"],
        ),
        ("Australia/Lord_Howe", "2026-10-04 01:30", {"minute": 45}, ["2026-10-04 01:45", "2026-10-04 02:45"]),
        ("America/Sao_Paulo", "2017-10-14 12:00", {"hour": 0}, ["2017-10-15 01:00", "2017-10-16 00:00"]),
        ("Pacific/Apia", "2011-12-29 12:00", {"hour": 3}, ["2011-12-31 00:00", "2011-12-31 03:00"]),
        ("Asia/Beirut", "2026-03-28 12:00", {"hour": 0, "minute": 30}, ["2026-03-29 01:00", "2026-03-30 00:30"]),
    ]

    def test_table(self) -> None:
        """
        Promise 8.2: what a clock leaves out, be it half an hour or a day, comes right after the gap.
        """
        for name, start, fields, expected in self.TABLE:
            with self.subTest(f"{name} {start}"):
                zone = ZoneInfo(name)
                table = Timetable.of_fields(
                    **{"minute": 0, "dayOfMonth": "*", "month": "*", "dayOfWeek": "*", "hour": "*", **fields}
                )
                now, found = datetime.fromisoformat(start).replace(tzinfo=zone).timestamp(), []
                for _ in expected:
                    now = table.next_after(now, zone)
                    found.append(f"{datetime.fromtimestamp(now, zone):%Y-%m-%d %H:%M}")
                self.assertEqual(found, expected)

    def test_rare(self) -> None:
        """
        A time that comes once in years is found, in a zone with many changes until then.
        """
        zone = ZoneInfo("Europe/Berlin")
        table = Timetable.of_fields(minute=30, hour="*", dayOfMonth=29, month=2, dayOfWeek="*")
        found = table.next_after(datetime(2024, 3, 1, tzinfo=zone).timestamp(), zone)
        self.assertEqual(datetime.fromtimestamp(found, zone), datetime(2028, 2, 29, 0, 30, tzinfo=zone))


class LocalZoneTests(SynchronousTestCase):
    """
    Which zone is the master's.
    """

    TABLE: ClassVar[list[tuple[str, float]]] = [
        # TZ, and the hours that a clock there is before UTC in July.
        ("Europe/Berlin", 2),
        (":Europe/Berlin", 2),
        ("CET-1CEST,M3.5.0,M10.5.0/3", 2),
        ("AEST-10", 10),
        ("<+0330>-3:30", 3.5),
        ("UTC0", 0),
        ("Europe/Nowhere", 0),
        ("/there/is/no/such/file", 0),
        ("../../etc/passwd", 0),
    ]

    def test_table(self) -> None:
        """
        Promise 8.2: TZ is a name, a file or a rule.
        """
        for text, hours in self.TABLE:
            with self.subTest(text), mock.patch.dict("os.environ", {"TZ": text}):
                self.assertEqual(datetime(2026, 7, 1, tzinfo=local_zone()).utcoffset(), timedelta(hours=hours))
