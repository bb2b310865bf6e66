"""
Changes that wait for a scheduler's next builds.
"""

from collections.abc import Iterable
from typing import Any

from attrs import frozen
from sqlalchemy import Connection, bindparam, delete, select

from .. import schema
from ..statements import Query, Statement, inserting
from .changes import COLUMNS, RecordedChange, recorded_change

_changes = schema.changes
_pending = schema.pending_changes


@frozen
class PendingChange:
    """
    A change that a scheduler's next builds will have.  *added*: seconds since 1970.
    """

    recorded: RecordedChange
    important: bool
    added: float


def _pending_change(*row: Any) -> PendingChange:
    important, added, *rest = row
    return PendingChange(recorded_change(*rest), bool(important), added)


_ADD = Statement(inserting(_pending, "scheduler", "change", "important", "added"))
_OF_SCHEDULER = Query(
    select(_pending.c.important, _pending.c.added, *COLUMNS)
    .where(_pending.c.change == _changes.c.id, _pending.c.scheduler == bindparam("scheduler"))
    .order_by(_pending.c.change),
    _pending_change,
)
_SCHEDULERS = Query(select(_pending.c.scheduler).distinct(), str)
_DROP_ALL = Statement(delete(_pending).where(_pending.c.scheduler == bindparam("scheduler")))
_DROP = Statement(
    delete(_pending).where(_pending.c.scheduler == bindparam("scheduler"), _pending.c.change == bindparam("change"))
)


def add(connection: Connection, scheduler: str, change: int, *, important: bool, now: float) -> None:
    """
    Note that the next builds of *scheduler* will have *change*.
    """
    _ADD.run(connection, scheduler=scheduler, change=change, important=int(important), added=now)


def of_scheduler(connection: Connection, scheduler: str) -> list[PendingChange]:
    """
    The changes that wait for *scheduler*, oldest first.
    """
    return _OF_SCHEDULER.all(connection, scheduler=scheduler)


def drop(connection: Connection, scheduler: str, changes: Iterable[int]) -> None:
    """
    *changes* wait no longer for *scheduler*.
    """
    for change in changes:
        _DROP.run(connection, scheduler=scheduler, change=change)


def schedulers(connection: Connection) -> list[str]:
    """
    The schedulers for which changes wait.
    """
    return _SCHEDULERS.all(connection)


def drop_all(connection: Connection, scheduler: str) -> int:
    """
    Remove the changes that wait for *scheduler*; return their number.
    """
    return _DROP_ALL.changed(connection, scheduler=scheduler)
