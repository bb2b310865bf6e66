"""
Parameter types of quantities with a unit, and of times::

    DURATION   90m, 12h, 7d, 4w                          ──► seconds
    SIZE       500k, 20M, 1G, or a number of bytes       ──► bytes
    SINCE      90m (so long ago), 2026-11-22             ──► seconds since 1970
    WHEN       2026-11-22 14:30, or seconds since 1970   ──► seconds since 1970
    SECONDS    60, 2.5                                   ──► seconds

The help of an option names the form, and the sentence about another word does.
"""

import math
import re
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import click


class _Quantity(click.ParamType[float]):
    """
    A number above 0 with one of *units*, which are in small letters and stand for factors; *most* is the largest.
    """

    def __init__(self, name: str, units: Mapping[str, float], most: str) -> None:
        self.name = name
        self._units = units
        self._most = most

    def read(self, text: str) -> float | None:
        """
        The value of *text*, however large; None if it has another form.
        """
        match = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)([A-Za-z]?)", text)
        if match is None or match[2].lower() not in self._units or not float(match[1]):
            return None
        return float(match[1]) * self._units[match[2].lower()]

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if not isinstance(value, str):
            return value
        if (read := self.read(value)) is None:
            units = ", ".join(unit for unit in self._units if unit)
            self.fail(f"{value!r:.100} is no {self.name}: a number and one of {units}.", param, ctx)
        if read > (self.read(self._most) or 0):
            self.fail(f"{value!r:.100} is too much: at most {self._most}.", param, ctx)
        return read


class _Size(_Quantity):
    """
    A number of bytes, at least one.
    """

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> int:
        return max(1, int(super().convert(value, param, ctx)))


class _Moment(click.ParamType[float]):
    """
    A date, or a date and a time of day, or a *number*, whose form *form* describes.
    """

    name = "time"

    def __init__(self, form: str) -> None:
        self._form = form

    def number(self, text: str) -> float | None:
        """
        The seconds since 1970 that *text* stands for as a number; None if it is none.
        """
        raise NotImplementedError

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if not isinstance(value, str):
            return value
        try:
            number = self.number(value)
            return datetime.fromisoformat(value).timestamp() if number is None else number
        except (ValueError, OverflowError, OSError):
            self.fail(f"{value!r:.100} is no time: {self._form}, or 2026-11-22, or '2026-11-22 14:30'.", param, ctx)


class _Since(_Moment):
    """
    A time in the past, which may be an age.  What is before 1970 is 1970: no farm is older.
    """

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        return max(0.0, super().convert(value, param, ctx))

    def number(self, text: str) -> float | None:
        age = DURATION.read(text)
        return None if age is None else time.time() - age


class _When(_Moment):
    """
    A time, which may be a number of seconds since 1970.
    """

    def number(self, text: str) -> float | None:
        return float(text) if text.replace(".", "", 1).isdecimal() else None


class _Seconds(click.FloatRange):
    """
    A number of seconds in a range.
    """

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        seconds: float = super().convert(value, param, ctx)
        # What is no number is in every range.
        if math.isnan(seconds):
            self.fail(f"{seconds} is not a number.", param, ctx)
        return seconds


DURATION = _Quantity("time", {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}, most="5200w")
SIZE = _Size("size", {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}, most="1000000t")
SINCE = _Since("90m, 12h, 7d")
WHEN = _When("seconds since 1970")
SECONDS = _Seconds(1, 1_000_000)
