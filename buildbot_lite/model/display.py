"""
Text of others, made fit to be shown to people.

Names, sentences and reasons come from slaves, submitters and builds.  Shown as they are, they could command a terminal
(ESC), turn a line around (U+202E), or end it and forge the next one.  Whatever shows such a text, or makes a name of a
file of it, does so by a function of this module: the log, remarks, tables, refusals.

What cannot be shown is replaced by "?", so that people see that something was there.
"""

LONGEST = 2000
"""Characters of a text of others that are shown."""
LONGEST_FILE_NAME = 200
"""Bytes of the name of a file, in UTF-8: Linux has 255, and others put something before or behind it."""


def printable(text: str, *, longest: int = LONGEST, lines: bool = False) -> str:
    """
    *text* as one line of at most *longest* characters; with *lines*, its line feeds stay.

    Replaced is what Python calls not printable: the categories Cc (controls), Cf (formats, among them those of
    bidirectional text), Cs (surrogates), Co, Cn, Zl, Zp, and Zs except the space; https://www.unicode.org/reports/tr44/.
    """
    shown = text if len(text) <= longest else f"{text[: longest - 1]}…"
    if shown.isprintable():
        return shown
    return "".join(each if each.isprintable() or (lines and each == "\n") else "?" for each in shown)


def remark_lines(text: str) -> str:
    """
    *text* as a remark on a client's standard error: after ``# ``; further lines are indented, so that none looks like
    the beginning of another remark.
    """
    return "# " + printable(text, lines=True).replace("\n", "\n#     ") + "\n"


def file_name(text: str) -> str:
    """
    *text* as the name of one file: printable, without "/", not beginning with a dot or a dash, and neither empty nor
    too long.  (It may still hold spaces and quotes: whoever puts it into a script quotes it.)
    """
    name = printable(text.replace("/", "_")).lstrip(".-")
    return name.encode()[:LONGEST_FILE_NAME].decode(errors="ignore") or "_"
