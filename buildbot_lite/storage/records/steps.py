"""
Steps of builds, as shown to people.
"""

from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, insert, select, update

from ...model.results import BY_NUMBER, Result
from .. import schema
from ..statements import (
    Query,
    Statement,
    selecting,
)

_steps = schema.steps


class Step(NamedTuple):
    """
    The row of a step.  *number*: counts from 0 within *build*.  *summary*: one line for people.
    """

    build: int
    number: int
    name: str
    started: float
    finished: float | None = None
    result: Result | None = None
    summary: str = ""
    hidden: bool = False


def step_from_row(*row: Any) -> Step:
    """
    The step with these columns, in the order of the fields.
    """
    build, number, name, started, finished, result, summary, hidden = row
    ended = BY_NUMBER[result]
    return Step(build, number, name, started, finished, ended, summary, bool(hidden))


_HERE = (_steps.c.build == bindparam("of_build"), _steps.c.number == bindparam("which"))
_ADD = Statement(
    insert(_steps).from_select(
        ["build", "number", "name", "started"],
        select(bindparam("of_build"), bindparam("which"), bindparam("called"), bindparam("now")).where(
            ~select(_steps.c.build).where(*_HERE).exists()
        ),
    )
)
_GET = Query(selecting(_steps, Step).where(*_HERE), step_from_row)
_FINISH = Statement(
    update(_steps)
    .where(*_HERE, _steps.c.finished.is_(None))
    .values(
        finished=bindparam("now"),
        result=bindparam("with_result"),
        summary=bindparam("line"),
        hidden=bindparam("hide"),
    )
)
_OF_BUILD = Query(
    selecting(_steps, Step).where(_steps.c.build == bindparam("build")).order_by(_steps.c.number), step_from_row
)


def start(connection: Connection, build: int, number: int, name: str, now: float) -> bool:
    """
    Record that the step began.  False, and no change, when it began before (its build is replayed).
    """
    return bool(_ADD.changed(connection, of_build=build, which=number, called=name, now=now))


def get(connection: Connection, build: int, number: int) -> Step | None:
    """
    The step *number* of *build*.
    """
    return _GET.first(connection, of_build=build, which=number)


def finish(
    connection: Connection,
    build: int,
    number: int,
    result: Result,
    now: float,
    *,
    summary: str = "",
    hidden: bool = False,
) -> bool:
    """
    Record the step's result.  False, and no change, when it has one.
    """
    return bool(
        _FINISH.changed(
            connection, of_build=build, which=number, now=now, with_result=int(result), line=summary, hide=int(hidden)
        )
    )


def of_build(connection: Connection, build: int) -> list[Step]:
    """
    The steps of *build*, in order.
    """
    return _OF_BUILD.all(connection, build=build)
