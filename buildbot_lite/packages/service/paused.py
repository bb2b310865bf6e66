"""
Paused targets, whose builds do not start.  They are recorded, so they stay paused over restarts.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from ...storage.records import states

_OWNER = "paused-target:"
"""The prefix of the owner under which a target's pause is recorded."""


def pause(connection: Connection, target: str, reason: str, by: str, now: float) -> None:
    """
    Record that *by* paused *target*.  *reason*: for people, or "".
    """
    states.put(connection, _OWNER + target, {"reason": reason, "by": by, "at": now}, now)


def unpause(connection: Connection, target: str, now: float) -> None:
    """
    Record that *target* is no longer paused.
    """
    states.put(connection, _OWNER + target, None, now)


def paused_targets(connection: Connection) -> Mapping[str, Mapping[str, Any]]:
    """
    The targets that are paused: by name, the reason, by whom, and since when.
    """
    found = states.with_prefix(connection, _OWNER)
    return {owner.removeprefix(_OWNER): value for owner, value in found.items()}
