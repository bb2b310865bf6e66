"""
Checks of the arguments of steps: single values, and lists of them.
"""

import re
from typing import Any

from ...model.spec import SECRET_REFERENCE
from ..config.arguments import ArgumentChecker
from .argument import Check

_LARGEST_TEXT = 1 << 20


def flag(checker: ArgumentChecker, name: str, value: Any) -> bool:
    """
    True or False; as in Buildbot, also 1 or 0, and "true" or "True".

    Other texts are refused: for Buildbot, "False" is a text that is not empty, and so true, which nobody means.
    """
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    return checker.flag(name, True if isinstance(value, str) and value in ("true", "True") else value)


def anything(checker: ArgumentChecker, name: str, value: Any) -> Any:
    """
    Any value.
    """
    return value


def text(checker: ArgumentChecker, name: str, value: Any) -> str:
    """
    Text of at most 2**20 characters, without NUL.  It may have references to secrets in it.
    """
    if isinstance(value, str) and len(value) <= _LARGEST_TEXT and "\0" not in SECRET_REFERENCE.sub("", value):
        return value
    checker.wrong(name, value, "text")
    return ""


def word(checker: ArgumentChecker, name: str, value: Any) -> str:
    """
    Text that is not empty.
    """
    if value == "":
        checker.wrong(name, value, "text that is not empty")
    return text(checker, name, value)


def words(checker: ArgumentChecker, name: str, value: Any) -> str:
    """
    An argument of a program: text, or a number, which becomes text.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return text(checker, name, value)


def seconds(checker: ArgumentChecker, name: str, value: Any) -> float:
    """
    A duration in seconds, 0 or more.
    """
    return checker.seconds(name, value)


def whole(checker: ArgumentChecker, name: str, value: Any) -> int:
    """
    A whole number, 1 or more.
    """
    return checker.whole(name, value, least=1)


def count(checker: ArgumentChecker, name: str, value: Any) -> int:
    """
    A whole number, 0 or more.
    """
    return checker.whole(name, value)


def pattern(checker: ArgumentChecker, name: str, value: Any) -> re.Pattern[str]:
    """
    A regular expression, as text or compiled.
    """
    if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
        return value
    try:
        return re.compile(value if isinstance(value, str) else "(")
    except re.error:
        checker.wrong(name, value, "a regular expression")
        return re.compile("")


def mode(checker: ArgumentChecker, name: str, value: Any) -> int:
    """
    Permission bits of a file: 0 to 0o777.  Of a number that was meant to be octal, the sentence says how it is written.
    """
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 0o777:
        return value
    octal = re.fullmatch(r"(?:0o?)?([0-7]{3})", str(value))
    checker.wrong(name, value, f"the permission bits 0o{octal[1]}" if octal else "permission bits, such as 0o644")
    return 0o644


def function(checker: ArgumentChecker, name: str, value: Any) -> Any:
    """
    A function, or anything else that can be called.
    """
    return checker.function(name, value)


def texts(checker: ArgumentChecker, name: str, value: Any) -> list[str]:
    """
    A list of texts.
    """
    return list(checker.texts(name, value))


def names(checker: ArgumentChecker, name: str, value: Any) -> list[str]:
    """
    A list of at least one name.
    """
    return list(checker.several(name, value))


def properties(checker: ArgumentChecker, name: str, value: Any) -> dict[str, Any]:
    """
    A dictionary: name of a property → value.
    """
    return checker.properties(name, value)


def choice(*choices: str) -> Check:
    """
    One of *choices*.
    """

    def check(checker: ArgumentChecker, name: str, value: Any) -> str:
        return checker.choice(name, value, choices)

    return check
