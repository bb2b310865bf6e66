"""
Time limits for a user's Python code in this process.

SIGALRM interrupts the code.  Python handles signals in the main thread only, between byte code instructions (and within
a search of `re`): there is no limit in other threads, and no other single call into a C library is interrupted.

The handler is installed once and stays: installing it for each limit would take five times as long as the timer.
"""

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")

_AGAIN = 1.0
"""Seconds after which code that has caught `OverdueError` is interrupted again."""
_AT_ONCE = 1e-6

# The ends of the limits that the main thread is in, by `time.monotonic`; none is later than the one before it.
_ends: list[float] = []
_installed = False


class OverdueError(BaseException):
    """
    The code exceeded its time limit.  Not a subclass of `Exception`, so that an ``except Exception`` in the interrupted
    code does not catch it.
    """


def call_within(seconds: float | None, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """
    The result of *function*; `OverdueError` is raised in it after *seconds*.  None: no limit.

    A limit within another ends with the other at the latest.  If the outer one is over, it interrupts the outer
    function as soon as the inner one has ended.
    """
    if seconds is None or threading.current_thread() is not threading.main_thread():
        return function(*args, **kwargs)
    depth = len(_ends)
    try:
        try:
            _begin(seconds)
            return function(*args, **kwargs)
        finally:
            _end(depth)
    except OverdueError:
        # It may have interrupted `_begin` or `_end`.
        _end(depth)
        raise


def _begin(seconds: float) -> None:
    """
    Begin a limit.
    """
    global _installed
    if not _installed:
        signal.signal(signal.SIGALRM, _interrupt)
        _installed = True
    end = time.monotonic() + seconds
    if _ends and _ends[-1] < end:
        end = _ends[-1]
    else:
        signal.setitimer(signal.ITIMER_REAL, max(seconds, _AT_ONCE), _AGAIN)
    _ends.append(end)


def _end(depth: int) -> None:
    """
    End the limits that have at least *depth* around them.
    """
    del _ends[depth:]
    left = max(_ends[-1] - time.monotonic(), _AT_ONCE) if _ends else 0.0
    signal.setitimer(signal.ITIMER_REAL, left, _AGAIN if _ends else 0.0)


def _interrupt(number: int, frame: FrameType | None) -> None:
    # A signal that came just before the end of the last limit is handled after it.
    if _ends:
        raise OverdueError
