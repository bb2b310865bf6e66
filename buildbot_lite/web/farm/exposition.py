"""
The farm's numbers for Prometheus, in its text format.

Names and units follow https://prometheus.io/docs/practices/naming/: base units, ``_total`` for counters, times as
``_timestamp_seconds``.  Labels are builders (at most `MOST_BUILDERS`), results and states: bounded sets.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from attrs import define, field, frozen
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from ... import __version__
from .counted_builds import MOST_BUILDERS, OTHERS, CountedBuilds, DurationCounts
from .live import Document

PREFIX = "buildbot_lite"


@frozen
class MasterNumber:
    """
    One of the numbers that the master tells of itself, by their *name* in its answer.
    """

    name: str
    help: str

    def family(self, value: float) -> Metric:
        """
        The metric with that value.
        """
        name = f"{PREFIX}_master_{self.name}"
        if self.name.endswith("_total"):
            return CounterMetricFamily(name, self.help, value=value)
        return GaugeMetricFamily(name, self.help, value=value)


MASTER_NUMBERS: Sequence[MasterNumber] = (
    MasterNumber("start_time_seconds", "When the master started, in seconds since 1970."),
    MasterNumber("reactor_lag_seconds", "How late the master's reactor was, at most, in the last 15 seconds."),
    MasterNumber("reactor_lag_mean_seconds", "How late it was in the last 15 seconds, on average."),
    MasterNumber("record_batches_total", "Transactions of the master's database writer."),
    MasterNumber("record_changes_total", "Changes of the records that those transactions contained."),
    MasterNumber("record_write_seconds_total", "Seconds that those transactions took, their fsync included."),
    MasterNumber("records_failing", "1 while the database cannot be written."),
    MasterNumber("received_bytes_total", "Bytes received over TLS from slaves and clients."),
    MasterNumber("sent_bytes_total", "Bytes sent over TLS to slaves and clients."),
    MasterNumber("links", "Connections of slaves and clients."),
    MasterNumber("log_bytes_total", "Bytes appended to logs and artifacts."),
    MasterNumber("slave_attaches_total", "Connections of slaves that were accepted, the first ones included."),
    MasterNumber("slave_reconnects_total", "Connections of slaves that had been connected before."),
    MasterNumber("resident_memory_bytes", "Resident memory of the master."),
    MasterNumber("disk_free_bytes", "Free space in the master's directory."),
)
"""What is shown of the master's answer; other numbers in it are of a later version."""


@frozen
class FarmNumbers:
    """
    What the metrics are made from.  *status* and *master*: answers of the master, empty while it is away.  *oldest*:
    when the oldest build, and the oldest with a log, started.  *disks*: directories by name.  *now*: seconds since
    1970.
    """

    counted: CountedBuilds
    status: Document
    master: Document
    is_here: bool
    oldest: tuple[float | None, float | None]
    disks: Mapping[str, str]
    now: float


def exposition(numbers: FarmNumbers) -> bytes:
    """
    The metrics in the text format (https://prometheus.io/docs/instrumenting/exposition_formats/).
    """
    registry = CollectorRegistry()
    registry.register(_Families(numbers))
    ProcessCollector(registry=registry)
    text: bytes = generate_latest(registry)
    return text


@define(eq=False)
class _Families(Collector):
    numbers: FarmNumbers = field()

    def collect(self) -> Iterable[Metric]:
        numbers = self.numbers
        yield InfoMetricFamily(PREFIX, "The version of the web process.", value={"version": __version__})
        yield _gauge("master_up", "1 while the master answers the web process.", float(numbers.is_here))
        yield from _counted(numbers.counted)
        yield from _ages(numbers.oldest)
        yield _disks(numbers.disks)
        if numbers.is_here and numbers.status:
            yield from _queue(numbers.status, numbers.master.get("queue"), numbers.now)
            yield from _slaves(numbers.status)
        for each in MASTER_NUMBERS if numbers.is_here else ():
            value = numbers.master.get(each.name)
            if isinstance(value, int | float):
                yield each.family(float(value))
        if numbers.is_here:
            yield from _write_durations(numbers.master)


def _counted(counted: CountedBuilds) -> Iterator[Metric]:
    results = CounterMetricFamily(f"{PREFIX}_builds", "Builds that ended.", labels=["builder", "result"])
    for (builder, result), count in counted.results.items():
        results.add_metric([builder, result], float(count))
    yield results
    yield _histogram("build_duration_seconds", "How long builds took.", counted.lasted)
    yield _histogram("request_wait_seconds", "How long requests waited until their first build.", counted.waited)


