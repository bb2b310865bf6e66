"""
A ``start`` request: decoded from JSON and checked, with secrets filled in.

`buildbot_lite.model.spec.Run` documents the fields.  Here the values of secrets replace their references; they are
passed only to the command, and to the masker of its output.
"""

import functools
import os
import re
import signal
from collections.abc import Mapping
from typing import Any, NamedTuple

from .wrapper import (
    StartRequestError,
    Wrapper,
    read_wrapper,
)

__all__ = ["StartRequest", "StartRequestError", "read_start_request"]

# Equal to buildbot_lite.model.spec.SECRET_REFERENCE (a test compares them).  The keeper must not import that module,
# which needs attrs.
SECRET_REFERENCE = re.compile("\0([^\0]{1,80})\0")
# As in Buildbot, ``env={"PATH": "${HOME}/bin:${PATH}"}`` refers to the slave's own variables.  In addition,
# ``$${HOME}`` is the text ``${HOME}``.
_VARIABLE = re.compile(r"\$?\$\{([A-Za-z0-9_]+)\}")
SHORTEST_SECRET = 6
LARGEST_SECRET = 64 << 10


class StartRequest(NamedTuple):
    """
    A command that can be spawned.  Paths are absolute, times in seconds, *cap* is in bytes; None: no limit.

    *files*: contents by the variable that gets the path.  *logfiles*: path in *workdir* by stream.  *secrets*: their
    values.  *seen_in_ps*: names of secrets in *argv*.
    """

    argv: list[bytes]
    workdir: str
    env: dict[bytes, bytes]
    files: dict[str, bytes]
    stdin: bytes | None
    stdin_path: str | None
    timeout: float | None
    max_time: float | None
    interrupt_signal: int
    sigterm_time: float
    logfiles: dict[str, str]
    cap: int | None
    pty: bool
    separate_stderr: bool
    grace: float | None
    leave_running: bool
    secrets: list[bytes]
    seen_in_ps: list[str]
    wrapper: Wrapper

    def streams(self) -> list[str]:
        """
        The names of the streams that the command may write.
        """
        own = ["stdio", "stderr"] if self.separate_stderr and not self.pty else ["stdio"]
        return [*own, *(name for name in self.logfiles if name not in own)]


def read_start_request(message: Mapping[str, Any]) -> StartRequest:
    """
    Decode the message of a ``start``.  `StartRequestError` says what is wrong with it.
    """
    spec = _required(message, "spec", dict)
    secrets = _secrets(message)
    argv = _command(spec)
    workdir = _required(message, "workdir", str)
    if not os.path.isabs(workdir):
        raise StartRequestError(f"The working directory {workdir!r:.200} is not absolute.")
    stdin = _optional(spec, "stdin", str)
    inherited = _strings(message, "env")
    encoded = _encoded_environment(tuple(inherited.items()))
    return StartRequest(
        argv=[_argument(part, secrets) for part in argv],
        workdir=workdir,
        env=_environment(spec, inherited, encoded, workdir, secrets),
        files={_checked_name(name): _filled(text, secrets) for name, text in _strings(spec, "files").items()},
        stdin=None if stdin is None else _filled(stdin, secrets),
        stdin_path=_optional(message, "stdin_path", str),
        timeout=_seconds(spec, "timeout"),
        max_time=_seconds(spec, "max_time"),
        interrupt_signal=_signal(spec.get("interrupt_signal") or "TERM"),
        sigterm_time=_seconds(spec, "sigterm_time") or 0.0,
        logfiles=_logfiles(spec),
        cap=_optional(spec, "cap", int),
        pty=bool(spec.get("pty")),
        separate_stderr=bool(spec.get("separate_stderr")),
        grace=_seconds(spec, "grace"),
        leave_running=bool(spec.get("leave_running")),
        secrets=list(secrets.values()),
        seen_in_ps=sorted({name for part in argv if isinstance(part, str) for name in SECRET_REFERENCE.findall(part)}),
        wrapper=read_wrapper(message, workdir, encoded),
    )


def _secrets(message: Mapping[str, Any]) -> dict[str, bytes]:
    secrets = {name: _encoded(value, f"the secret {name}") for name, value in _strings(message, "secrets").items()}
    for name, value in secrets.items():
        if len(value) < SHORTEST_SECRET:
            raise StartRequestError(
                f"The secret {name} has fewer than {SHORTEST_SECRET} bytes; it could not be hidden in a log."
            )
        if len(value) > LARGEST_SECRET:
            raise StartRequestError(f"The secret {name} has more than {LARGEST_SECRET} bytes.")
    return secrets


