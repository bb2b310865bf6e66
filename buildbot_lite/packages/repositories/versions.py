"""
Versions of packages in their order: of Debian as deb-version(7) says, of RPM as rpm-version(7) does.

A key of a later version is larger.  Digits are not converted to numbers, because there may be very many of them.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

from .snapshots import architecture_of, package_of

_DEBIAN_PARTS = re.compile(r"([^0-9]*)([0-9]*)")
_RPM_PARTS = re.compile(r"~|\^|[0-9]+|[A-Za-z]+")
_TILDE, _END, _CARET, _LETTERS, _DIGITS = range(5)

Key = tuple[Any, ...]


def debian_key(version: str) -> Key:
    """
    The key of *version*, like "1:2.10-3".
    """
    epoch, rest = _epoch(version)
    upstream, hyphen, revision = rest.rpartition("-")
    return _number(epoch), _debian_part(upstream if hyphen else rest), _debian_part(revision if hyphen else "0")


def rpm_key(version: str) -> Key:
    """
    The key of *version*, "EPOCH:VERSION-RELEASE".
    """
    epoch, rest = _epoch(version)
    upstream, _, release = rest.partition("-")
    return _number(epoch), _rpm_part(upstream), _rpm_part(release)


def superseded(names: Iterable[str], version_of: Callable[[str], str], most: int) -> list[str]:
    """
    Those of the package files *names* that are not among the *most* latest versions of their package and architecture;
    of equal versions, those that come first.  *version_of*: the version of a package file, asked for those of which
    there are more than *most*; "": it is not known, and the file is neither superseded nor counted.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for name in names:
        groups.setdefault((package_of(name), architecture_of(name)), []).append(name)
    old = []
    for group in groups.values():
        if len(group) > most:
            key = rpm_key if group[0].endswith(".rpm") else debian_key
            known = [(key(version), name) for name in group if (version := version_of(name))]
            known.sort(key=lambda each: each[0])
            old += [name for _, name in known[:-most]]
    return old


def _epoch(version: str) -> tuple[str, str]:
    epoch, colon, rest = version.partition(":")
    return (epoch, rest) if colon else ("", version)


def _number(digits: str) -> tuple[int, str]:
    plain = digits.lstrip("0")
    return len(plain), plain


def _debian_part(text: str) -> Key:
    # The last pair is empty: the end is earlier than anything but a tilde.
    return tuple(
        ((*(_weight(each) for each in words), 0), _number(digits)) for words, digits in _DEBIAN_PARTS.findall(text)
    )


def _weight(character: str) -> int:
    if character == "~":
        return -1
    return ord(character) if character.isalpha() else ord(character) + 256


def _rpm_part(text: str) -> Key:
    return (*(_rpm_word(each) for each in _RPM_PARTS.findall(text)), (_END, (0, "")))


def _rpm_word(word: str) -> Key:
    if word in "~^":
        return (_TILDE if word == "~" else _CARET), (0, "")
    return (_DIGITS, _number(word)) if word.isdigit() else (_LETTERS, (0, word))
