"""
Checks of the arguments of steps: what describes a command and its outcome.
"""

import re
import signal
from collections.abc import Mapping, Sequence
from posixpath import normpath
from typing import Any

from ...model.results import Result
from ..config.arguments import ArgumentChecker
from .master_paths import is_absolute
from .path_checks import file_path
from .value_checks import flag, text, words

_LOG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._ +@-]{0,79}\Z")
_OWN_LOGS = ("stdio", "stderr", "artifact", "traceback")


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
    A dictionary: environment variable → text, a number, a list of directories, which are joined with colons, or None,
    which removes the variable.
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


def is_log_name(checker: ArgumentChecker, name: str, value: Any) -> bool:
    """
    Whether *value* can be the name of a log beside those that the farm itself writes; if not, a mistake is noted.
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
    A dictionary: log → the path of a file to follow, or a dictionary with the path as "filename".
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
            # Either value has the effect of True: what the file had before the command is never its output.
            flag(checker, f"{name}[{log!r}]['follow']", what.get("follow", True))
            for key in sorted(map(str, what.keys() - {"filename", "follow"})):
                checker.note(f"{name}[{log!r}] has the key {key!r:.60}; the keys are 'filename' and 'follow'.")
        if isinstance(filename, str) and (is_absolute(filename) or f"{normpath(filename)}/".startswith("../")):
            checker.note(
                f"{name}[{log!r}] must be the path of a file below the step's workdir, not {filename!r:.80}.  Let the "
                "command print the file when it ends, or give the step a workdir of the builder's that is above it."
            )
        else:
            found[log] = file_path(checker, f"{name}[{log!r}]", filename)
    return found


def decode_rc(checker: ArgumentChecker, name: str, value: Any) -> dict[int, Result]:
    """
    A dictionary: exit code → result.
    """
    if not isinstance(value, Mapping):
        checker.wrong(name, value, "a dictionary like {0: SUCCESS, 77: SKIPPED}")
        return {0: Result.SUCCESS}
    found = {}
    for code, result in value.items():
        number = isinstance(code, int) and not isinstance(code, bool)
        if not number or isinstance(result, bool) or result not in tuple(Result):
            checker.note(f"{name}: {code!r:.30}: {result!r:.30} is not an exit code and a result, like 77: SKIPPED.")
        else:
            found[code] = Result(result)
    return found


def _flat(parts: Sequence[Any]) -> list[Any]:
    found: list[Any] = []
    for part in parts:
        if isinstance(part, (list, tuple)):
            found.extend(_flat(part))
        else:
            found.append(part)
    return found
