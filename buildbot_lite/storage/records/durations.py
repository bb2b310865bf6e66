"""
How long the latest good builds took.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen
from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, literal_column, or_, select

from ...model.results import Result
from .. import schema
from ..statements import Query

LOOKED_AT = 200
"""Newest builds of a builder that are examined, whether good or not."""
LOOKED_AT_OF_EACH = 20
"""The same for each of many builders: with more, a list of 200 builders would read every row of a small farm."""

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


def _of_each() -> Select[tuple[Any, ...]]:
    """
    The SELECT of the good ones among the newest `LOOKED_AT_OF_EACH` builds of each of the *builders* (JSON).
    """
    wanted = func.json_each(bindparam("builders")).table_valued("value", name="wanted_builders")
    others = _builds.alias("others")
    before = (
        select(others.c.number)
        .where(others.c.builder == wanted.c.value)
        .order_by(others.c.number.desc())
        .limit(1)
        .offset(LOOKED_AT_OF_EACH)
    ).scalar_subquery()
    return (
        select(_builds.c.builder, _builds.c.number, _builds.c.started, _builds.c.finished)
        .join_from(wanted, _builds, _builds.c.builder == wanted.c.value)
        .where(_builds.c.number > func.coalesce(before, 0), is_good(_builds.c.result))
    )


_OF_EACH = Query(_of_each(), lambda builder, number, started, finished: (builder, number, max(0.0, finished - started)))


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
    return Durations(
        _BUILDS.all(connection, builder=builder, most=most), _STEPS.all(connection, builder=builder, most=most)
    )


def of_each(connection: Connection, builders: Sequence[str], most: int) -> Mapping[str, Sequence[float]]:
    """
    The seconds of the latest *most* good builds of each of *builders* that has any, of its newest `LOOKED_AT_OF_EACH`.
    """
    found: dict[str, list[float]] = defaultdict(list)
    rows: list[tuple[str, int, float]] = _OF_EACH.all(connection, builders=json.dumps(list(builders)))
    for builder, _, seconds in sorted(rows, key=lambda row: -row[1]):
        found[builder].append(seconds)
    return {builder: seconds[:most] for builder, seconds in found.items()}
