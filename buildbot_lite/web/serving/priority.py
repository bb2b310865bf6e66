"""
Pages come after builds: the web process lowers its own priority.

A nice value weighs a thread against the others in its group only (sched(7)).  The groups are those of cgroups(7), which
the unit of systemd weighs (``CPUWeight=``), or without them the sessions (*autogroup*), which have nice values of their
own.  So the session's is lowered, too, unless somebody else is in it: a shell, or the master.

Less of the processor is not enough: a process that sleeps and wakes for each piece of a log would each time take the
processor from whoever runs.  A thread of the policy *batch* wakes without doing so (sched(7)).

A priority is never raised: one that the administrator made lower stays, and so does a policy other than the usual one.
"""

import os
from contextlib import suppress

NICE = 15
"""
The nice value of a web process: against a program of nice 0 on the same processor it gets about a thirtieth (sched(7)).
"""
LOWEST = 19
_RANGE = range(LOWEST + 1)


def yield_to_builds(nice: int = NICE, proc: str = "/proc") -> int:
    """
    Lower the priority of this thread and those that it starts later, and if possible of its session, to *nice*, 0 to
    19; 0 changes nothing.  Call it while there are no other threads.  The nice value from then on.  *proc*: the
    directory of proc(5).
    """
    now = os.getpriority(os.PRIO_PROCESS, 0)
    if not nice:
        return now
    if now < nice:
        os.setpriority(os.PRIO_PROCESS, 0, nice)
    # A sandbox may forbid it (seccomp(2)), and pages are worth more than this.
    with suppress(OSError):
        if os.sched_getscheduler(0) == os.SCHED_OTHER:
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    _lower_session(nice, proc)
    return max(now, nice)


def is_nice(value: object) -> bool:
    """
    Whether *value* is a nice value that lowers a priority, or 0.
    """
    return isinstance(value, int) and not isinstance(value, bool) and value in _RANGE


def _lower_session(nice: int, proc: str) -> None:
    path = os.path.join(proc, "self", "autogroup")
    # Not there, or not ours to change: then only the process is lowered.
    with suppress(OSError, ValueError):
        with open(path, encoding="ascii") as file:
            now = int(file.read().split()[-1])
        if now < nice and _is_alone(proc):
            with open(path, "w", encoding="ascii") as file:
                file.write(str(nice))


def _is_alone(proc: str) -> bool:
    """
    Whether no other process is in this session; those that have ended do not count, such as its leader when twistd has
    become a daemon.
    """
    own, session = str(os.getpid()), os.getsid(0)
    return session not in {_session(proc, pid) for pid in os.listdir(proc) if pid.isdigit() and pid != own}


def _session(proc: str, pid: str) -> int | None:
    """
    The session of the process *pid*; None if it has ended.
    """
    try:
        with open(os.path.join(proc, pid, "stat"), "rb") as file:
            # The name is in parentheses, and may have any character.  Behind it: state, parent, group, session, …
            state, _, _, session = file.read().rpartition(b")")[2].split()[:4]
    except (OSError, ValueError):
        return None
    return None if state in {b"Z", b"X"} else int(session)
