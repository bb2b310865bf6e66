"""
Reopening of twistd's log file after another program, such as logrotate, has moved or removed it.

twistd would continue to write into the moved file.  Each process checks every few seconds whether its open file is
still the one at its path.  A signal was rejected: each rotation would have to send it to the right process, and a
master reloads master.cfg on SIGHUP.
"""

import os
from collections.abc import Iterator
from contextlib import suppress

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import FileLogObserver, LogPublisher, globalLogPublisher
from twisted.python.logfile import BaseLogFile

INTERVAL = 5.0
"""Seconds between two checks."""


def watch_log_files(clock: IReactorTime) -> LoopingCall:
    """
    Start to reopen moved log files every `INTERVAL` seconds; ``stop()`` of the result ends it.
    """
    watching = LoopingCall(reopen_moved)
    watching.clock = clock
    _ = watching.start(INTERVAL, now=False)
    return watching


def reopen_moved(publisher: LogPublisher = globalLogPublisher) -> None:
    """
    Reopen the log files of *publisher* that are no longer at their paths.

    If a file cannot be opened, the log continues in the moved one.
    """
    for file in _log_files(publisher):
        if _is_moved(file):
            with suppress(OSError), open(file.path, "ab"):
                file.reopen()


def _log_files(publisher: LogPublisher) -> Iterator[BaseLogFile]:
    # twistd creates the file itself; there is no public access to it.
    for observer in publisher._observers:  # noqa: SLF001
        file = getattr(observer, "_outFile", None) if isinstance(observer, FileLogObserver) else None
        if isinstance(file, BaseLogFile):
            yield file


def _is_moved(file: BaseLogFile) -> bool:
    try:
        return not os.path.samestat(os.stat(file.path), os.fstat(file._file.fileno()))  # noqa: SLF001 - see above
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return False  # unknown, or the file is closed
