"""
``python -m buildbot_lite.slave.file_worker``: runs one job of `file_jobs`, and exits.

The job is the first line of standard input; the result is written to standard output; both are JSON.  The process exits
when standard input is closed, so also when the slave dies.  Archives are untrusted, so the memory is bounded; and when
the machine runs out of memory, this process is the first to be killed (oom_score_adj, proc(5)).
"""

import json
import os
import resource
import sys
import threading
from contextlib import suppress

from .file_jobs import perform

MOST_MEMORY = 256 << 20
"""Bytes of address space."""


def main() -> None:
    """
    Run the job.
    """
    line = sys.stdin.buffer.readline()
    threading.Thread(target=_exit_with_the_slave, daemon=True).start()
    _limit_memory()
    answer = perform(json.loads(line))
    sys.stdout.write(json.dumps(answer))
    sys.stdout.flush()


def _exit_with_the_slave() -> None:
    # Not with sys.stdin, whose lock would block the exit of the interpreter.
    while os.read(0, 1024):
        pass
    os._exit(1)


def _limit_memory() -> None:
    for kind, most in ((resource.RLIMIT_AS, MOST_MEMORY), (resource.RLIMIT_CORE, 0)):
        # Not every system has every limit.
        with suppress(OSError, ValueError):
            _, hard = resource.getrlimit(kind)
            resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as adjustment:
        adjustment.write("1000")


if __name__ == "__main__":
    main()
