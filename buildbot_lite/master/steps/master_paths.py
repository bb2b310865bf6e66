"""
Paths that lead outside: absolute ones, and those that begin with a home directory or with ``..``.

A configuration written for Buildbot sends files to ``/srv/www/nightly/…``, ``~/dist/…`` or ``../archive/…``.  The text
in master.cfg must decide that beginning (here the "way out": ``/``, ``~/``, ``../``) and at least a part of the first
name; properties may decide the rest, without ``..``.  Otherwise the author of a branch's name or of a command's output
could choose among all files that the master's user may read or write.
"""

import os
import re
from collections.abc import Callable
from posixpath import normpath
from typing import Any, TypeVar

from ...errors import UnsafePathError
from ...model.names import relative_path
from ..config.arguments import ArgumentChecker

_ABSOLUTE = re.compile(r"/|~/")
_WAY_OUT = re.compile(r"/+|~[^/]*/+|(?:\.\./+)+")
Checked = TypeVar("Checked", bound=Callable[..., Any])
_PATH_CHECKS: dict[Any, bool] = {}
_LITERAL = re.compile(r"(?:[^%]|%%)*")


def leads_outside(path: str) -> bool:
    """
    Whether *path* is absolute, or begins with a home directory or with ``..``.
    """
    return _WAY_OUT.match(path) is not None


def is_absolute(path: str) -> bool:
    """
    Whether *path* is absolute, or begins with the home directory of the user.
    """
    return _ABSOLUTE.match(path) is not None


def inner_part(path: str) -> str:
    """
    *path* without its way out: ``srv/www/a.tar`` for ``/srv/www/a.tar``.
    """
    return _WAY_OUT.sub("", path, count=1)


def absolute(path: str, directory: str) -> str:
    """
    *path* as an absolute, normalized path: relative to *directory*, unless it is absolute or begins with a home
    directory.  `UnsafePathError` if it begins with the home directory of a user that does not exist.
    """
    expanded = os.path.expanduser(path)
    if expanded.startswith("~") and leads_outside(path):
        raise UnsafePathError(f"{path!r:.200} names the home directory of a user whom this machine does not have.")
    return normpath(os.path.join(directory, expanded))


def outside(checker: ArgumentChecker, name: str, value: str) -> str:
    """
    Return *value*, which leads outside, if its rest is a relative path without ``..``; otherwise note a mistake.
    """
    if _is_sound(inner_part(value)):
        return value
    checker.wrong(name, value, "a path with '..' only at its beginning, and without control characters")
    return "/nowhere/file"


def _is_sound(inner: str) -> bool:
    try:
        return inner.isprintable() and ".." not in inner.split("/") and relative_path(inner) != "."
    except UnsafePathError:
        return False


def path_check(*, leads_out: bool) -> Callable[[Checked], Checked]:
    """
    Declare that the function is a check of an argument that is a path.  *leads_out*: whether the path may lead outside.
    """

    def declare(check: Checked) -> Checked:
        _PATH_CHECKS[check] = leads_out
        return check

    return declare


def check_beginning(checker: ArgumentChecker, name: str, check: Any, given: Any) -> None:
    """
    Note a mistake if *given*, which is still to be rendered, begins in a way that the argument does not allow.
    """
    beginning = _beginning(given)
    if check in _PATH_CHECKS and leads_outside(beginning):
        check_rendered(checker, name, check, given, f"{beginning}…")


def check_rendered(checker: ArgumentChecker, name: str, check: Any, given: Any, value: Any) -> Any:
    """
    Return the answer of *check* for *value*, to which a build rendered *given*.  A path that leads outside only by a
    property is a mistake.
    """
    checked = check(checker, name, value)
    if _PATH_CHECKS.get(check, False):
        check_way_out(checker, name, given, checked)
    return checked


def check_way_out(checker: ArgumentChecker, name: str, given: Any, path: Any) -> None:
    """
    Note a mistake if *path*, to which a build rendered *given*, leads outside and the text of *given* does not say so.
    """
    if isinstance(path, str) and not is_way_out_given(given, path):
        checker.note(
            f"{name} became {path!r:.200}, which is outside the allowed directory.  The text in master.cfg must begin "
            'with that place and a part of the first name, like Interpolate("/srv/www/%(prop:branch)s").'
        )


def is_way_out_given(given: Any, path: str) -> bool:
    """
    Whether *path*, to which a build rendered *given*, does not lead outside, or the text in master.cfg says so.
    """
    if not leads_outside(path):
        return True
    beginning = given if isinstance(given, str) else _beginning(given)
    given_way_out, way_out = _WAY_OUT.match(beginning), _WAY_OUT.match(path)
    # Both are compared, because a property could continue the text "../." as "../../".
    return given_way_out is not None and way_out is not None and beginning != given_way_out[0] == way_out[0]


def is_first_name_given(given: Any) -> bool:
    """
    Whether the text of *given* in master.cfg decides the beginning of the path to which a build renders it.
    """
    return isinstance(given, str) or _beginning(given) != ""


def _beginning(given: Any) -> str:
    # The text before the first placeholder of an Interpolate or WithProperties.
    format_text = getattr(given, "fmtstring", "")
    found = _LITERAL.match(format_text) if isinstance(format_text, str) else None
    return found[0].replace("%%", "%") if found else ""
