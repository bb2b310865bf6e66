"""
Counts of ended builds that only grow, as counters of Prometheus must.

::

    metrics.json ──► counts up to event N ──► builds that ended after N are added ──► metrics.json

The records cannot be counted: retention removes old builds, and a counter that sinks counts as one that began again at
0.  The counts and the number of the last event are in one file, so a restart neither forgets a build nor counts it
twice.  Without the file, counting begins at the oldest event that is stored.
"""

import os
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from attrs import define, field

from ...errors import FileError, MessageError
from ...model.json_reader import JsonReader, encode
from ...storage.files import write_whole
from ...storage.records.ended_builds import EndedBuild

BUCKETS = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0, 14400.0, 28800.0, 86400.0)
"""Upper bounds of the buckets of histograms, in seconds."""
MOST_BUILDERS = 500
"""Builders that are counted each by itself."""
OTHERS = "(others)"
"""The name under which the builds of all further builders are counted; no builder can have it."""
LARGEST_FILE = 4 << 20


@define
class DurationCounts:
    """
    How many durations fell into each bucket, the last one without a bound; and the sum of them.
    """

    counts: list[int] = field(factory=lambda: [0] * (len(BUCKETS) + 1))
    total: float = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """
        Upper bound and number of durations up to it, as Prometheus counts them.
        """
        bounds = [*map(str, BUCKETS), "+Inf"]
        sums, so_far = [], 0
        for count in self.counts:
            so_far += count
            sums.append(float(so_far))
        return list(zip(bounds, sums, strict=True))


@define
class CountedBuilds:
    """
    The counts.  *seq*: the number of the last event that they contain.  *results*: by builder and result.  *lasted* and
    *waited*: by builder.
    """

    seq: int = 0
    results: dict[tuple[str, str], int] = field(factory=dict)
    lasted: dict[str, DurationCounts] = field(factory=dict)
    waited: dict[str, DurationCounts] = field(factory=dict)

    def add(self, builds: Iterable[EndedBuild], seq: int) -> None:
        """
        Count *builds*, all that ended up to the event *seq*.
        """
        for build in builds:
            known = build.builder in self.lasted or len(self.lasted) < MOST_BUILDERS
            builder = build.builder if known else OTHERS
            key = builder, build.result.name.lower()
            self.results[key] = self.results.get(key, 0) + 1
            self.lasted.setdefault(builder, DurationCounts()).add(build.lasted)
            if build.waited is not None:
                self.waited.setdefault(builder, DurationCounts()).add(build.waited)
        self.seq = seq

    def document(self) -> dict[str, Any]:
        """
        The counts for the file.
        """
        return {
            "seq": self.seq,
            "buckets": list(BUCKETS),
            "results": [[*key, count] for key, count in self.results.items()],
            "lasted": {name: [each.counts, each.total] for name, each in self.lasted.items()},
            "waited": {name: [each.counts, each.total] for name, each in self.waited.items()},
        }


def counts_of(document: Mapping[str, Any]) -> CountedBuilds:
    """
    The counts in a *document*; new ones if it has another form, such as other buckets.
    """
    try:
        if document["buckets"] != list(BUCKETS):
            return CountedBuilds()
        return CountedBuilds(
            int(document["seq"]),
            {(str(builder), str(result)): int(count) for builder, result, count in document["results"]},
            _durations(document["lasted"]),
            _durations(document["waited"]),
        )
    except (KeyError, TypeError, ValueError):
        return CountedBuilds()


def load(path: str) -> CountedBuilds:
    """
    The counts in the file *path*; new ones if there are none.
    """
    with suppress(OSError, MessageError), open(path, "rb") as file:
        return counts_of(JsonReader.decode(file.read(LARGEST_FILE + 1), "metrics.json", LARGEST_FILE).document)
    return CountedBuilds()


def keep(path: str, counts: CountedBuilds) -> None:
    """
    Write *counts* to the file *path*.  On a full disk the former ones stay: their event number is as old as they are.
    """
    if os.path.isdir(os.path.dirname(path)):
        with suppress(FileError):
            write_whole(path, encode(counts.document()))


def _durations(document: Mapping[str, Any]) -> dict[str, DurationCounts]:
    found = {}
    for name, (counts, total) in document.items():
        if len(counts) != len(BUCKETS) + 1:
            raise ValueError(name)
        found[str(name)] = DurationCounts([int(count) for count in counts], float(total))
    return found
