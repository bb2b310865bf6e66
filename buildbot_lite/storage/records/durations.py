"""
How long the latest good builds took.
"""

from attrs import frozen
from sqlalchemy import ColumnElement, Connection, bindparam, literal_column, or_, select

from ...model.results import Result
from .. import schema
from ..statements import Query

LOOKED_AT = 200
"""Newest builds of a builder that are examined, whether good or not."""

_builds, _steps = schema.builds, schema.steps


def is_good(result: ColumnElement[int]) -> ColumnElement[bool]:
    """
    Whether *result* is SUCCESS or WARNINGS.
    """
    return or_(result == literal_column(str(int(Result.SUCCESS))), result == literal_column(str(int(Result.WARNINGS))))


_latest = (
    select(_builds.c.id, _builds.c.number, _builds.c.started, _builds.c.finished, _builds.c.result)
    .where(_builds.c.builder == bindparam("builder"))
    .order_by(_builds.c.number.desc())
    .limit(LOOKED_AT)
    .subquery("latest")
)
_good = (
    select(_latest.c.id, _latest.c.started, _latest.c.finished)
    .where(is_good(_latest.c.result))
    .order_by(_latest.c.number.desc())
    .limit(bindparam("most"))
)
_BUILDS = Query(_good, lambda id, started, finished: max(0.0, finished - started))
_good_ones = _good.subquery("good")
_STEPS = Query(
    select(_steps.c.name, _steps.c.started, _steps.c.finished)
    .join_from(_good_ones, _steps, _steps.c.build == _good_ones.c.id)
    .where(is_good(_steps.c.result)),
    lambda name, started, finished: (name, max(0.0, finished - started)),
)


@frozen
class Durations:
    """
    Seconds of the latest good builds of a builder, and of their steps by name.
    """

    builds: list[float]
    steps: list[tuple[str, float]]


def of_builder(connection: Connection, builder: str, most: int) -> Durations:
    """
    Of the latest *most* good builds of *builder*.
    """
    return Durations(of_builds(connection, builder, most), _STEPS.all(connection, builder=builder, most=most))


def of_builds(connection: Connection, builder: str, most: int) -> list[float]:
    """
    The seconds of the latest *most* good builds of *builder*.
    """
    return _BUILDS.all(connection, builder=builder, most=most)
