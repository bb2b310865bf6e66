"""
Settings: single texts by name.
"""

from sqlalchemy import Connection, bindparam, delete, select, update

from .. import schema
from ..statements import (
    Query,
    Statement,
    inserting,
)

_settings = schema.settings

_GET = Query(select(_settings.c.value).where(_settings.c.name == bindparam("name")), str)
_ADD = Statement(inserting(_settings, "name", "value"))
_SET = Statement(update(_settings).where(_settings.c.name == bindparam("which")).values(value=bindparam("value")))
_DROP = Statement(delete(_settings).where(_settings.c.name == bindparam("name")))


def get(connection: Connection, name: str) -> str | None:
    """
    The value of *name*; None when it is not set.
    """
    return _GET.first(connection, name=name)


def put(connection: Connection, name: str, value: str | None) -> None:
    """
    Set *name* to *value*; None: delete it.
    """
    if value is None:
        _DROP.run(connection, name=name)
    elif not _SET.changed(connection, which=name, value=value):
        _ADD.run(connection, name=name, value=value)
