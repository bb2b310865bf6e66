"""
Whether this process is a daemon.
"""

import os


def is_daemon() -> bool:
    """
    Whether twistd has made a daemon of this process: then its standard input is /dev/null and it leads no terminal.
    """
    try:
        return os.path.samestat(os.fstat(0), os.stat(os.devnull)) and os.getsid(0) != os.getpgid(os.getppid())
    except OSError:
        return True
