"""
A bound on the time that somebody else's Python code may take in this process.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class OverdueError(BaseException):
    """
    It took too long.  No `Exception`, so that the code that is interrupted does not take it for one of its own.
    """


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """
    Raise `OverdueError` in what is executed here when it takes longer than *seconds* (None: it may take any time).

    It works by SIGALRM: only in the main thread (elsewhere there is no bound), and not while the code stays inside of
    one call of a library in C.
    """
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def overdue(number: int, frame: FrameType | None) -> None:
        raise OverdueError

    before = signal.signal(signal.SIGALRM, overdue)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
