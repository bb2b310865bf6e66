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

from .context import KeeperContext
from .loop import Timers
from .process_tracker import (
    NoProcessTableError,
    ProcessEntry,
    ProcessSet,
)

# Seconds between two attempts to list processes when the first one failed.
_RETRY_PERIOD = 1.0


class TerminationRequest(NamedTuple):
    """
    To end, by *signum*, politely *until* then; who was *signalled* so, by number and start.
    """

    signum: int
    until: float
    signalled: set[tuple[int, int]]


class Termination:
    """
    Ends the processes of *process_set*, a command that has just been spawned.  *ended* is called once, when nothing
    more is done: with "" when no process is left, otherwise with a sentence about those that survive.
    """

    def __init__(self, process_set: ProcessSet, *, context: KeeperContext, ended: Callable[[str], None]) -> None:
        self._process_set = process_set
        self._tracker = context.tracker
        self._process_sets = context.process_sets
        self._loop = context.loop
        self._kill_timeout = context.wait_limits.kill
        self._ended = ended
        self._timers = Timers(context.loop)
        self._report_survivors: Callable[[list[ProcessEntry]], None] = lambda left: None
        # Nobody was asked: who outlives the main process has no time left.
        self._request = TerminationRequest(signal.SIGKILL, 0.0, set())
        self._process_sets[process_set.pid] = process_set

    def ask(self, signum: int, seconds: float) -> None:
        """
        Tell all of them to end, by *signum*; those who have not in *seconds* seconds are killed.
        """
        self._request = TerminationRequest(signum, self._loop.now() + seconds, set())
        self._signal(self._members())
        self._timers.set("force", seconds, self._force)

    def hurry(self, seconds: float) -> None:
        """
        Who was asked has *seconds* seconds at most.
        """
        now = self._loop.now()
        self._request = self._request._replace(until=min(self._request.until, now + seconds))
        if "force" in self._timers:
            self._timers.set("force", self._request.until - now, self._force)

    def main_ended(self, report_survivors: Callable[[list[ProcessEntry]], None] = lambda left: None) -> None:
        """
        The main process was reaped: end the others as well.  *report_survivors* gets the processes that outlived it,
        each time before they are killed.
        """
        self._report_survivors = report_survivors
        # Its number may become another's.
        self._process_set.members.pop(self._process_set.pid, None)
        self._timers.cancel("force")
        if self._tracker.childless(self._process_sets):
            self._finish("")
        else:
            self._clean()

    def leave_running(self) -> None:
        """
        The main process was reaped: who is left may live, and is nothing to us.  (*ended* is not called.)
        """
        self._tracker.leave_running(self._process_set)
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
            self._give_up_later()
            self._timers.set("clean", _RETRY_PERIOD, self._clean)
            return
        if not left:
            self._finish("")
        elif self._loop.now() < self._request.until:
            # Those who were being born when everybody else was told.
            self._signal(process for process in left if _identity(process) not in self._request.signalled)
            self._timers.set("clean", 0.05, self._clean)
        else:
            self._report_survivors(left)
            self._kill(left)
            self._timers.set("clean", 0.01, self._clean)

    def _members(self) -> list[ProcessEntry]:
        process_set = self._process_set
        try:
            return self._tracker.members(process_set, self._process_sets)
        except NoProcessTableError:
            if process_set.pid not in process_set.members:
                raise
            return [ProcessEntry(process_set.pid, 0, process_set.pid, process_set.started)]

    def _signal(self, processes: Iterable[ProcessEntry]) -> None:
        for process in processes:
            self._request.signalled.add(_identity(process))
            self._tracker.signal(process, self._request.signum)
            if self._request.signum != signal.SIGKILL:
                # One that was stopped would not notice.
                self._tracker.signal(process, signal.SIGCONT)

    def _kill(self, processes: Iterable[ProcessEntry]) -> None:
        for process in processes:
            self._tracker.signal(process, signal.SIGKILL)
        self._give_up_later()

    def _give_up_later(self) -> None:
        if "unkillable" not in self._timers:
            self._timers.set("unkillable", self._kill_timeout, self._give_up)

    def _give_up(self) -> None:
        try:
            pids = ", ".join(str(process.pid) for process in self._members())
        except NoProcessTableError as error:
            self._finish(f"What the command left behind was not ended.  {error}")
        else:
            self._finish(f"Not even SIGKILL ended these processes: {pids}." if pids else "")

    def _finish(self, sentence: str) -> None:
        self._forget()
        self._ended(sentence)

    def _forget(self) -> None:
        self._timers.clear()
        if self._process_sets.get(self._process_set.pid) is self._process_set:
            del self._process_sets[self._process_set.pid]


def _identity(process: ProcessEntry) -> tuple[int, int]:
    return process.pid, process.started
