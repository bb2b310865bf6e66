"""
Single values in tables and sentences, as people read them.

Control characters in texts of slaves and submitters are replaced, so that a terminal does not interpret them.
"""

import re
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from attrs import frozen

from ...model.display import local_time, printable

if TYPE_CHECKING:
    from rich.text import Text

Document = Mapping[str, Any]

_RECENT = 180 * 86400
"""Seconds for which a date without a year is clear."""
_SHORT_TEXT = 30
_STYLES = {
    "SUCCESS": "green",
    "WARNINGS": "yellow",
    "FAILURE": "red",
    "SKIPPED": "dim",
    "EXCEPTION": "magenta",
    "RETRY": "cyan",
    "CANCELLED": "dim",
}

WEBHOOKS = "webhooks"
"""The name of a grant for webhooks, as in `control.webhooks`, which only the master's packages can import."""
_PURPOSES = {
    "slave": "slave",
    "submit": "submit to",
    "change": "changes of",
    "jobs": "jobs of",
    "shell": "shells in roots of",
    "watch": "watch",
    "control": "control",
    "sign": "sign packages of",
    "push": "publish packages of",
    "admin": "administer",
}
"""By verb of a grant: what its string is for, before the name of the object."""


@frozen
class Date:
    """
    A time in a table, in seconds since 1970; None is shown as nothing.
    """

    seconds: float | None

    def __str__(self) -> str:
        if self.seconds is None:
            return ""
        return local_time(self.seconds).strftime("%Y-%m-%d %H:%M:%S")

    def short(self) -> str:
        """
        For a narrow terminal, as `ls` shows it: with the time of day, or the year if it is not in the last half year.
        """
        if self.seconds is None:
            return ""
        recent = abs(time.time() - self.seconds) < _RECENT
        return local_time(self.seconds).strftime("%m-%d %H:%M" if recent else "%Y-%m-%d")


@frozen
class Repeated:
    """
    The *text* of the row above once more; a narrow terminal has no room for that.
    """

    text: str

    def __str__(self) -> str:
        return self.text

    def short(self) -> str:
        """
        The form for a narrow terminal, unless the text itself is short.
        """
        return self.text if len(self.text) <= _SHORT_TEXT else "as above"


def repeated(texts: Iterable[str]) -> list[str | Repeated]:
    """
    *texts* of a column, each below the one before.
    """
    column = list(texts)
    above = [None, *column]
    return [Repeated(text) if text == before else text for before, text in zip(above, column, strict=False)]


def plain(text: str, style: str = "") -> "Text":
    """
    *text* without control characters.
    """
    # Later: the machine of a slave does not have it.
    from rich.text import Text

    return Text(printable(text), style=style)


def build_name(build: Document | None) -> str:
    """
    The name of a build: hello/12.
    """
    return f"{build['builder']}/{build['number']}" if build else ""


def result_text(name: str | None) -> "Text":
    """
    The result of a build or step; None: it runs.
    """
    return plain("running", "cyan") if name is None else plain(name, _STYLES.get(name, ""))


def short_sources(build: Document) -> str:
    """
    Branch and revision, shortened as git does it.
    """
    revision = build["revision"] or ""
    short = revision[:10] if re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", revision) else revision
    return " ".join(filter(None, [build["branch"], short]))


def time_to_come(seconds: float | None) -> str:
    """
    A time to come, without the date if that is today's.
    """
    if seconds is None:
        return ""
    if seconds <= time.time():
        return "now"
    at, today = local_time(seconds), datetime.now().astimezone()
    return at.strftime("%H:%M:%S") if at.date() == today.date() else str(Date(seconds))


def duration(start: float | None, end: float | None) -> str:
    """
    The time from *start* to *end*, or to now, in words; "" before the start.
    """
    if start is None:
        return ""
    seconds = max(0.0, (time.time() if end is None else end) - start)
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def grant_purpose(grant: Mapping[str, Any]) -> str:
    """
    What the string of *grant*, the master's document about it, is for.
    """
    label = f", {grant['label']!r}" if grant["label"] else ""
    if (grant["verb"], grant["name"]) == ("change", WEBHOOKS):
        return f"{WEBHOOKS}{label}"
    return f"{_PURPOSES[grant['verb']]} {grant['name']}{label}"
