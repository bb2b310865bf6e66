"""
The commands of an earlier keeper: those without an outcome are lost, and their processes are killed.
"""

from collections.abc import Iterable

from .command_store import CommandStore, FinishedCommand
from .loop import warn
from .process_table import NoProcessTableError, boot
from .process_tracker import ProcessTracker


def earlier_commands(
    store: CommandStore, tracker: ProcessTracker
) -> tuple[list[FinishedCommand], Iterable[FinishedCommand]]:
    """
    The commands in *store* that have an outcome, and those that are lost: without an outcome, or unknown if it is not
    even recorded that they were spawned.  Each lost one is examined when it is asked for: one whose files cannot be
    read or removed must not keep those before it from being written.
    """
    ended: list[FinishedCommand] = []
    dead: list[tuple[str, str, bool]] = []
    for id, fingerprint, ending, spawned in store.found():
        outcome = (ending or {}).get("outcome")
        if ending is not None and isinstance(outcome, dict):
            ended.append(FinishedCommand(id, fingerprint, str(ending.get("life")), outcome))
        else:
            dead.append((id, fingerprint, spawned))
    if not dead:
        return ended, []
    left = _kill_leftovers(store, tracker, [id for id, _fingerprint, _spawned in dead])
    return ended, (_lost(store, id, fingerprint, left, spawned=spawned) for id, fingerprint, spawned in dead)


def _lost(store: CommandStore, id: str, fingerprint: str, left: str, *, spawned: bool) -> FinishedCommand:
    store.remove_private(id)
    sentence = (
        "The keeper that ran it ended, and the command with it."
        if spawned
        else "The keeper that claimed it ended; whether the command ran is unknown."
    )
    outcome = {"ending": "lost", "sentence": f"{sentence}{left}", "streams": store.seals(id)}
    return FinishedCommand(id, fingerprint, "lost" if spawned else "unknown", outcome)


def _kill_leftovers(store: CommandStore, tracker: ProcessTracker, ids: list[str]) -> str:
    """
    Kill the processes that the commands *ids* left; return a sentence about those that are still alive, or "".
    """
    try:
        left = tracker.kill_leftovers({id: store.main_of(id, boot()) for id in ids})
    except NoProcessTableError as error:
        words = f"  Its processes may still run.  {error}"
    else:
        words = f"  Not even SIGKILL ended these processes: {', '.join(map(str, left))}." if left else ""
    if words:
        warn(words.strip())
    return words