def _command(spec: Mapping[str, Any]) -> list[object]:
    """
    The program and its arguments, with references to secrets.
    """
    script = _optional(spec, "script", str)
    argv: list[object] = ["/bin/sh", "-c", script] if script is not None else _required(spec, "argv", list)
    if not argv:
        raise StartRequestError("There is no command: give a program and its arguments, or a string for the shell.")
    return argv


def _environment(
    spec: Mapping[str, Any],
    inherited: Mapping[str, str],
    encoded: Mapping[bytes, bytes],
    workdir: str,
    secrets: Mapping[str, bytes],
) -> dict[bytes, bytes]:
    """
    The command's environment.  (With a wrapper, the wrapper itself has the inherited one: `wrapper`.)
    """
    found = dict(encoded)
    wanted = spec.get("env") or {}
    if not isinstance(wanted, dict):
        raise StartRequestError("env is not a dictionary.")
    for name, value in wanted.items():
        if value is None:
            found.pop(_variable(name), None)
        elif isinstance(value, str):
            found[_variable(name)] = _argument(_expanded(value, inherited), secrets)
        else:
            raise StartRequestError(f"The value of the environment variable {name} is not text.")
    found[b"PWD"] = _encoded(workdir, "the working directory")
    return found


@functools.lru_cache(maxsize=1)
def _encoded_environment(variables: tuple[tuple[str, str], ...]) -> Mapping[bytes, bytes]:
    """
    *variables* for the system.  Cached, because a slave's commands inherit the same ones: encoding 35 of them takes a
    tenth of the keeper's CPU time for a small command.
    """
    return {_variable(name): _encoded(value, name) for name, value in variables}


def _expanded(value: str, inherited: Mapping[str, str]) -> str:
    def replacement(match: re.Match[str]) -> str:
        return match[0][1:] if match[0].startswith("$$") else inherited.get(match[1], "")

    return _VARIABLE.sub(replacement, value)


def _logfiles(spec: Mapping[str, Any]) -> dict[str, str]:
    found = _strings(spec, "logfiles")
    taken = {"stdio", "stderr"} if spec.get("separate_stderr") else {"stdio"}
    for name, path in found.items():
        if name in taken or not name:
            raise StartRequestError(f"A log file cannot have the name {name!r}, which is for the command's own output.")
        if os.path.isabs(path) or ".." in path.split("/") or not path or "\0" in path:
            raise StartRequestError(
                f"The log file {path!r:.200} leads out of the working directory.  Give a path inside it, without '..'."
            )
    return found


def _filled(text: str, secrets: Mapping[str, bytes]) -> bytes:
    """
    *text* as bytes, with each reference replaced by the secret's value.
    """
    parts = SECRET_REFERENCE.split(text)
    for name in parts[1::2]:
        if name not in secrets:
            raise StartRequestError(f"The command names the secret {name}, but came without its value.")
    return b"".join(secrets[part] if odd % 2 else _encoded(part, "text") for odd, part in enumerate(parts))


def _argument(text: object, secrets: Mapping[str, bytes]) -> bytes:
    if not isinstance(text, str):
        raise StartRequestError("An argument of the command is not text.")
    filled = _filled(text, secrets)
    if b"\0" in filled:
        raise StartRequestError("An argument or a variable contains a NUL character, which no program can be passed.")
    return filled


def _checked_name(name: str) -> str:
    if not name or "=" in name or "\0" in name:
        raise StartRequestError(f"{name!r:.100} cannot be the name of an environment variable.")
    return name


def _variable(name: str) -> bytes:
    return _encoded(_checked_name(name), "a variable's name")


def _encoded(text: str, what: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise StartRequestError(f"{what} contains an invalid character (a lone surrogate).") from None


def _signal(name: object) -> int:
    wanted = str(name).upper()
    try:
        return int(signal.Signals[wanted if wanted.startswith("SIG") else f"SIG{wanted}"])
    except KeyError:
        raise StartRequestError(f"There is no signal {name!r:.40}.  Use TERM, INT, HUP, QUIT or KILL.") from None


def _seconds(spec: Mapping[str, Any], name: str) -> float | None:
    value = spec.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        raise StartRequestError(f"{name} is not a number of seconds.")
    return float(value)


def _strings(source: Mapping[str, Any], name: str) -> dict[str, str]:
    found = source.get(name) or {}
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise StartRequestError(f"{name} is not a dictionary of texts.")
    return found


def _required(source: Mapping[str, Any], name: str, kind: type) -> Any:
    value = source.get(name)
    if not isinstance(value, kind):
        raise StartRequestError(f"{name} is missing, or is not a {kind.__name__}.")
    return value


def _optional(source: Mapping[str, Any], name: str, kind: type) -> Any:
    return None if source.get(name) is None else _required(source, name, kind)
