"""
What became of a slave's attempts to reach its master: the file ``private/connection`` of its directory.

Programs on the same machine read it: ``buildbot-lite start`` says whether the slave was accepted, and why not.  The
slave's process writes it at each change; `forget` it before a process is started whose state is of interest.
"""

import json
import os
from contextlib import suppress
from enum import Enum

from attrs import frozen

from ..storage.files import write_whole

LONGEST = 1 << 14


class State(Enum):
    """
    How a slave stands with its master.
    """

    CONNECTING = "connecting"
    CONNECTED = "connected"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"


@frozen
class ConnectionState:
    """
    *reason*: why it is unreachable (half a sentence, which begins with the place), or refused (a sentence).  *retry*:
    seconds between the refusal and the next attempt, about.
    """

    state: State
    reason: str = ""
    retry: float = 0.0


def write(private: str, found: ConnectionState) -> None:
    """
    It stands so now; *private*: the slave's private directory.  `StorageError` when that cannot be written.
    """
    document = {"state": found.state.value, "reason": found.reason, "retry": found.retry}
    write_whole(_path(private), json.dumps(document).encode())


def read(private: str) -> ConnectionState | None:
    """
    How the slave stood last; None when nothing is known.
    """
    try:
        with open(_path(private), encoding="utf-8", errors="replace") as file:
            document = json.loads(file.read(LONGEST))
        return ConnectionState(State(document["state"]), str(document["reason"]), float(document["retry"]))
    except (OSError, ValueError, LookupError, TypeError):
        return None


def forget(private: str) -> None:
    """
    Whatever is written there is about a process that ended.
    """
    with suppress(FileNotFoundError):
        os.unlink(_path(private))


def _path(private: str) -> str:
    return os.path.join(private, "connection")
