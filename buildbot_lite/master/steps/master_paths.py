"""
Paths of the master's machine, outside of a build's artifacts and of the directories that the master keeps for commands.

A configuration written for Buildbot sends files to ``/srv/www/nightly/…``, ``~/dist/…`` or ``../archive/…``.  Such a
path leads outside.  Properties may decide its rest, but neither where it leads out nor, by ``..``, where it goes on
from there: whoever writes a branch's name or a command's output would choose among all files of the master's user.
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
    What follows the way out in *path*: ``srv/www/a.tar`` in ``/srv/www/a.tar``.
    """
    return _WAY_OUT.sub("", path, count=1)


def absolute(path: str, directory: str) -> str:
    """
    *path*, relative to *directory* unless it is absolute, with the home directory that it may begin with.
    `UnsafePathError` if that is of no user of this machine.
    """
    expanded = os.path.expanduser(path)
    if expanded.startswith("~") and leads_outside(path):
        raise UnsafePathError(f"{path!r:.200} names the home directory of a user whom this machine does not have.")
    return normpath(os.path.join(directory, expanded))


def outside(checker: ArgumentChecker, name: str, value: str) -> str:
    """
    *value*, which leads outside, if nothing after that leads further; otherwise a mistake is noted.
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
    Declare a check of arguments that are paths.  *leads_out*: whether some of these may lead outside.
    """

    def declare(check: Checked) -> Checked:
        _PATH_CHECKS[check] = leads_out
        return check

    return declare


def check_beginning(checker: ArgumentChecker, name: str, check: Any, given: Any) -> None:
    """
    Note a mistake when *given*, which is still to be rendered, begins as no value of the argument may.
    """
    beginning = _beginning(given)
    if check in _PATH_CHECKS and leads_outside(beginning):
        check_rendered(checker, name, check, given, f"{beginning}…")


def check_rendered(checker: ArgumentChecker, name: str, check: Any, given: Any, value: Any) -> Any:
    """
    *value*, to which a build rendered *given*, by the *check* of the argument.  No property decides that a path leads
    out of its directory.
    """
    checked = check(checker, name, value)
    if _PATH_CHECKS.get(check, False):
        check_way_out(checker, name, given, checked)
    return checked


def check_way_out(checker: ArgumentChecker, name: str, given: Any, path: Any) -> None:
    """
    Note a mistake where *path* leads outside and *given*, of which a build made it, does not begin so.
    """
    if isinstance(path, str) and not is_way_out_given(given, path):
        checker.note(
            f"{name} became {path!r:.200}, which leads outside.  The text in master.cfg must begin so itself, with at "
            'least a part of the first name: Interpolate("/srv/www/%(prop:branch)s").'
        )


def is_way_out_given(given: Any, path: str) -> bool:
    """
    Whether *path*, which a build made of *given*, stays inside, or leads outside by the text in master.cfg.
    """
    if not leads_outside(path):
        return True
    beginning = given if isinstance(given, str) else _beginning(given)
    given_way_out, way_out = _WAY_OUT.match(beginning), _WAY_OUT.match(path)
    # A property may continue "../." as "../../".
    return given_way_out is not None and way_out is not None and beginning != given_way_out[0] == way_out[0]


def is_first_name_given(given: Any) -> bool:
    """
    Whether the text in master.cfg has at least a part of the first name of the path that a build makes of *given*.
    """
    return isinstance(given, str) or _beginning(given) != ""


def _beginning(given: Any) -> str:
    # The text with which an Interpolate or WithProperties begins in every build.
    format_text = getattr(given, "fmtstring", "")
    found = _LITERAL.match(format_text) if isinstance(format_text, str) else None
    return found[0].replace("%%", "%") if found else ""
