"""
Removal from the records, in slices of few rows, each one transaction.

`retention` finds the rows that are old enough; their files are removed later.
"""

from sqlalchemy import (
    Connection,
    Table,
    bindparam,
    delete,
    select,
    tuple_,
)

from .. import schema
from ..statements import Statement

_builds = schema.builds
_requests = schema.requests
_buildsets = schema.buildsets
_streams = schema.streams
_inputs = schema.inputs

_DROP_FILES = Statement(
    delete(_streams).where(_streams.c.build == bindparam("build"), _streams.c.kind == bindparam("of_kind"))
)
_DROP_BUILD = [
    *[
        Statement(delete(table).where(table.c.build == bindparam("build")))
        for table in (schema.remarks, _streams, schema.journal, schema.steps)
    ],
    Statement(delete(_builds).where(_builds.c.id == bindparam("build"))),
]


def drop_files(connection: Connection, build: int, kind: str) -> None:
    """
    Forget the files of a *kind* of *build*.
    """
    _DROP_FILES.run(connection, build=build, of_kind=kind)


def _drop_some(table: Table) -> Statement:
    """
    Deletes at most *most* rows of *build* from *table*.
    """
    keys = [column for column in table.primary_key.columns if column.name != "build"]
    some = select(*keys).where(table.c.build == bindparam("build")).order_by(*keys).limit(bindparam("most"))
    of_key = keys[0].in_(some) if len(keys) == 1 else tuple_(*keys).in_(some)
    return Statement(delete(table).where(table.c.build == bindparam("build"), of_key))


_DROP_SOME = [_drop_some(table) for table in (schema.journal, schema.remarks, schema.steps)]


def drop_rows(connection: Connection, build: int, most: int) -> int:
    """
    Forget at most *most* rows of *build*, which is finished and will be removed: of its journal, its remarks and its
    steps.  Returns their number.
    """
    left = most
    for some in _DROP_SOME:
        if left:
            left -= some.changed(connection, build=build, most=left)
    return most - left


def drop_build(connection: Connection, build: int) -> None:
    """
    Forget *build*: its steps, journal, files and remarks.
    """
    for statement in _DROP_BUILD:
        statement.run(connection, build=build)


_DROP_BUILDSET = [
    Statement(delete(table).where(column == bindparam("buildset")))
    for table, column in (
        (schema.buildset_changes, schema.buildset_changes.c.buildset),
        (_requests, _requests.c.buildset),
        (_buildsets, _buildsets.c.id),
    )
]
_DROP_INPUT = Statement(delete(_inputs).where(_inputs.c.id == bindparam("input")))


def drop_buildset(connection: Connection, buildset: int) -> None:
    """
    Forget *buildset* and its requests.
    """
    for statement in _DROP_BUILDSET:
        statement.run(connection, buildset=buildset)


def drop_input(connection: Connection, input: int) -> None:
    """
    Forget the row of an input; its file stays.
    """
    _DROP_INPUT.run(connection, input=input)


def give_back(connection: Connection, pages: int) -> int:
    """
    Return at most *pages* free pages of an SQLite file to the file system; the number that is left.
    """
    if connection.dialect.name != "sqlite":
        return 0
    cursor = connection.connection.cursor()
    cursor.execute(f"PRAGMA incremental_vacuum({int(pages)})")
    cursor.fetchall()
    (left,) = cursor.execute("PRAGMA freelist_count").fetchone()
    return int(left)
