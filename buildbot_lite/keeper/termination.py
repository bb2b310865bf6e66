"""
The processes of one command, and how they are ended.

::

    main process lives --ask--> asked --time is up--> SIGKILL, again and again
            |                     |                      |
            `----- main ended ----+------ main ended ----'
                                  |
                                  v
                   those who are left: the polite signal, if they were not told yet and there is time;
                                       then SIGKILL, until nobody is left or it does not help

`process_tracker` knows who they are.  It looks anew before every blow: a process may be born between look and blow.

When processes cannot be listed for a while, the main process is signalled all the same (it is our child, so its number
is its own until it is reaped), and the rest is looked for again until patience ends.
"""

import signal
from collections.abc import Callable, Iterable
from typing import NamedTuple

from .context import Surroundings
from .loop import Timers
from .process_tracker import (
    Family,
    NoProcessTableError,
    Process,
)

# Seconds between two attempts to list processes when the first one failed.
_LOOK_AGAIN = 1.0


class Request(NamedTuple):
    """
    To end, by *signum*, politely *until* then; who was *told* so, by number and start.
    """

    signum: int
    until: float
    told: set[tuple[int, int]]


class Processes:
    """
    Those of *family*, which begins now.  *gone* is called once, when nothing more is done to them: with "" when none is
    left, or with a sentence about those that were not ended.
    """

    def __init__(self, family: Family, *, surroundings: Surroundings, gone: Callable[[str], None]) -> None:
        self._family = family
        self._kinship = surroundings.kinship
        self._families = surroundings.families
        self._loop = surroundings.loop
        self._patience = surroundings.patience.kill
        self._gone = gone
        self._timers = Timers(surroundings.loop)
        self._outlived: Callable[[list[Process]], None] = lambda left: None
        # Nobody was asked: who outlives the main process has no time left.
        self._request = Request(signal.SIGKILL, 0.0, set())
        self._families[family.pid] = family

    def ask(self, signum: int, patience: float) -> None:
        """
        Tell all of them to end, by *signum*; those who have not in *patience* seconds are killed.
        """
        self._request = Request(signum, self._loop.now() + patience, set())
        self._tell(self._members())
        self._timers.set("force", patience, self._force)

    def hurry(self, patience: float) -> None:
        """
        Who was asked has *patience* seconds at most.
        """
        now = self._loop.now()
        self._request = self._request._replace(until=min(self._request.until, now + patience))
        if "force" in self._timers:
            self._timers.set("force", self._request.until - now, self._force)

    def main_ended(self, outlived: Callable[[list[Process]], None] = lambda left: None) -> None:
        """
        The main process was reaped: the others have to end as well.  *outlived* is given those that are killed for it,
        some of them again and again.
        """
        self._outlived = outlived
        # Its number may become another's.
        self._family.members.pop(self._family.pid, None)
        self._timers.cancel("force")
        if self._kinship.childless(self._families):
            self._let_go("")
        else:
            self._clean()

    def spare(self) -> None:
        """
        The main process was reaped: who is left may live, and is nothing to us.  (*gone* is not called.)
        """
        self._kinship.spare(self._family)
        self._forget()

    def _force(self) -> None:
        """
        SIGKILL to everybody, until the main process is reaped.
        """
        self._kill(self._members())
        self._timers.set("force", 0.05, self._force)

    def _clean(self) -> None:
        """
        Make those go who are left without the main process.
        """
        try:
            left = self._members()
        except NoProcessTableError:
            # Perhaps only for now: ps cannot be started while the machine has no room for another process.
            self._lose_patience_later()
            self._timers.set("clean", _LOOK_AGAIN, self._clean)
            return
        if not left:
            self._let_go("")
        elif self._loop.now() < self._request.until:
            # Those who were being born when everybody else was told.
            self._tell(process for process in left if _identity(process) not in self._request.told)
            self._timers.set("clean", 0.05, self._clean)
        else:
            self._outlived(left)
            self._kill(left)
            self._timers.set("clean", 0.01, self._clean)

    def _members(self) -> list[Process]:
        family = self._family
        try:
            return self._kinship.members(family, self._families)
        except NoProcessTableError:
            if family.pid not in family.members:
                raise
            return [Process(family.pid, 0, family.pid, family.started)]

    def _tell(self, processes: Iterable[Process]) -> None:
        for process in processes:
            self._request.told.add(_identity(process))
            self._kinship.signal(process, self._request.signum)
            if self._request.signum != signal.SIGKILL:
                # One that was stopped would not notice.
                self._kinship.signal(process, signal.SIGCONT)

    def _kill(self, processes: Iterable[Process]) -> None:
        for process in processes:
            self._kinship.signal(process, signal.SIGKILL)
        self._lose_patience_later()

    def _lose_patience_later(self) -> None:
        if "unkillable" not in self._timers:
            self._timers.set("unkillable", self._patience, self._lose_patience)

    def _lose_patience(self) -> None:
        try:
            pids = ", ".join(str(process.pid) for process in self._members())
        except NoProcessTableError as error:
            self._let_go(f"What the command left behind was not ended.  {error}")
        else:
            self._let_go(f"Not even SIGKILL ended these processes: {pids}." if pids else "")

    def _let_go(self, sentence: str) -> None:
        self._forget()
        self._gone(sentence)

    def _forget(self) -> None:
        self._timers.clear()
        if self._families.get(self._family.pid) is self._family:
            del self._families[self._family.pid]


def _identity(process: Process) -> tuple[int, int]:
    return process.pid, process.started
