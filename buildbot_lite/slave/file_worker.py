"""
``python -m buildbot_lite.slave.file_worker``: does one job of `file_jobs`, and ends.

The job is the first line of standard input, the answer is what it writes to standard output, both JSON.  Standard input
stays open for as long as the job is wanted: when the slave that asked for it is gone, so is this process.  What it is
given may have been made to do harm, so its memory is bounded, and if the machine has too little, it is the first to go.
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
    Do the job.
    """
    line = sys.stdin.buffer.readline()
    threading.Thread(target=_end_with_the_slave, daemon=True).start()
    _bound()
    answer = perform(json.loads(line))
    sys.stdout.write(json.dumps(answer))
    sys.stdout.flush()


def _end_with_the_slave() -> None:
    # Unbuffered: a lock of sys.stdin's would be in the way of the interpreter's end.
    while os.read(0, 1024):
        pass
    os._exit(1)


def _bound() -> None:
    for kind, most in ((resource.RLIMIT_AS, MOST_MEMORY), (resource.RLIMIT_CORE, 0)):
        # Not every system has every bound.
        with suppress(OSError, ValueError):
            _, hard = resource.getrlimit(kind)
            resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as adjustment:
        adjustment.write("1000")


if __name__ == "__main__":
    main()
