"""
The engine's reads of the records: the state of the schedulers at the start, and later buildsets.
"""

from collections.abc import Collection, Mapping

from attrs import frozen
from sqlalchemy import Connection

from ....storage.records import buildsets, pending_changes, states
from ....storage.records import changes as records_of_changes
from ....storage.records.buildsets import Buildset
from ....storage.records.changes import RecordedChange
from ...config.schedulers import BaseScheduler
from .active import Memory
from .decisions import ENGINE, OWNED


@frozen
class RecordedSchedulers:
    """
    The recorded state.  *considered*: the number of the last change that the schedulers considered;
    *newest_change*: of the newest one; *newest*: of the newest buildset.  *dropped*: how many changes waited for each
    scheduler that is not configured any more.
    """

    considered: int
    newest_change: int
    newest: int
    memories: Mapping[str, Memory]
    dropped: Mapping[str, int]


def restore(connection: Connection, configured: Mapping[str, BaseScheduler], now: float) -> RecordedSchedulers:
    """
    Read the recorded state of the *configured* schedulers, and remove that of others.
    """
    own = states.get(connection, ENGINE)
    if own is None:
        own = {"considered": records_of_changes.last_id(connection)}
        states.put(connection, ENGINE, own, now)
    recorded = {owner.removeprefix(OWNED): value for owner, value in states.with_prefix(connection, OWNED).items()}
    for name in recorded.keys() - configured.keys():
        states.put(connection, f"{OWNED}{name}", None, now)
    waiting = set(pending_changes.schedulers(connection))
    dropped = {name: pending_changes.drop_all(connection, name) for name in sorted(waiting - configured.keys())}
    memories = {
        name: Memory(
            recorded.get(name), tuple(pending_changes.of_scheduler(connection, name)) if name in waiting else ()
        )
        for name in configured
    }
    newest = records_of_changes.last_id(connection)
    return RecordedSchedulers(own["considered"], newest, buildsets.last(connection), memories, dropped)


def read_on(
    connection: Connection, after: int, watched: frozenset[int], upstreams: Collection[str]
) -> tuple[list[tuple[int, str]], list[tuple[Buildset, tuple[RecordedChange, ...]]]]:
    """
    The number and the scheduler of each buildset above *after*; and those of them of *upstreams*, and of *watched*,
    that have ended, with their changes.
    """
    submitted: list[tuple[int, str]] = []
    while len(page := buildsets.after(connection, submitted[-1][0] if submitted else after)) > 0:
        submitted += page
    candidates = {id for id, scheduler in submitted if scheduler in upstreams} | watched
    ended = []
    for id in sorted(candidates):
        row = buildsets.get(connection, id)
        if row is not None and row.result is not None:
            ended.append((row, tuple(records_of_changes.of_buildset(connection, id))))
    return submitted, ended
