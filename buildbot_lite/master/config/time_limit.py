"""
A time limit for a user's Python code in this process.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class OverdueError(BaseException):
    """
    The code exceeded its time limit.  Not a subclass of `Exception`, so that an ``except Exception`` in the interrupted
    code does not catch it.
    """


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """
    Raise `OverdueError` in the body of the ``with`` statement after *seconds*.  None: no limit.

    Uses SIGALRM, which Python handles in the main thread only, between byte code instructions.  So there is no limit in
    other threads, and a single call into a C library is not interrupted.
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
