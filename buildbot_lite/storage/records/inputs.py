"""
Submitted inputs.  Their bytes are in files: `buildbot_lite.storage.inputs`.
"""

from collections.abc import Callable

from attrs import frozen
from sqlalchemy import Connection, bindparam

from .. import schema
from ..inputs import InputFile
from ..statements import (
    Query,
    Statement,
    inserting,
    selecting,
)

_inputs = schema.inputs


@frozen
class Input:
    """
    One input.  *name*: as the submitter named it.  *kind*: patch, tar or file.  *stored*: seconds since 1970.
    """

    id: int
    name: str
    kind: str
    length: int
    sha256: str
    stored: float


_ADD = Statement(inserting(_inputs, "name", "kind", "length", "sha256", "stored").returning(_inputs.c.id))
_GET = Query(selecting(_inputs, Input).where(_inputs.c.id == bindparam("id")), Input)


def add(connection: Connection, *, name: str, kind: str, length: int, sha256: str, now: float) -> Input:
    """
    Record a stored input.
    """
    id = _ADD.number(connection, name=name, kind=kind, length=length, sha256=sha256, stored=now)
    return Input(id, name, kind, length, sha256, now)


def adding(stored: InputFile, kind: str, name: str, now: float) -> Callable[[Connection], int]:
    """
    A function that records *stored* and returns its number, for the transaction of a submission.
    """
    return lambda connection: (
        add(connection, name=name[:200], kind=kind, length=stored.length, sha256=stored.sha256, now=now).id
    )


def get(connection: Connection, id: int) -> Input | None:
    """
    The input with that *id*.
    """
    return _GET.first(connection, id=id)
