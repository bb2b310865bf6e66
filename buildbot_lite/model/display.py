"""
Printable forms of untrusted text.

Names, sentences and reasons come from slaves, submitters and builds.  Printed unchanged, they could send escape
sequences to a terminal, reverse the direction of a line (U+202E), or end a line and forge the next one.  All code that
shows such a text (log, remarks, tables, refusals) or names a file after it uses the functions of this module.

A character that cannot be printed becomes "?", so that the reader sees that one was there.
"""

LONGEST = 2000
"""Characters of an untrusted text that are shown at most."""
LONGEST_FILE_NAME = 200
"""Bytes of a file name in UTF-8.  Linux allows 255; the rest is for prefixes and suffixes of the callers."""


def printable(text: str, *, longest: int = LONGEST, lines: bool = False) -> str:
    """
    *text* as one line of at most *longest* characters; with *lines*, line feeds stay.

    Characters for which `str.isprintable` is false become "?": the Unicode categories Cc (controls), Cf (formats, among
    them bidirectional ones), Cs (surrogates), Co, Cn, Zl, Zp, and Zs except the space
    (https://www.unicode.org/reports/tr44/).
    """
    shortened = text if len(text) <= longest else f"{text[: longest - 1]}…"
    if shortened.isprintable():
        return shortened
    return "".join(each if each.isprintable() or (lines and each == "\n") else "?" for each in shortened)


def remark_lines(text: str) -> str:
    """
    *text* as a remark for a client's standard error: the first line begins with ``# ``, the others are indented, so
    that none looks like the beginning of another remark.
    """
    return "# " + printable(text, lines=True).replace("\n", "\n#     ") + "\n"


def file_name(text: str) -> str:
    """
    *text* as the name of one file: printable, without "/", without a dot or dash at its beginning, not empty, and at
    most `LONGEST_FILE_NAME` bytes long.  Spaces and quotes stay: a caller that puts the name into a script quotes it.
    """
    name = printable(text.replace("/", "_")).lstrip(".-")
    return name.encode()[:LONGEST_FILE_NAME].decode(errors="ignore") or "_"
