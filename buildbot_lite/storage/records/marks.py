"""
Marks: builds that retention must not remove, each with the reason.
"""

from typing import NamedTuple

from sqlalchemy import (
    Connection,
    bindparam,
    func,
    select,
    update,
)

from .. import schema
from ..statements import Query, Statement

_builds = schema.builds

_KEEP = Statement(update(_builds).where(_builds.c.id == bindparam("which")).values(kept=bindparam("because")))
_WHY_KEPT = Query(select(_builds.c.kept).where(_builds.c.id == bindparam("build")), lambda kept: (kept,))
_MARKED = Query(
    select(_builds.c.builder, _builds.c.number, _builds.c.kept)
    .where(_builds.c.kept.is_not(None))
    .order_by(_builds.c.id),
    lambda builder, number, kept: (builder, number, kept),
)


class MarkedBuild(NamedTuple):
    """
    A build with a mark, whose reason is that.
    """

    id: int
    builder: str
    number: int
    reason: str


_PAGE = Query(
    select(_builds.c.id, _builds.c.builder, _builds.c.number, _builds.c.kept)
    .where(_builds.c.kept.is_not(None), _builds.c.id > bindparam("after"))
    .order_by(_builds.c.id)
    .limit(bindparam("most")),
    MarkedBuild,
)
_COUNT = Statement(select(func.count()).where(_builds.c.kept.is_not(None)))


def keep(connection: Connection, build: int, because: str | None) -> None:
    """
    Mark *build* as one that retention must not touch, with the reason; None: remove the mark.
    """
    _KEEP.run(connection, which=build, because=because)


def why_kept(connection: Connection, build: int) -> str | None:
    """
    The reason of the mark of *build*; None when it has none.
    """
    row = _WHY_KEPT.first(connection, build=build)
    return None if row is None else row[0]


def marked(connection: Connection) -> list[tuple[str, int, str]]:
    """
    The builds with a mark, oldest first: builder, number, reason.
    """
    return _MARKED.all(connection)


def page(connection: Connection, after: int, most: int) -> list[MarkedBuild]:
    """
    At most *most* builds with a mark, oldest first: those with an id greater than *after*.
    """
    return _PAGE.all(connection, after=after, most=most)


def count(connection: Connection) -> int:
    """
    The number of builds with a mark.
    """
    return _COUNT.number(connection)
