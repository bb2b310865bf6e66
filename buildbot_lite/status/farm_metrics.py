"""
Figures about the running master, for monitoring: what no record has.

All are cheap, also with a long queue and many slaves, because a monitoring system asks every few seconds.
"""

import os
import shutil
from collections import Counter

from sqlalchemy import Connection

from ..master.farm import Farm
from ..storage.records import retention
from .build_documents import Document
from .slave_documents import STATES, state_of


def of_metrics(farm: Farm) -> Document:
    """
    Counts, whose names end in ``_total``, are since the start of the master.

    - ``start_time_seconds``: when that was, in seconds since 1970.
    - ``reactor_lag_seconds``, ``reactor_lag_mean_seconds``: how late the reactor made calls in the last 15 seconds, at
      most and on average; null: not measured.
    - ``record_batches_total``, ``record_changes_total``, ``record_write_seconds_total``: transactions, the changes in
      them, and how long they took; ``record_write_buckets``: a list of pairs, an upper bound of that duration (null:
      none) and the number of transactions up to it.
    - ``records_failing``: 1 while the database cannot be written; ``records_waiting``: changes that wait for it.
    - ``received_bytes_total``, ``sent_bytes_total``: of all connections, inside TLS; ``links``: these connections;
      ``log_bytes_total``: appended to logs and artifacts.
    - ``slave_attaches_total``, ``slave_reconnects_total``: connections of slaves; the latter are those of slaves that
      had been connected before.
    - ``queue``: by builder, ``length`` and ``oldest_wait``, the seconds that its oldest request waits, or null.
    - ``slaves``: their number by state.  ``running``: builds that run now.
    - ``resident_memory_bytes``: null where the system does not tell it.  ``disk_free_bytes``, ``disk_bytes``: of the
      file system of the master's directory.
    """
    lag, meter, disk = farm.lag, farm.records.meter, shutil.disk_usage(farm.basedir)
    return {
        "start_time_seconds": farm.started,
        "reactor_lag_seconds": None if lag is None else lag.most,
        "reactor_lag_mean_seconds": None if lag is None else lag.mean,
        "record_batches_total": meter.seconds.count,
        "record_changes_total": meter.changes,
        "record_write_seconds_total": meter.seconds.total,
        "record_write_buckets": [list(each) for each in meter.seconds.buckets()],
        "records_failing": int(farm.records.obstacle is not None),
        "records_waiting": farm.records.waiting,
        "received_bytes_total": farm.traffic.received,
        "sent_bytes_total": farm.traffic.sent,
        "links": farm.traffic.links,
        "log_bytes_total": farm.notifications.bytes_arrived,
        "slave_attaches_total": farm.slaves.attaches,
        "slave_reconnects_total": farm.slaves.reconnects,
        "queue": _of_queue(farm),
        "slaves": _of_slaves(farm),
        "running": len(farm.running.live()),
        "resident_memory_bytes": _resident_memory(),
        "disk_free_bytes": disk.free,
        "disk_bytes": disk.total,
    }


def of_records(connection: Connection) -> Document:
    """
    ``oldest_log``: when the oldest build with a log started, in seconds since 1970, or null.
    """
    _builds_since, logs_since = retention.oldest(connection)
    return {"oldest_log": logs_since}


def _resident_memory() -> int | None:
    """
    Bytes of memory that this process has now (proc_pid_statm(5), which Linux has).
    """
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


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
