"""
The outcomes of commands on their way to the disk.

::

    write ── disk full ──► retried ──► written ── master silent ──► synced
                                          └────── forgotten ──────► nothing left to do

The client is told an outcome without waiting for this: the master takes most outcomes within seconds, and then has
them on its own disk.  If the keeper dies before an outcome is written, or the machine before it is synced, the command
counts as lost.
"""

from collections.abc import Callable

from .command_store import CommandStore, FinishedCommand
from .context import WaitLimits
from .loop import Loop, Timer, warn


class OutcomeWriter:
    """
    Writes and syncs outcomes in *store*.  *limits*: the times until it tries again and until it syncs.  *written*:
    called when an outcome was written.
    """

    def __init__(
        self, store: CommandStore, loop: Loop, limits: WaitLimits, written: Callable[[], object] = lambda: None
    ) -> None:
        self._store = store
        self._loop = loop
        self._limits = limits
        self._written = written
        self._unwritten: dict[str, Timer] = {}
        self._unsynced: dict[str, Timer] = {}

    @property
    def waits_for_room(self) -> bool:
        """
        Whether an outcome is not written yet.
        """
        return bool(self._unwritten)

    def write(self, finished: FinishedCommand) -> None:
        """
        Write an outcome; retry while the disk is full.
        """
        self._unwritten.pop(finished.id, None)
        try:
            self._store.end(finished)
        except OSError as error:
            warn(f"an outcome cannot be written: {error.strerror}")
            self._unwritten[finished.id] = self._loop.later(self._limits.retry, lambda: self.write(finished))
        else:
            self.sync_later(finished.id)
            self._written()

    def sync_later(self, id: str) -> None:
        """
        Sync the written outcome of *id*, unless it is forgotten first.
        """
        self._unsynced[id] = self._loop.later(self._limits.take, lambda: self._sync(id))

    def forget(self, id: str) -> None:
        """
        Do nothing more for the outcome of *id*.
        """
        for timers in (self._unwritten, self._unsynced):
            if id in timers:
                timers.pop(id).cancel()

    def close(self) -> None:
        """
        Sync all written outcomes now.
        """
        for id in list(self._unsynced):
            self._sync(id)

    def _sync(self, id: str) -> None:
        self._unsynced.pop(id).cancel()
        try:
            self._store.sync(id)
        except OSError as error:
            # Not tried again: only the first fsync reports a lost page.  The next keeper compares the checksums.
            warn(f"an outcome cannot be synced: {error.strerror}")
