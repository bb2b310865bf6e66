"""
How pages write names, results, times and durations.

All links are relative: `root` is ``../`` as often as the page is deep, so the pages work below any path of a reverse
proxy.
"""

import hashlib
import json
import re
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from importlib import resources
from urllib.parse import quote

from jinja2 import Undefined
from markupsafe import Markup, escape

from ...model.display import printable

LONGEST_SHOWN = 2000
_LETTERS = {
    "SUCCESS": ("success", "✓", "succeeded"),
    "WARNINGS": ("warnings", "!", "has warnings"),
    "FAILURE": ("failure", "F", "failed"),
    "SKIPPED": ("skipped", "S", "was skipped"),
    "EXCEPTION": ("exception", "E", "ended with an exception"),
    "RETRY": ("retry", "R", "is tried again"),
    "CANCELLED": ("cancelled", "C", "was cancelled"),
    None: ("running", "●", "runs"),
}
_TIME_IN_SENTENCE = re.compile(r"\b[12]\d{3}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}\b", re.ASCII)
_SAFE_IN_PATHS = "+@:,()"


def segment(name: str) -> str:
    """
    *name* as one segment of a path.  A slash is written so that it is still one after the server has decoded it once,
    and so are the names "." and "..", which browsers take for directories; `from_segment` is the inverse of that.
    """
    plain = name.replace("%", "%25").replace("/", "%2F")
    if plain in {".", ".."}:
        plain = plain.replace(".", "%2E")
    return quote(plain, safe=_SAFE_IN_PATHS)


def from_segment(text: str) -> str:
    """
    The name for the segment *text* of a path, which the server has decoded once.
    """
    return text.replace("%2F", "/").replace("%2E", ".").replace("%25", "%")


def page_of_builder(builder: str) -> str:
    """
    The address of the page of *builder*, relative to the farm's first page.
    """
    return f"builders/{segment(builder)}"


def page_of_build(builder: str, number: int) -> str:
    """
    The address of the page of a build, relative to the farm's first page.
    """
    return f"{page_of_builder(builder)}/{number}"


def root_of(path: str) -> str:
    """
    The relative address of the farm's first page from the page at *path*, which begins with a slash.
    """
    return "../" * (path.count("/") - 1) or "./"


def result_class(result: str | None) -> str:
    """
    The class, in the stylesheet, of a *result*'s name; None: the build runs.
    """
    return _LETTERS.get(result, _LETTERS["EXCEPTION"])[0]


def result_letter(result: str | None) -> str:
    """
    One character for *result*, because not everybody sees its colour.
    """
    return _LETTERS.get(result, _LETTERS["EXCEPTION"])[1]


def result_words(result: str | None) -> str:
    """
    What a sentence says of a build with *result*: "failed".
    """
    return _LETTERS.get(result, _LETTERS["EXCEPTION"])[2]


def duration(seconds: float | None) -> str:
    """
    *seconds* for people: "4.2 s", "3 m 20 s", "2 h 05 m", "3 d 4 h".
    """
    if seconds is None:
        return ""
    seconds = max(0.0, seconds)
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02} m"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def elapsed(seconds: float) -> Markup:
    """
    The *seconds* that something has lasted which still goes on, as `duration`; the page's script counts on.
    """
    return Markup(f'<span data-age="{max(0.0, seconds):.1f}">{duration(seconds)}</span>')  # noqa: S704 - a number


def left(seconds: float) -> Markup:
    """
    ", about 2 m 10 s left": the *seconds* until an expected end, which the page's script counts down.
    """
    return Markup(f'<span data-left="{seconds:.1f}">, about <span>{duration(seconds)}</span> left</span>')  # noqa: S704 - a number


def size(number: float | None) -> str:
    """
    A number of bytes for people: "312 B", "4.1 KiB".
    """
    if number is None:
        return ""
    value, unit = float(number), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"


def moment(seconds: float | Undefined | None) -> Markup:
    """
    A time (seconds since 1970) as a ``time`` element: in UTC, which the page's script writes in the reader's own zone.
    """
    if seconds is None or isinstance(seconds, Undefined):
        return Markup("")
    # No Markup.format, and no datetime: a page has a thousand of these, and no character of them needs an escape.
    days, rest = divmod(int(seconds // 1), 86400)
    day, time = _day(days), f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return Markup(f'<time datetime="{day}T{time}Z">{day} {time} UTC</time>')  # noqa: S704 - digits


@lru_cache(maxsize=1000)
def _day(days: int) -> str:
    """
    The date that is *days* after 1970-01-01.
    """
    return (date(1970, 1, 1) + timedelta(days)).isoformat()


def clock(seconds: float) -> str:
    """
    The time of day in UTC, with its seconds between two minutes, or the date at its beginning, for axes.
    """
    at = datetime.fromtimestamp(seconds, UTC)
    if at.second:
        return at.strftime("%H:%M:%S")
    return at.strftime("%b %d") if at.hour == at.minute == 0 else at.strftime("%H:%M")


def shown(value: object) -> str:
    """
    A value of a property or the like as one printable line.
    """
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return printable(text, longest=LONGEST_SHOWN)


def typed(value: object) -> Markup:
    """
    *value* in a field of a form, which sends it back as it stands there: so no character of it is replaced.
    """
    return escape(str(value))


def prose(text: object) -> str:
    """
    A text of others with its line feeds, and without other control characters.
    """
    return printable(str(text or "").expandtabs(), longest=LONGEST_SHOWN, lines=True)


def told(text: object) -> Markup:
    """
    A sentence of the master, as `prose`, in which times (`model.display.clock_time`) are ``time`` elements.
    """
    return Markup(_TIME_IN_SENTENCE.sub(_moment_in, escape(prose(text))))  # noqa: S704 - escaped


def _moment_in(found: re.Match[str]) -> str:
    try:
        return moment(datetime.strptime(found[0], "%Y-%m-%d %H:%M:%S %z").timestamp())
    except ValueError:  # digits that are no time
        return found[0]


@cache
def static_file(name: str) -> tuple[bytes, str]:
    """
    The content of the file *name* below ``static``, and a digest of it for its address.
    """
    content = (resources.files("buildbot_lite.web") / "static" / name).read_bytes()
    return content, hashlib.sha256(content).hexdigest()[:12]
