"""
Steps of builds, as shown to people.
"""

from typing import Any

from attrs import frozen
from sqlalchemy import Connection, bindparam, update

from ...model.results import Result
from .. import schema
from ..statements import (
    Query,
    Statement,
    inserting,
    selecting,
)

_steps = schema.steps


@frozen
class Step:
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


def _step(*row: Any) -> Step:
    build, number, name, started, finished, result, summary, hidden = row
    ended = None if result is None else Result(result)
    return Step(build, number, name, started, finished, ended, summary, bool(hidden))


_HERE = (_steps.c.build == bindparam("of_build"), _steps.c.number == bindparam("which"))
_ADD = Statement(inserting(_steps, "build", "number", "name", "started"))
_GET = Query(selecting(_steps, Step).where(*_HERE), _step)
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
_OF_BUILD = Query(selecting(_steps, Step).where(_steps.c.build == bindparam("build")).order_by(_steps.c.number), _step)


def start(connection: Connection, build: int, number: int, name: str, now: float) -> bool:
    """
    Record that the step began.  False, and no change, when it began before (its build is replayed).
    """
    if get(connection, build, number) is not None:
        return False
    _ADD.run(connection, build=build, number=number, name=name, started=now)
    return True


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
