"""
Times in which the whole machine stood still, or gave this program no turn: what was due then may be late.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

LOOK_EVERY = 0.25
LONGEST_LOOK = 2.0
"""Seconds between two looks that count as no stall."""


def stalled(before: float, now: float) -> tuple[float, float] | None:
    """
    Begin and end of the stall between two looks at the clock, at *before* and *now*; None if there was none.  A clock
    that was set between them counts as one.
    """
    return None if 0.0 <= now - before <= LONGEST_LOOK else (min(before, now), max(before, now))


@contextmanager
def noting_stalls(
    note: Callable[[tuple[float, float]], object], clock: Callable[[], float] = time.time
) -> Iterator[None]:
    """
    Call *note* with each stall by *clock*, in seconds since 1970, until the end of the ``with``.
    """
    ended = Event()

    def watch() -> None:
        before = clock()
        while not ended.wait(LOOK_EVERY):
            now = clock()
            if (found := stalled(before, now)) is not None:
                note(found)
            before = now

    thread = Thread(target=watch, name="stalls", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
