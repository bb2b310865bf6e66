"""
Printable forms of untrusted text, and of times.

Names, sentences and reasons come from slaves, submitters and builds.  Printed unchanged, they could send escape
sequences to a terminal, reverse the direction of a line (U+202E), or end a line and forge the next one.  All code that
shows such a text (log, remarks, tables, refusals) or names a file after it uses the functions of this module.

A character that cannot be printed becomes "?", so that readers notice it.
"""

from datetime import datetime
from unicodedata import category

LONGEST = 2000
"""The most characters of an untrusted text that are shown."""
FIRST_SHOWN, LAST_SHOWN = -62135424000.0, 253402128000.0
"""The second day of the year 1, and the last but one of 9999, in seconds since 1970: dates in all zones."""
LONGEST_FILE_NAME = 200
"""Bytes of a file name in UTF-8.  Linux allows 255; the rest is for prefixes and suffixes of the callers."""


def printable(text: str, *, longest: int = LONGEST, lines: bool = False, spaces: bool = False) -> str:
    """
    *text* as one line of at most *longest* characters; with *lines*, line feeds are kept, and with *spaces* the wide,
    narrow and no-break ones: a person's own directory may have one in its name, which is copied from a terminal.

    Characters for which `str.isprintable` is false become "?": the Unicode categories Cc (controls), Cf (formats, among
    them bidirectional ones), Cs (surrogates), Co, Cn, Zl, Zp, and Zs except the space
    (https://www.unicode.org/reports/tr44/).
    """
    shortened = text if len(text) <= longest else f"{text[: longest - 1]}…"
    if shortened.isprintable():
        return shortened
    return "".join(each if each.isprintable() or _is_kept(each, lines, spaces) else "?" for each in shortened)


def _is_kept(character: str, lines: bool, spaces: bool) -> bool:
    return (lines and character == "\n") or (spaces and category(character) == "Zs")


def remark_lines(text: str) -> str:
    """
    *text* as a remark for a client's standard error: the first line begins with ``# ``, and the others are indented, so
    that they do not look like further remarks.
    """
    return "# " + printable(text, lines=True).replace("\n", "\n#     ") + "\n"


def by_number(label: str) -> tuple[str, int]:
    """
    The key for sorting labels of builds, "builder/number": "b/9" comes before "b/10".
    """
    builder, _, number = label.rpartition("/")
    is_number = number.isascii() and number.isdigit()
    return (builder, int(number)) if is_number else (label, 0)


def local_time(when: float) -> datetime:
    """
    *when*, in seconds since 1970, in the zone of this machine; the nearest that has a date, from the year 1 to 9999.
    """
    return datetime.fromtimestamp(min(max(when, FIRST_SHOWN), LAST_SHOWN)).astimezone()


def clock_time(when: float) -> str:
    """
    *when*, in seconds since 1970, as local date and time, with the zone: "2026-11-30 12:00:01 +0100".  For sentences,
    because those who read them may be elsewhere.  (In tables, programs write times in the zone of their terminal.)
    """
    return local_time(when).strftime("%Y-%m-%d %H:%M:%S %z")


def file_name(text: str) -> str:
    """
    *text* as the name of a file: printable, without "/", not beginning with a dot or dash, not empty, and at most
    `LONGEST_FILE_NAME` bytes long.  Spaces and quotes are kept, so a caller that puts the name into a script must quote
    it.
    """
    name = printable(text.replace("/", "_")).lstrip(".-")
    return name.encode()[:LONGEST_FILE_NAME].decode(errors="ignore") or "_"
