"""
Detection of daemon processes.
"""

import os


def is_daemon() -> bool:
    """
    Whether twistd daemonized this process: its standard input is /dev/null, and its session is not led by its parent's
    process group.
    """
    try:
        return os.path.samestat(os.fstat(0), os.stat(os.devnull)) and os.getsid(0) != os.getpgid(os.getppid())
    except OSError:
        return True
