"""
What all commands of a keeper share.
"""

from typing import NamedTuple

from .command_store import CommandStore
from .loop import Loop
from .process_tracker import ProcessSet, ProcessTracker
from .tail import ChangeNotifier


class WaitLimits(NamedTuple):
    """
    How many seconds to wait: for room on the *disk*, trying every *retry*; for pipes to *drain* when everybody is dead;
    for processes to die of SIGKILL; in *urgent*, between the polite signal and that.
    """

    disk: float = 600.0
    retry: float = 1.0
    drain: float = 5.0
    kill: float = 60.0
    urgent: float = 15.0


class KeeperContext(NamedTuple):
    """
    *process_sets* are those that live, by their main process.
    """

    directory: str
    loop: Loop
    store: CommandStore
    tracker: ProcessTracker
    process_sets: dict[int, ProcessSet]
    notifier: ChangeNotifier
    wait_limits: WaitLimits
    portable_spawn: bool
