"""
Checks of the arguments of steps.

A check is ``check(checker, name, value)``: it returns the value to use, or notes a mistake through *checker*.  It runs
when the configuration is read, for each value that needs no rendering, and again in each build, for each rendered
value; so a mistake has the same sentence in both places.  A rendered text contains references to secrets, which begin
and end with NUL; the checks remove them before they look for NULs.
"""

import re
import signal
from collections.abc import Mapping, Sequence
from posixpath import normpath
from typing import Any

from ...errors import UnsafePathError
from ...model.names import relative_path
from ...model.results import Result
from ...model.source_stamps import FIELDS
from ...model.spec import SECRET_REFERENCE
from ..config.arguments import ArgumentChecker
from ..config.artifacts import WantedArtifact
from ..config.locks import LockAccess, checked_accesses
from ..config.matrix import Matrix
from .argument import Check
from .master_paths import is_absolute, leads_outside, outside, path_check

__all__ = [
    "anything", "artifact_name", "choice", "command", "count", "decode_rc", "destination", "destination_directory",
    "environment", "file_path", "flag", "function", "locks", "logfiles", "master_directory", "master_file", "matrix",
    "mode", "names", "path", "pattern", "properties", "seconds", "signal_name", "slave_file", "slave_path",
    "source_stamp", "source_stamps", "text", "texts", "whole", "word", "words", "workdir",
]  # fmt: skip

_LOG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._ +@-]{0,79}\Z")
_OWN_LOGS = ("stdio", "stderr", "artifact", "traceback")
LARGEST_TEXT = 1 << 20


def flag(checker: ArgumentChecker, name: str, value: Any) -> bool:
    """
    True or False; as in Buildbot, also 1 or 0, and "true" or "True".

    The text "False" is refused: it is true in Buildbot, and its author means the opposite.
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
    Text, also with references to secrets; at most a million characters.
    """
    if isinstance(value, str) and len(value) <= LARGEST_TEXT and "\0" not in SECRET_REFERENCE.sub("", value):
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
    Text, or a number, which becomes text: an argument of a program.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return text(checker, name, value)


def command(checker: ArgumentChecker, name: str, value: Any) -> str | list[str]:
    """
    A list of words (lists in it are flattened), or one string for the shell.
    """
    if isinstance(value, str):
        if not value.strip():
            checker.wrong(name, value, "a list of words, or one string for the shell")
        return text(checker, name, value)
    if not isinstance(value, (list, tuple)) or not value:
        checker.wrong(name, value, "a list of words, or one string for the shell")
        return ["false"]
    return [words(checker, f"each word of {name}", part) for part in _flat(value)]


def environment(checker: ArgumentChecker, name: str, value: Any) -> dict[str, str | None]:
    """
    Variable → text, number, None to remove it, or a list of directories to be joined with colons.
    """
    if not isinstance(value, Mapping):
        checker.wrong(name, value, "a dictionary")
        return {}
    found: dict[str, str | None] = {}
    for key, item in value.items():
        if not isinstance(key, str) or not key or "=" in key or "\0" in key:
            checker.note(f"{name}: {key!r:.60} cannot be the name of an environment variable.")
        elif item is None:
            found[key] = None
        elif isinstance(item, (list, tuple)):
            found[key] = ":".join(words(checker, f"{name}[{key!r}]", part) for part in item)
        else:
            found[key] = words(checker, f"{name}[{key!r}]", item)
    return found


@path_check(leads_out=False)
def path(checker: ArgumentChecker, name: str, value: Any) -> str:
    """
    A path that stays inside the directory that it is relative to.
    """
    try:
        return relative_path(value)
    except UnsafePathError:
        checker.wrong(name, value, "a relative path that does not lead out of its directory")
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
    As `path`; it may begin with ``../``, and then leads to another directory of the slave's ``work``.
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
    As `slave_path`; or any directory of the machine: absolute, or beginning with ``~/``.
    """
    if not isinstance(value, str) or not is_absolute(value):
        return slave_path(checker, name, value)
    return outside(checker, name, value.rstrip("/"))


@path_check(leads_out=False)
def artifact_name(checker: ArgumentChecker, name: str, value: Any) -> str:
    """
    As `file_path`, for the name of an artifact: it must be UTF-8 and without control characters.
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
    As `destination`, for a directory, after which a slash may stand.
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


def seconds(checker: ArgumentChecker, name: str, value: Any) -> float:
    """
    A time in seconds.
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
    Permission bits.
    """
    return checker.whole(name, value, most=0o777)


def function(checker: ArgumentChecker, name: str, value: Any) -> Any:
    """
    Something that can be called.
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
    Property → value.
    """
    return checker.properties(name, value)


