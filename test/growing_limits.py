"""
Time limits for tests of time limits.

A test of a limit needs its cause to come before the limit: a program that has started its processes before it is timed
out.  How long that takes is the machine's affair, and no fixed number of seconds is enough where everything may stand
still for a while.  Such a test says whether the cause came first, and is tried with a longer limit when it did not::

    2 s: the limit came first ──► 20 s: the limit came first ──► 180 s: ...

What the test asserts is asserted at each attempt in which the cause came first, so a defect fails all of them.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

LIMITS = (2.0, 20.0, 180.0)
"""Seconds: what is enough on most machines, on a busy one, and on one that stands still meanwhile."""


def within_limits(attempt: Callable[[float], T | None], limits: Sequence[float] = LIMITS) -> T:
    """
    The first result of *attempt*, called with each of *limits*, that is not None, which says that the limit came before
    the cause.
    """
    for seconds in limits:
        result = attempt(seconds)
        if result is not None:
            return result
    raise AssertionError(f"what the test prepares was not ready within any limit of {limits} seconds")
