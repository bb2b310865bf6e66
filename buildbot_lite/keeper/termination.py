"""
Ends the processes of one command.

::

    main process alive --begin--> signalled --deadline--> SIGKILL every 0.05 s
            |                         |                       |
            `----- main ended --------+------ main ended -----'
                                      |
                                      v
                   the others: the same signal, once each, until the deadline;
                               then SIGKILL, until none is left or `WaitLimits.kill` seconds have passed

Before each round of signals `process_tracker` lists the processes again, because a process may have been forked between
the last listing and the signals.

While processes cannot be listed, only the main process is signalled (it is a child, so its pid is not reused before it
is reaped), and the listing is retried.
"""

import signal
from collections.abc import Callable, Iterable
from typing import NamedTuple

from .context import KeeperContext
from .loop import Timers
from .process_table import NoProcessTableError, ProcessEntry
from .process_tracker import ProcessSet

# Seconds between two attempts to list processes when the first one failed.
_RETRY_PERIOD = 1.0


class TerminationRequest(NamedTuple):
    """
    End by *signum*; from *until* on (`Loop.now`), by SIGKILL.  *signalled*: processes that got *signum*, by pid and
    start.
    """

    signum: int
    until: float
    signalled: set[tuple[int, int]]


class Termination:
    """
    Ends the processes of *process_set*, a command that has just been spawned.  *ended* is called once, when that is
    done or given up: with "" when no process is left, otherwise with a sentence about those that survive.
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
        # Without `begin`, processes that outlive the main process get SIGKILL at once.
        self._request = TerminationRequest(signal.SIGKILL, 0.0, set())
        self._process_sets[process_set.pid] = process_set

    def begin(self, signum: int, seconds: float) -> None:
        """
        Send *signum* to all processes, and SIGKILL to those that are alive *seconds* later.
        """
        self._request = TerminationRequest(signum, self._loop.now() + seconds, set())
        self._signal(self._members())
        self._timers.set("force", seconds, self._force)

    def shorten(self, seconds: float) -> None:
        """
        Send SIGKILL in *seconds* at the latest.
        """
        now = self._loop.now()
        self._request = self._request._replace(until=min(self._request.until, now + seconds))
        if "force" in self._timers:
            self._timers.set("force", self._request.until - now, self._force)

    def main_ended(self, report_survivors: Callable[[list[ProcessEntry]], None] = lambda left: None) -> None:
        """
        Note that the main process was reaped, and end the others.  *report_survivors*: called with the processes that
        outlived it, before each time that they get SIGKILL.
        """
        self._report_survivors = report_survivors
        # From now on, its pid may be reused.
        self._process_set.members.pop(self._process_set.pid, None)
        self._timers.cancel("force")
        if self._tracker.childless(self._process_sets):
            self._finish("")
        else:
            self._end_survivors()

    def leave_running(self) -> None:
        """
        Note that the main process was reaped, and stop tracking the others (`leaveRunning`).  *ended* is not called.
        """
        self._tracker.leave_running(self._process_set)
        self._forget()

    def _force(self) -> None:
        """
        SIGKILL to all processes, until the main process is reaped.
        """
        self._kill(self._members())
        self._timers.set("force", 0.05, self._force)

    def _end_survivors(self) -> None:
        """
        End the processes that outlived the main process.
        """
        try:
            left = self._members()
        except NoProcessTableError:
            # This may pass: for instance, ps cannot be started while the process table is full.
            self._give_up_later()
            self._timers.set("survivors", _RETRY_PERIOD, self._end_survivors)
            return
        if not left:
            self._finish("")
        elif self._loop.now() < self._request.until:
            # Some may have been forked while the others were signalled.
            self._signal(process for process in left if _identity(process) not in self._request.signalled)
            self._timers.set("survivors", 0.05, self._end_survivors)
        else:
            self._report_survivors(left)
            self._kill(left)
            self._timers.set("survivors", 0.01, self._end_survivors)

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
                # A stopped process handles no signal before it is continued.
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
            self._finish(f"The processes that the command left running were not killed.  {error}")
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
