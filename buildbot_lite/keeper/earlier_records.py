"""
Converts the records of a keeper of version 0.1.0 to the present form.

::

    commands/ID/claim          id, fingerprint, names of streams
               spawned         a symbolic link whose text is pid, start time and boot
               outcome.json    empty until the command has ended (torn JSON counts as empty)
    forgotten                  ids, one JSON string in a line
"""

import contextlib
import json
import os
from collections.abc import Iterator
from typing import Any

_NAMES = ("claim", "spawned", "outcome.json")


def earlier_records(directory: str) -> Iterator[dict[str, Any]]:
    """
    The records in a keeper's *directory*, in the order in which `command_store` reads its own.
    """
    with contextlib.suppress(FileNotFoundError), open(os.path.join(directory, "forgotten"), "rb") as lines:
        for line in lines:
            id = _json(line) if line.endswith(b"\n") else None
            if isinstance(id, str):
                yield {"record": "forgotten", "id": id}
    commands = os.path.join(directory, "commands")
    for name in sorted(os.listdir(commands)):
        yield from _of_command(os.path.join(commands, name))


def remove_earlier_records(directory: str) -> None:
    """
    Remove the files of version 0.1.0, after their records were written in the present form.
    """
    commands = os.path.join(directory, "commands")
    paths = [os.path.join(commands, name, each) for name in os.listdir(commands) for each in _NAMES]
    for path in [os.path.join(directory, "forgotten"), *paths]:
        with contextlib.suppress(OSError):
            os.unlink(path)


def _of_command(directory: str) -> Iterator[dict[str, Any]]:
    claim = _contents(os.path.join(directory, "claim"))
    if claim is None:
        # A claim was complete on the disk before the spawn, so this command was not spawned.
        return
    id = claim.get("id")
    yield {**claim, "record": "claim"}
    with contextlib.suppress(OSError, ValueError):
        pid, started, boot = os.readlink(os.path.join(directory, "spawned")).split(" ", 2)
        yield {"record": "spawned", "id": id, "pid": int(pid), "started": int(started), "boot": boot}
    ended = _contents(os.path.join(directory, "outcome.json"))
    if ended is not None:
        yield {**ended, "record": "ended", "id": id}


def _contents(path: str) -> dict[str, Any] | None:
    try:
        with open(path, "rb") as source:
            found = _json(source.read())
    except (FileNotFoundError, NotADirectoryError):
        # Any other error must stop the keeper: a claim that cannot be read is not one that was never made.
        return None
    return found if isinstance(found, dict) else None


def _json(text: bytes) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None
