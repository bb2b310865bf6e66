"""
The clean-up of a farm's database with many old builds: how long each of its transactions holds the writer.

    retaining.py BUILDS

Prints JSON: the number of transactions and of removed builds, and in milliseconds the median, the 99th percentile and
the longest transaction, by the clock and by the processor's time of the thread that runs them.  Logs and artifacts have
no files here; removing files is no part of a transaction.
"""

import json
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path

import stored

# Before the standard library, which has a package test of its own.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

DAY = 86400.0


def main():
    builds = int(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="retaining-") as directory:
        path = os.path.join(directory, "farm.sqlite")
        stored.make(path, builds)
        # Else the first checkpoint of the write-ahead log waits until the disk has all that was just made.
        os.sync()
        print(json.dumps(retain(directory, path, builds)))


def retain(directory, path, builds):
    """
    Clean up once with the default retention, and with a change of the farm after each transaction.
    """
    from twisted.internet.defer import Deferred, maybeDeferred

    from buildbot_lite.master import retention
    from buildbot_lite.master.builds.streams import StreamStorage
    from buildbot_lite.master.config.retention import Retention, RetentionPolicies
    from buildbot_lite.storage.database import open_database
    from buildbot_lite.storage.inputs import InputStore
    from buildbot_lite.storage.notifications import Notifications
    from test.storage.inline import InlineWriter

    writer = InlineWriter(open_database(path))
    times, cpu, kinds = [], [], []
    write = writer.write

    def timed(change, *args, **more):
        began, used = time.perf_counter(), time.thread_time()
        try:
            return write(change, *args, **more)
        finally:
            times.append(1000 * (time.perf_counter() - began))
            cpu.append(1000 * (time.thread_time() - used))
            kinds.append(getattr(change, "__qualname__", None) or str(getattr(change, "func", change)))

    writer.write = timed
    run = retention.RetentionRun(
        RetentionPolicies([Retention(logDays=30, artifactDays=30, buildDays=365)]),
        records=writer,
        stream_storage=StreamStorage(directory, Notifications(), maybeDeferred),
        inputs=InputStore(os.path.join(directory, "inputs")),
        holders=(),
        now=time.time(),
    )
    ended = []
    began = time.perf_counter()
    Deferred.fromCoroutine(run.run()).addBoth(ended.append)
    assert ended == [None], ended
    left = sqlite3.connect(path).execute("select count(*) from builds").fetchone()[0]
    longest = max(range(len(cpu)), key=cpu.__getitem__)
    return {
        "builds": builds,
        "left": left,
        "seconds": time.perf_counter() - began,
        "transactions": len(times),
        "clock_ms": summary(times),
        "processor_ms": summary(cpu),
        "longest": kinds[longest],
    }


def summary(values):
    ordered = sorted(values)
    return {
        "median": round(statistics.median(ordered), 2),
        "p99": round(ordered[int(len(ordered) * 0.99)], 2),
        "longest": round(ordered[-1], 2),
    }


if __name__ == "__main__":
    main()
