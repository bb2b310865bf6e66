"""
States: what outlives a restart of the master and belongs to one object of the configuration, as JSON by its owner.

Owners are named by their kind and name, "scheduler:nightly", so that an object keeps its state over a reconfiguration.
"""

from typing import Any

from sqlalchemy import Connection, bindparam, delete, select, update

from .. import schema
from ..statements import Query, Statement, from_json, inserting, to_json

_states = schema.states

_GET = Query(select(_states.c.value).where(_states.c.owner == bindparam("owner")), from_json)
_WITH_PREFIX = Query(
    select(_states.c.owner, _states.c.value).where(
        _states.c.owner >= bindparam("first"), _states.c.owner < bindparam("beyond")
    ),
    lambda owner, value: (owner, from_json(value)),
)
_ADD = Statement(inserting(_states, "owner", "value", "updated"))
_SET = Statement(
    update(_states)
    .where(_states.c.owner == bindparam("which"))
    .values(value=bindparam("to_value"), updated=bindparam("now"))
)
_DROP = Statement(delete(_states).where(_states.c.owner == bindparam("owner")))


def get(connection: Connection, owner: str) -> Any:
    """
    The state of *owner*; None when it has none.
    """
    return _GET.first(connection, owner=owner)


def with_prefix(connection: Connection, prefix: str) -> dict[str, Any]:
    """
    The states of all owners whose names begin with *prefix*, like "scheduler:".
    """
    beyond = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    return dict(_WITH_PREFIX.all(connection, first=prefix, beyond=beyond))


def put(connection: Connection, owner: str, value: Any, now: float) -> None:
    """
    Set the state of *owner* to *value*, which JSON can hold; None: forget it.
    """
    if value is None:
        _DROP.run(connection, owner=owner)
    elif not _SET.changed(connection, which=owner, to_value=to_json(value), now=now):
        _ADD.run(connection, owner=owner, value=to_json(value), updated=now)
