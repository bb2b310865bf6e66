"""
Targets of which no build is started, recorded over restarts.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from ..storage.records import states

_OWNER = "paused-target:"
"""The beginning of the owner of the state of a target."""


def pause(connection: Connection, target: str, reason: str, by: str, now: float) -> None:
    """
    *target* is paused, for a *reason* or "", by somebody.
    """
    states.put(connection, _OWNER + target, {"reason": reason, "by": by, "at": now}, now)


def unpause(connection: Connection, target: str, now: float) -> None:
    """
    *target* is not paused any more.
    """
    states.put(connection, _OWNER + target, None, now)


def paused_targets(connection: Connection) -> Mapping[str, Mapping[str, Any]]:
    """
    The targets that are paused: by name, the reason, by whom, and since when.
    """
    found = states.with_prefix(connection, _OWNER)
    return {owner.removeprefix(_OWNER): value for owner, value in found.items()}
