"""
The collaborators that all commands of a keeper share.
"""

from typing import NamedTuple

from .command_store import CommandStore
from .loop import Loop
from .process_tracker import ProcessSet, ProcessTracker
from .tail import ChangeNotifier


class WaitLimits(NamedTuple):
    """
    Seconds to wait: for room on the *disk*, with an attempt every *retry*; for pipes to *drain* when all processes are
    dead; for processes to die of SIGKILL (*kill*); in an *urgent* case, between the command's own signal and SIGKILL;
    for the master to take an outcome, before it is synced here (*take*).
    """

    disk: float = 600.0
    retry: float = 1.0
    drain: float = 5.0
    kill: float = 60.0
    urgent: float = 15.0
    take: float = 5.0


class KeeperContext(NamedTuple):
    """
    *directory*: the keeper's own.  *process_sets*: those of the running commands, by the pid of the main process.
    *portable_spawn*: do not use ``posix_spawn`` (for tests).
    """

    directory: str
    loop: Loop
    store: CommandStore
    tracker: ProcessTracker
    process_sets: dict[int, ProcessSet]
    notifier: ChangeNotifier
    wait_limits: WaitLimits
    portable_spawn: bool
