"""
Slaves: the facts of their last hello, and whether an admin paused them.
"""

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen
from sqlalchemy import Connection, bindparam, update

from ...model.hello import Hello
from .. import schema
from ..statements import (
    Query,
    Statement,
    from_json,
    inserting,
    selecting,
    to_json,
)

_slaves = schema.slaves


@frozen
class Slave:
    """
    The row of a slave, as of its last attach.  *attached*, *lost*, *paused*: seconds since 1970, or None.
    """

    name: str
    home: str | None = None
    boot: str | None = None
    incarnation: str | None = None
    version: str | None = None
    platform: Mapping[str, Any] = field(factory=dict)
    attached: float | None = None
    lost: float | None = None
    paused: float | None = None


def _slave(*row: Any) -> Slave:
    name, home, boot, incarnation, version, platform, attached, lost, paused = row
    return Slave(name, home, boot, incarnation, version, from_json(platform), attached, lost, paused)


_GET = Query(selecting(_slaves, Slave).where(_slaves.c.name == bindparam("name")), _slave)
_ALL = Query(selecting(_slaves, Slave).order_by(_slaves.c.name), _slave)
_ADD = Statement(inserting(_slaves, "name"))
_SEEN = Statement(
    update(_slaves)
    .where(_slaves.c.name == bindparam("which"))
    .values(
        {name: bindparam(name) for name in ("home", "boot", "incarnation", "version", "platform", "attached", "lost")}
    )
)
_LOST = Statement(update(_slaves).where(_slaves.c.name == bindparam("which")).values(lost=bindparam("now")))
_PAUSE = Statement(update(_slaves).where(_slaves.c.name == bindparam("which")).values(paused=bindparam("at")))


def seen(connection: Connection, name: str, hello: Hello, now: float) -> None:
    """
    Record that the slave attached with *hello*.
    """
    values: dict[str, str | float | None] = {
        "home": hello.home,
        "boot": hello.boot,
        "incarnation": hello.incarnation,
        "version": hello.version,
        "platform": to_json(dict(hello.platform)),
        "attached": now,
        "lost": None,
    }
    _change(connection, _SEEN, name, values)


def lost(connection: Connection, name: str, now: float) -> None:
    """
    Record that the slave's link was lost.
    """
    _change(connection, _LOST, name, {"now": now})


def pause(connection: Connection, name: str, at: float | None) -> None:
    """
    Record that the slave is paused since *at*; None: it is not paused.
    """
    _change(connection, _PAUSE, name, {"at": at})


def get(connection: Connection, name: str) -> Slave | None:
    """
    The slave *name*, if it ever attached or was paused.
    """
    return _GET.first(connection, name=name)


def get_all(connection: Connection) -> list[Slave]:
    """
    All slaves by name, including those no longer configured.
    """
    return _ALL.all(connection)


def _change(connection: Connection, statement: Statement, name: str, values: Mapping[str, str | float | None]) -> None:
    if not statement.changed(connection, which=name, **values):
        _ADD.run(connection, name=name)
        statement.run(connection, which=name, **values)
