"""
The state of a slave's connection to its master, in the file ``private/connection`` of its directory.

The slave writes it at each change.  Programs on the same machine read it: ``buildbot-lite start`` reports whether the
slave was accepted, and if not, why.  Before starting a process, call `forget`, so that `read` returns the state of that
process.
"""

import json
import os
from contextlib import suppress
from enum import Enum

from attrs import frozen

from ..storage.files import write_whole

LONGEST = 1 << 14
"""Bytes of the file that are read."""


class State(Enum):
    """
    The state of the connection.
    """

    CONNECTING = "connecting"
    CONNECTED = "connected"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"


@frozen
class ConnectionState:
    """
    *reason*: why the master is unreachable ("ADDRESSES: REASON"), or refused the slave (a sentence).  *retry*:
    approximate seconds between the refusal and the next attempt.
    """

    state: State
    reason: str = ""
    retry: float = 0.0


def write(private: str, state: ConnectionState) -> None:
    """
    Store *state*.  *private*: the slave's private directory.  `StorageError` when it is not writable.
    """
    document = {"state": state.state.value, "reason": state.reason, "retry": state.retry}
    write_whole(_path(private), json.dumps(document).encode())


def read(private: str) -> ConnectionState | None:
    """
    The last state; None if none is stored, or it cannot be read.
    """
    try:
        with open(_path(private), encoding="utf-8", errors="replace") as file:
            document = json.loads(file.read(LONGEST))
        return ConnectionState(State(document["state"]), str(document["reason"]), float(document["retry"]))
    except (OSError, ValueError, LookupError, TypeError):
        return None


def forget(private: str) -> None:
    """
    Remove the state, which is that of an earlier process.
    """
    with suppress(FileNotFoundError):
        os.unlink(_path(private))


def _path(private: str) -> str:
    return os.path.join(private, "connection")
