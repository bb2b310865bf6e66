"""
twistd's log file when another program, such as logrotate, has moved or removed it.

twistd goes on writing into the file that was moved.  Instead of a signal, which each rotation would have to send to the
right process (and which applies master.cfg at a master), each process looks every few seconds whether its file is still
the one at its path.
"""

import os
from collections.abc import Iterator
from contextlib import suppress

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import FileLogObserver, LogPublisher, globalLogPublisher
from twisted.python.logfile import BaseLogFile

INTERVAL = 5.0
"""Seconds between two looks."""


def watch_log_files(clock: IReactorTime) -> LoopingCall:
    """
    Open log files that were moved again at their paths, from now on; ``stop()`` ends it.
    """
    watching = LoopingCall(reopen_moved)
    watching.clock = clock
    _ = watching.start(INTERVAL, now=False)
    return watching


def reopen_moved(publisher: LogPublisher = globalLogPublisher) -> None:
    """
    Open those files that *publisher* logs to again which are not at their paths any more.

    Where that cannot be done, the log goes on in the file that was moved.
    """
    for file in _log_files(publisher):
        if _is_moved(file):
            with suppress(OSError), open(file.path, "ab"):
                file.reopen()


def _log_files(publisher: LogPublisher) -> Iterator[BaseLogFile]:
    # twistd makes the file by itself and hands it to nobody.
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
        return False  # it cannot be known, or was closed
