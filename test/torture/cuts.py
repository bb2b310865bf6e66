"""
The time of reconnection: cuts a slave's connection repeatedly, and measures.
"""

import statistics
import time
from collections.abc import Sequence

from attrs import frozen

from test.processes.farm import Daemon, until
from test.processes.proxy import Proxy


@frozen
class ReconnectionTimes:
    """
    Seconds from each cut until the slave was attached again.
    """

    seconds: Sequence[float]

    def __str__(self) -> str:
        ordered = sorted(self.seconds)
        return (
            f"{len(ordered)} cuts: back after {statistics.median(ordered):.2f} s (median), "
            f"{ordered[int(len(ordered) * 0.99)]:.2f} s (99 %), {ordered[-1]:.2f} s (worst)"
        )


def measure(slave: Daemon, proxy: Proxy, cuts: int) -> ReconnectionTimes:
    """
    Cut the connection of an attached *slave* through *proxy*, *cuts* times.
    """
    seconds = []
    for number in range(cuts):
        before = slave.log.count("attached to the master")
        began = time.monotonic()
        proxy.cut()
        until(lambda: slave.log.count("attached to the master") > before, f"it is back after cut {number}")  # noqa: B023
        seconds.append(time.monotonic() - began)
    return ReconnectionTimes(seconds)
