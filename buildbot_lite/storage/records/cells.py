"""
Cells: the few facts of a build that a list of many builders shows.
"""

from collections.abc import Sequence
from typing import NamedTuple

from attrs import frozen
from sqlalchemy import Connection, bindparam, func, select

from ...model.results import BY_NUMBER, Result
from .. import schema
from ..statements import Query, selecting, to_json

_builds, _steps = schema.builds, schema.steps


class BuildCell(NamedTuple):
    """
    One build.  *result*: None while it runs.
    """

    id: int
    builder: str
    number: int
    slave: str
    started: float
    finished: float | None
    result: Result | None


@frozen
class RunningStep:
    """
    The step at which a running build is.
    """

    build: int
    number: int
    name: str
    started: float


def _cell(
    id: int, builder: str, number: int, slave: str, started: float, finished: float | None, result: int | None
) -> BuildCell:
    return BuildCell(id, builder, number, slave, started, finished, BY_NUMBER[result])


_OF_BUILDER = Query(
    selecting(_builds, BuildCell)
    .where(_builds.c.builder == bindparam("builder"))
    .order_by(_builds.c.number.desc())
    .limit(bindparam("most")),
    _cell,
)
_named = func.json_each(bindparam("builders")).table_valued("value", name="wanted_builders")
_earlier = _builds.alias("earlier")
_OF_EACH = Query(
    selecting(_builds, BuildCell)
    .join_from(_named, _builds, _builds.c.builder == _named.c.value)
    .where(
        _builds.c.number
        >= func.coalesce(
            select(_earlier.c.number)
            .where(_earlier.c.builder == _named.c.value)
            .order_by(_earlier.c.number.desc())
            .limit(1)
            .offset(bindparam("most") - 1)
            .scalar_subquery(),
            0,
        )
    ),
    _cell,
)
_OF_ALL = Query(selecting(_builds, BuildCell).order_by(_builds.c.id.desc()).limit(bindparam("most")), _cell)
_RUNNING = Query(selecting(_builds, BuildCell).where(_builds.c.finished.is_(None)).order_by(_builds.c.id), _cell)
_RUNNING_STEPS = Query(
    # Not a join: in a database without statistics, SQLite would read all steps and look at the build of each.
    select(_steps.c.build, _steps.c.number, _steps.c.name, _steps.c.started).where(
        _steps.c.build.in_(select(_builds.c.id).where(_builds.c.finished.is_(None))), _steps.c.finished.is_(None)
    ),
    RunningStep,
)
# The next name after each is one seek of the index, however many builds a builder has.
_FIRST_BUILDER = Query(select(func.min(_builds.c.builder)), lambda name: name)
_NEXT_BUILDER = Query(
    select(func.min(_builds.c.builder)).where(_builds.c.builder > bindparam("after")), lambda name: name
)


def newest(connection: Connection, builder: str, most: int) -> list[BuildCell]:
    """
    The newest builds of *builder*, the newest first.
    """
    return _OF_BUILDER.all(connection, builder=builder, most=most)


def newest_of_each(connection: Connection, builders: Sequence[str], most: int) -> dict[str, list[BuildCell]]:
    """
    The newest *most* builds of each of *builders*, the newest first, in one query.
    """
    found: dict[str, list[BuildCell]] = {name: [] for name in builders}
    for cell in _OF_EACH.all(connection, builders=to_json(builders), most=most):
        found[cell.builder].append(cell)
    for cells in found.values():
        cells.sort(key=lambda cell: -cell.number)
    return found


def newest_of_all(connection: Connection, most: int) -> list[BuildCell]:
    """
    The newest builds of the farm, the newest first.
    """
    return _OF_ALL.all(connection, most=most)


def running(connection: Connection) -> list[BuildCell]:
    """
    All builds that run, the oldest first.
    """
    return _RUNNING.all(connection)


def running_steps(connection: Connection) -> dict[int, RunningStep]:
    """
    The newest unfinished step of each running build, by the build's id.
    """
    return {step.build: step for step in sorted(_RUNNING_STEPS.all(connection), key=lambda each: each.number)}


def builders(connection: Connection, most: int) -> list[str]:
    """
    At most *most* names of builders that have builds, in alphabetical order.
    """
    names: list[str] = []
    name = _FIRST_BUILDER.first(connection)
    while name is not None and len(names) < most:
        names.append(name)
        name = _NEXT_BUILDER.first(connection, after=name)
    return names
