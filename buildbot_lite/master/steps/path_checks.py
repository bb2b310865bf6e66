"""
Checks of the arguments of steps: paths on the slave, names of artifacts, and paths on the master.
"""

from posixpath import normpath
from typing import Any

from ...errors import UnsafePathError
from ...model.names import relative_path
from ..config.arguments import ArgumentChecker
from .master_paths import is_absolute, leads_outside, outside, path_check

_INSIDE = "a relative path that does not lead out of its directory"


@path_check(leads_out=False)
def path(checker: ArgumentChecker, name: str, value: Any) -> str:
    """
    A relative path that does not lead out of the directory that it is relative to.
    """
    if isinstance(value, str) and is_absolute(value):
        checker.wrong(name, value, f"{_INSIDE} (a ShellCommand can copy from and to other places of the slave)")
        return "."
    try:
        return relative_path(value)
    except UnsafePathError:
        checker.wrong(name, value, _INSIDE)
        return "."


@path_check(leads_out=False)
def file_path(checker: ArgumentChecker, name: str, value: Any) -> str:
    """
    As `path`, for a file: no trailing slash, and not the directory itself.
    """
    if isinstance(value, str) and (value.endswith("/") or normpath(value or ".") == "."):
        checker.wrong(name, value, "the relative path of a file")
        return "file"
    return path(checker, name, value)


@path_check(leads_out=True)
def slave_path(checker: ArgumentChecker, name: str, value: Any) -> str:
    """
    As `path`; or a path that begins with ``../``, to another directory in the slave's ``work``.
    """
    leads_up = isinstance(value, str) and value.startswith("../")
    return outside(checker, name, value.rstrip("/")) if leads_up else path(checker, name, value)


@path_check(leads_out=True)
def slave_file(checker: ArgumentChecker, name: str, value: Any) -> str:
    """
    As `slave_path`, for a file.
    """
    leads_up = isinstance(value, str) and value.startswith("../")
    return slave_path(checker, name, value) if leads_up else file_path(checker, name, value)


@path_check(leads_out=True)
def workdir(checker: ArgumentChecker, name: str, value: Any) -> str:
    """
    As `slave_path`; or any directory of the slave's machine, absolute or beginning with ``~/``.
    """
    if not isinstance(value, str) or not is_absolute(value):
        return slave_path(checker, name, value)
    return outside(checker, name, value.rstrip("/"))


@path_check(leads_out=False)
def artifact_name(checker: ArgumentChecker, name: str, value: Any) -> str:
    """
    The name of an artifact: as `file_path`, and without control characters or characters that UTF-8 cannot encode.
    """
    try:
        str(value).encode()
    except UnicodeEncodeError:
        checker.wrong(name, value, "text that can be written as UTF-8")
        return "file"
    path = file_path(checker, name, value)
    if not path.isprintable():
        checker.wrong(name, value, "a name without control characters")
        return "file"
    return path


@path_check(leads_out=True)
def destination(checker: ArgumentChecker, name: str, value: Any) -> str:
    """
    As `artifact_name`; or the path of a file on the master that `leads_outside`.
    """
    if not isinstance(value, str) or not leads_outside(value):
        return artifact_name(checker, name, value)
    if value.endswith("/"):
        checker.wrong(name, value, "the path of a file")
        return "file"
    return outside(checker, name, value)


@path_check(leads_out=True)
def destination_directory(checker: ArgumentChecker, name: str, value: Any) -> str:
    """
    As `destination`, for a directory; the path may end with a slash.
    """
    return destination(checker, name, value.rstrip("/") or value if isinstance(value, str) else value)


@path_check(leads_out=True)
def master_directory(checker: ArgumentChecker, name: str, value: Any) -> str:
    """
    As `path`; or a directory of the master that `leads_outside`.
    """
    if not isinstance(value, str) or not leads_outside(value):
        return path(checker, name, value)
    return outside(checker, name, value.rstrip("/") or value)