def _ages(oldest: tuple[float | None, float | None]) -> Iterator[Metric]:
    for name, what, at in zip(("build", "log"), ("", " that has a log"), oldest, strict=True):
        if at is not None:
            yield _gauge(f"oldest_{name}_timestamp_seconds", f"When the oldest build{what} started.", at)


def _disks(disks: Mapping[str, str]) -> Metric:
    family = GaugeMetricFamily(f"{PREFIX}_disk_free_bytes", "Free space for files of the farm.", labels=["files"])
    for name, directory in disks.items():
        try:
            found = os.statvfs(directory)
        except OSError:
            continue
        family.add_metric([name], float(found.f_bavail * found.f_frsize))
    return family


def _queue(status: Document, queue: object, now: float) -> Iterator[Metric]:
    """
    *queue*: by builder, as the master tells it beside its numbers; of an earlier version, None.
    """
    waiting: Sequence[Document] = status.get("waiting", ())
    counts = Counter(each["builder"] for each in waiting)
    counts[OTHERS] = max(0, int(status.get("waiting_total", 0)) - len(waiting))
    oldest: dict[str, float] = {}
    for each in waiting:
        oldest[each["builder"]] = min(each["submitted"], oldest.get(each["builder"], each["submitted"]))
    if isinstance(queue, Mapping):
        # Of the whole queue, not only of its first page.
        counts = Counter({name: each["length"] for name, each in queue.items()})
        oldest = {name: now - each["oldest_wait"] for name, each in queue.items() if each["oldest_wait"] is not None}
    yield _by_builder("requests_waiting", "Requests that wait for a build.", counts)
    longest = dict(sorted(oldest.items(), key=lambda each: each[1])[:MOST_BUILDERS])
    since = "When the request that waits longest was made."
    yield _by_builder("oldest_waiting_request_timestamp_seconds", since, longest)
    running = Counter(each["builder"] for each in status.get("running", ()))
    yield _by_builder("builds_running", "Builds that run.", running)
    reasons = Counter(each["why"]["kind"] for each in waiting)
    family = GaugeMetricFamily(f"{PREFIX}_requests_waiting_by_reason", "Why requests wait.", labels=["reason"])
    for reason, count in reasons.items():
        family.add_metric([str(reason)], float(count))
    yield family


def _slaves(status: Document) -> Iterator[Metric]:
    counts: Counter[str] = Counter()
    for each in status.get("slaves", ()):
        counts[str(each.get("state", "unknown"))] += 1
    family = GaugeMetricFamily(f"{PREFIX}_slaves", "Slaves by their state.", labels=["state"])
    for state, count in counts.items():
        family.add_metric([state], float(count))
    yield family
    unsent = GaugeMetricFamily(
        f"{PREFIX}_messages_unsent", "Messages that a reporter has to send.", labels=["reporter"]
    )
    for each in status.get("unsent", ()):
        if each.get("next") is not None:
            unsent.add_metric([str(each["reporter"])], float(each["messages"]))
    yield unsent


def _write_durations(master: Document) -> Iterator[Metric]:
    """
    How long the master's transactions took, of a master that tells it.
    """
    buckets = master.get("record_write_buckets")
    if isinstance(buckets, list):
        name = f"{PREFIX}_master_record_batch_duration_seconds"
        yield HistogramMetricFamily(
            name,
            "How long the transactions of the master's database writer took.",
            buckets=[("+Inf" if bound is None else str(float(bound)), float(count)) for bound, count in buckets],
            sum_value=float(master.get("record_write_seconds_total", 0.0)),
        )


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{PREFIX}_{name}", what, value=value)


def _by_builder(name: str, what: str, values: Mapping[str, float]) -> Metric:
    """
    A gauge by builder; of more than `MOST_BUILDERS`, those with the greatest values.
    """
    family = GaugeMetricFamily(f"{PREFIX}_{name}", what, labels=["builder"])
    for builder, value in sorted(values.items(), key=lambda each: -each[1])[:MOST_BUILDERS]:
        if value:
            family.add_metric([builder], float(value))
    return family


def _histogram(name: str, what: str, durations: Mapping[str, DurationCounts]) -> Metric:
    family = HistogramMetricFamily(f"{PREFIX}_{name}", what, labels=["builder"])
    for builder, counts in durations.items():
        family.add_metric([builder], buckets=counts.buckets(), sum_value=counts.total)
    return family


def numbers_of_master(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """
    The numbers in an *answer* of the master, which may be of an earlier version and have none.
    """
    found = answer.get("metrics", answer)
    return found if isinstance(found, Mapping) else {}
