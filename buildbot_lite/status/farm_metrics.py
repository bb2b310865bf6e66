"""
Figures about the running master, for monitoring: what no record has.

All are cheap, also with a long queue and many slaves, because a monitoring system asks every few seconds.
"""

import shutil
from collections import Counter

from sqlalchemy import Connection

from ..master.farm import Farm
from ..storage.records import retention
from .build_documents import Document
from .slave_documents import STATES, state_of


def of_metrics(farm: Farm) -> Document:
    """
    Sizes are bytes, durations seconds, and counts are since the start of the master, unless a name says otherwise.

    - ``reactor_lag``, ``reactor_lag_max``: how late the reactor made calls in the last 15 seconds; null: not measured.
    - ``writer_batches``, ``writer_changes``, ``writer_seconds``: transactions, the changes in them, and their duration;
      ``writer_latency``: a list of pairs, an upper bound of that duration (null: none) and the transactions up to it.
    - ``records_waiting``: changes that wait because the database fails.
    - ``bytes_in``, ``bytes_out``: of all connections, inside TLS; ``log_bytes``: appended to logs and artifacts.
    - ``reconnects``: connections of slaves that had been connected before.
    - ``queue``: by builder, ``length`` and ``oldest_wait``, the seconds that its oldest request waits, or null.
    - ``slaves``: their number by state.  ``running``: builds that run now.
    - ``disk_free``, ``disk_size``: of the file system of the master's directory.
    """
    lag, meter, disk = farm.lag, farm.records.meter, shutil.disk_usage(farm.basedir)
    return {
        "reactor_lag": None if lag is None else lag.mean,
        "reactor_lag_max": None if lag is None else lag.most,
        "writer_batches": meter.seconds.count,
        "writer_changes": meter.changes,
        "writer_seconds": meter.seconds.total,
        "writer_latency": [list(each) for each in meter.seconds.buckets()],
        "records_waiting": farm.records.waiting,
        "bytes_in": farm.traffic.received,
        "bytes_out": farm.traffic.sent,
        "log_bytes": farm.notifications.bytes_arrived,
        "reconnects": farm.slaves.reconnects,
        "queue": _of_queue(farm),
        "slaves": _of_slaves(farm),
        "running": len(farm.running.live()),
        "disk_free": disk.free,
        "disk_size": disk.total,
    }


def of_records(connection: Connection) -> Document:
    """
    ``oldest_log``: when the oldest build with a log started, in seconds since 1970, or null.
    """
    _builds_since, logs_since = retention.oldest(connection)
    return {"oldest_log": logs_since}


def _of_queue(farm: Farm) -> Document:
    now = farm.wall()
    oldest = {each.builder: each.oldest for each in farm.queue.by_builder()}
    return {
        name: {
            "length": farm.queue.count_of_builder(name),
            "oldest_wait": None if (since := oldest.get(name)) is None else max(0.0, now - since),
        }
        for name in {**farm.config.builders, **oldest}
    }


def _of_slaves(farm: Farm) -> Document:
    found = Counter(state_of(farm, member).word for member in farm.slaves.everyone())
    return {state: found[state] for state in STATES}