def master_file(checker: ArgumentChecker, name: str, value: Any) -> str | WantedArtifact:
    """
    The path of a file on the master, in which ``..`` stands only at the beginning, or an artifact.
    """
    if isinstance(value, WantedArtifact):
        return value
    found = word(checker, name, value)
    if ".." not in found.split("/"):
        return found
    return outside(checker, name, found)


def matrix(checker: ArgumentChecker, name: str, value: Any) -> list[dict[str, Any]]:
    """
    A `Matrix`, or a list of dictionaries of properties; the empty list stands for none.
    """
    if value in ((), []):
        return []
    return [dict(each) for each in (value if isinstance(value, Matrix) else Matrix(include=value))]


def source_stamp(checker: ArgumentChecker, name: str, value: Any) -> dict[str, Any]:
    """
    A dictionary of branch, revision, repository, project and codebase.
    """
    if not isinstance(value, Mapping) or not all(each in (*FIELDS, "codebase") for each in value):
        checker.wrong(name, value, f"a dictionary of {', '.join(FIELDS)} and codebase")
        return {}
    return dict(value)


def source_stamps(checker: ArgumentChecker, name: str, value: Any) -> list[dict[str, Any]]:
    """
    A list of such dictionaries, each with another codebase.
    """
    if not isinstance(value, (list, tuple)):
        checker.wrong(name, value, "a list of dictionaries")
        return []
    stamps = [source_stamp(checker, name, each) for each in value]
    if len({str(each.get("codebase", "")) for each in stamps}) < len(stamps):
        checker.note(f"{name} has a codebase twice.")
    return stamps


def signal_name(checker: ArgumentChecker, name: str, value: Any) -> str:
    """
    The name of a signal, with or without SIG, or its number.
    """
    if isinstance(value, int) and value in tuple(signal.Signals):
        value = signal.Signals(value).name
    wanted = value.upper().removeprefix("SIG") if isinstance(value, str) else ""
    if f"SIG{wanted}" not in signal.Signals.__members__:
        checker.wrong(name, value, 'the name of a signal, like "TERM", "INT", "HUP" or "KILL"')
        return "TERM"
    return wanted


def locks(checker: ArgumentChecker, name: str, value: Any) -> tuple[LockAccess, ...]:
    """
    Uses of locks: a list, or a single one.
    """
    return checked_accesses(checker, name, value)


def is_log_name(checker: ArgumentChecker, name: str, value: Any) -> bool:
    """
    Whether *value* can be the name of a further log.
    """
    if isinstance(value, str) and _LOG.match(value) and value not in _OWN_LOGS:
        return True
    checker.note(
        f"{name}: {value!r:.60} cannot be the name of a log.  Use letters, digits, spaces and . _ + @ -, "
        f"and none of {', '.join(_OWN_LOGS)}."
    )
    return False


def logfiles(checker: ArgumentChecker, name: str, value: Any) -> dict[str, str]:
    """
    Log → the path of a file to follow, or a dictionary with it as "filename".
    """
    if not isinstance(value, Mapping):
        checker.wrong(name, value, 'a dictionary like {"test.log": "out/test.log"}')
        return {}
    found = {}
    for log, what in value.items():
        if not is_log_name(checker, name, log):
            continue
        filename = what
        if isinstance(what, Mapping):
            filename = what.get("filename")
            # True has no effect: earlier contents of a file are never the command's output.
            flag(checker, f"{name}[{log!r}]['follow']", what.get("follow", True))
            for key in sorted(map(str, what.keys() - {"filename", "follow"})):
                checker.note(f"{name}[{log!r}] has a {key!r:.60}; there are only 'filename' and 'follow'.")
        found[log] = file_path(checker, f"{name}[{log!r}]", filename)
    return found


def decode_rc(checker: ArgumentChecker, name: str, value: Any) -> dict[int, Result]:
    """
    Exit code → result.
    """
    if not isinstance(value, Mapping):
        checker.wrong(name, value, "a dictionary like {0: SUCCESS, 77: SKIPPED}")
        return {0: Result.SUCCESS}
    found = {}
    for code, result in value.items():
        number = isinstance(code, int) and not isinstance(code, bool)
        if not number or isinstance(result, bool) or result not in tuple(Result):
            checker.note(f"{name}: {code!r:.30}: {result!r:.30} is no exit code with a result, like 77: SKIPPED.")
        else:
            found[code] = Result(result)
    return found


def choice(*choices: str) -> Check:
    """
    One of *choices*.
    """

    def check(checker: ArgumentChecker, name: str, value: Any) -> str:
        return checker.choice(name, value, choices)

    return check


def _flat(parts: Sequence[Any]) -> list[Any]:
    found: list[Any] = []
    for part in parts:
        if isinstance(part, (list, tuple)):
            found.extend(_flat(part))
        else:
            found.append(part)
    return found
