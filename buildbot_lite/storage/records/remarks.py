"""
Remarks: lines of buildbot_lite beside a log, never in it.
"""

from attrs import frozen
from sqlalchemy import Connection, bindparam

from .. import schema
from ..statements import (
    Query,
    Statement,
    inserting,
    selecting,
)

_remarks = schema.remarks


@frozen
class Remark:
    """
    A line beside the log *log* of *step*, at the byte *offset*.
    """

    id: int
    build: int
    step: int
    log: str
    offset: int
    at: float
    text: str


_ADD = Statement(inserting(_remarks, "build", "step", "log", "offset", "at", "text").returning(_remarks.c.id))
_ORDER = (_remarks.c.step, _remarks.c.id)
_OF_BUILD = Query(selecting(_remarks, Remark).where(_remarks.c.build == bindparam("build")).order_by(*_ORDER), Remark)
_LAST = Query(
    selecting(_remarks, Remark)
    .where(_remarks.c.build == bindparam("build"))
    .order_by(*(each.desc() for each in _ORDER))
    .limit(bindparam("most")),
    Remark,
)
_OF_STEP = Query(
    selecting(_remarks, Remark)
    .where(_remarks.c.build == bindparam("build"), _remarks.c.step == bindparam("step"))
    .order_by(*_ORDER),
    Remark,
)


def add(connection: Connection, build: int, step: int, *, log: str, offset: int, text: str, now: float) -> Remark:
    """
    Add a remark.
    """
    id = _ADD.number(connection, build=build, step=step, log=log, offset=offset, at=now, text=text)
    return Remark(id, build, step, log, offset, now, text)


def of_build(connection: Connection, build: int) -> list[Remark]:
    """
    The remarks of *build*, by step, in the order of their creation.
    """
    return _OF_BUILD.all(connection, build=build)


def last_of(connection: Connection, build: int, most: int) -> list[Remark]:
    """
    The last *most* remarks of *build*, in the order of `of_build`.
    """
    return _LAST.all(connection, build=build, most=most)[::-1]


def of_step(connection: Connection, build: int, step: int) -> list[Remark]:
    """
    The remarks of one step, in the order of their creation.
    """
    return _OF_STEP.all(connection, build=build, step=step)
