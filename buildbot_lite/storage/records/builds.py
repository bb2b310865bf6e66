"""
Builds: attempts at a request.  Each builder numbers its builds from 1.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen
from sqlalchemy import ColumnElement, Connection, FromClause, bindparam, func, select, update

from ...model.results import BY_NUMBER, Result
from .. import schema
from ..statements import (
    Query,
    Statement,
    from_json,
    inserting,
    selecting,
    to_json,
)

_builds = schema.builds


@frozen
class Build:
    """
    The row of a build.

    *home*: id of the slave's directory at that time.  *nonce*: 128 random bits in hexadecimal, from which its command
    ids derive.  *generation*: hash of its configuration.  *properties*: name → [value, source].  *reason*: of the
    result, for people.  *locks*: those that the build holds from beginning to end, as `LockUse.to_document` has them.
    *slot*: its number among the running builds of its builder on the slave; None: builds of the builder have none.
    """

    id: int
    request: int
    builder: str
    number: int
    slave: str
    home: str
    nonce: str
    generation: str
    started: float
    finished: float | None
    result: Result | None
    reason: str
    properties: Mapping[str, Any]
    locks: Sequence[Mapping[str, Any]] = ()
    slot: int | None = None

    def identity(self) -> dict[str, str | int]:
        """
        The properties that say which build this is.
        """
        return {
            "buildername": self.builder,
            "buildnumber": self.number,
            "slavename": self.slave,
            "workername": self.slave,
            "requestid": self.request,
        }


def branch_of(builds: FromClause) -> ColumnElement[str | None]:
    """
    The branch of each of *builds*, joined with their buildsets: the property ``branch``, or else the submitted one.
    """
    return func.coalesce(
        func.json_extract(builds.c.properties, "$.branch[0]"),
        func.json_extract(schema.buildsets.c.source, "$.branch"),
    )


def from_row(*row: Any) -> Build:
    """
    The build with these columns, in the order of the fields.
    """
    (
        id,
        request,
        builder,
        number,
        slave,
        home,
        nonce,
        generation,
        started,
        finished,
        result,
        reason,
        properties,
        locks,
        slot,
    ) = row
    ended = BY_NUMBER[result]
    values = from_json(properties)
    held = tuple(from_json(locks))
    begun = (id, request, builder, number, slave, home, nonce, generation, started)
    return Build(*begun, finished, ended, reason, values, held, slot)


_earlier = _builds.alias("earlier")
_ADD = Query(
    inserting(
        _builds, "request", "builder", "slave", "home", "nonce", "generation", "started", "properties", "locks", "slot"
    )
    .values(
        number=select(func.coalesce(func.max(_earlier.c.number), 0) + 1)
        .where(_earlier.c.builder == bindparam("builder"))
        .scalar_subquery()
    )
    .returning(_builds.c.id, _builds.c.number),
    lambda id, number: (id, number),
)
_GET = Query(selecting(_builds, Build).where(_builds.c.id == bindparam("id")), from_row)
_BY_NUMBER = Query(
    selecting(_builds, Build).where(_builds.c.builder == bindparam("builder"), _builds.c.number == bindparam("number")),
    from_row,
)
_OF_REQUEST = Query(
    selecting(_builds, Build).where(_builds.c.request == bindparam("request")).order_by(_builds.c.id), from_row
)
_UNFINISHED = Query(selecting(_builds, Build).where(_builds.c.finished.is_(None)).order_by(_builds.c.id), from_row)
_OF_BUILDER = Query(
    selecting(_builds, Build)
    .where(_builds.c.builder == bindparam("builder"), _builds.c.number < bindparam("before"))
    .order_by(_builds.c.number.desc())
    .limit(bindparam("most")),
    from_row,
)
_NEWEST = Query(
    selecting(_builds, Build)
    .where(_builds.c.id < bindparam("before"))
    .order_by(_builds.c.id.desc())
    .limit(bindparam("most")),
    from_row,
)
_PROPERTIES = Statement(
    update(_builds).where(_builds.c.id == bindparam("which")).values(properties=bindparam("all_of_them"))
)
_FINISH = Statement(
    update(_builds)
    .where(_builds.c.id == bindparam("which"), _builds.c.finished.is_(None))
    .values(finished=bindparam("now"), result=bindparam("with_result"), reason=bindparam("because"))
)

_NO_BOUND = 1 << 62


def start(
    connection: Connection,
    *,
    request: int,
    builder: str,
    slave: str,
    nonce: str,
    generation: str,
    now: float,
    home: str = "",
    properties: Mapping[str, Any] | None = None,
    locks: Sequence[Mapping[str, Any]] = (),
    slot: int | None = None,
) -> Build:
    """
    Add a build of *request*, with the builder's next number.
    """
    properties = dict(properties or {})
    ((id, number),) = _ADD.all(
        connection,
        request=request,
        builder=builder,
        slave=slave,
        home=home,
        nonce=nonce,
        generation=generation,
        started=now,
        properties=to_json(properties),
        locks=to_json(locks),
        slot=slot,
    )
    begun = (id, request, builder, number, slave, home, nonce, generation, now)
    return Build(*begun, None, None, "", properties, tuple(locks), slot)


def get(connection: Connection, id: int) -> Build | None:
    """
    The build with that *id*.
    """
    return _GET.first(connection, id=id)


def by_number(connection: Connection, builder: str, number: int) -> Build | None:
    """
    The build *number* of *builder*.
    """
    return _BY_NUMBER.first(connection, builder=builder, number=number)


def of_request(connection: Connection, request: int) -> list[Build]:
    """
    All builds of *request*, oldest first.
    """
    return _OF_REQUEST.all(connection, request=request)


def unfinished(connection: Connection) -> list[Build]:
    """
    All builds without a result, oldest first.
    """
    return _UNFINISHED.all(connection)


def newest(
    connection: Connection, builder: str | None = None, *, most: int = 50, before: int | None = None
) -> list[Build]:
    """
    At most *most* builds, newest first: with *builder*, its builds with a number less than *before*; otherwise all
    builders' builds with an id less than *before*.
    """
    bound = _NO_BOUND if before is None else before
    if builder is None:
        return _NEWEST.all(connection, most=most, before=bound)
    return _OF_BUILDER.all(connection, builder=builder, most=most, before=bound)


def save_properties(connection: Connection, id: int, properties: Mapping[str, Any]) -> None:
    """
    Replace all properties of the build.
    """
    _PROPERTIES.run(connection, which=id, all_of_them=to_json(dict(properties)))


def finish(connection: Connection, id: int, result: Result, now: float, reason: str = "") -> bool:
    """
    Record the build's result.  False, and no change, when it has one.
    """
    return bool(_FINISH.changed(connection, which=id, now=now, with_result=int(result), because=reason))
