"""
Counts of durations by size.
"""

from bisect import bisect_left
from collections.abc import Sequence

from attrs import define, field

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds for short durations."""


@define
class Histogram:
    """
    How many values were at most as large as each of *bounds*, which are in order.  *total*: the sum of all values.
    """

    bounds: Sequence[float] = SECONDS
    total: float = 0.0
    _counts: list[int] = field(init=False)

    @_counts.default
    def _none(self) -> list[int]:
        return [0] * (len(self.bounds) + 1)

    def add(self, value: float) -> None:
        self._counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    @property
    def count(self) -> int:
        """
        The number of values.
        """
        return sum(self._counts)

    def buckets(self) -> list[tuple[float | None, int]]:
        """
        Each bound with the number of values up to it; None: all values.
        """
        found, so_far = [], 0
        for bound, count in zip((*self.bounds, None), self._counts, strict=True):
            so_far += count
            found.append((bound, so_far))
        return found
