"""
Which commands a keeper runs, read from its records by another process.

Its socket is for the slave: whoever connects there takes the slave's place.
"""

import contextlib
import json
import os
from typing import NamedTuple


class RunningCommand(NamedTuple):
    """
    A command that has begun and not ended.  *grace*: seconds, of `start_request.StartRequest`; None: none, or unknown,
    because a keeper of an earlier version did not record it.
    """

    id: str
    grace: float | None


def running_commands(directory: str) -> list[RunningCommand]:
    """
    The commands of the keeper that has the lock in *directory*.  OSError if the records cannot be read.
    """
    running: dict[str, RunningCommand] = {}
    try:
        with open(os.path.join(directory, "claims"), "rb") as lines:
            for line in lines:
                # The keeper may be writing the last one.
                with contextlib.suppress(ValueError):
                    _replay(json.loads(line), running)
    except FileNotFoundError:
        return []
    return list(running.values())


def _replay(record: object, running: dict[str, RunningCommand]) -> None:
    if not isinstance(record, dict):
        return
    id = str(record.get("id"))
    if record.get("record") == "claim":
        grace = record.get("grace")
        running[id] = RunningCommand(id, float(grace) if isinstance(grace, int | float) else None)
    elif record.get("record") in ("ended", "forgotten"):
        running.pop(id, None)
