"""
Marks: builds that retention must not remove, each with the reason.
"""

from sqlalchemy import (
    Connection,
    bindparam,
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
