"""
Artifacts of finished builds, as the input of other builds.
"""

from collections.abc import Collection, Mapping
from typing import Any

from attrs import frozen
from sqlalchemy import Connection, Text, bindparam, cast, func, literal_column, select

from ...model.names import directory_name
from ...model.source_stamps import UNTRUSTED
from .. import schema
from ..statements import Query, from_json
from .builds import branch_of
from .durations import is_good
from .retention import RetentionHolder

USED = "artifact"
"""The kind of a journal entry that chose an artifact; its outcome has the build that made it."""

_builds, _streams, _journal = schema.builds, schema.streams, schema.journal


@frozen
class StoredArtifact:
    """
    An artifact: the *build* (a row) that made it, *number* of its builder, *path* below ``artifacts``.  *source*: that
    of the build.
    """

    build: int
    number: int
    path: str
    length: int
    sha256: str
    source: Mapping[str, Any]


def _artifact(build: int, number: int, path: str, length: int, sha256: str, source: str) -> StoredArtifact:
    return StoredArtifact(build, number, path, length, sha256, from_json(source))


_ALL = (
    select(
        _builds.c.id,
        _builds.c.number,
        _streams.c.path,
        _streams.c.length,
        _streams.c.sha256,
        schema.buildsets.c.source,
    )
    .join_from(_builds, _streams, _streams.c.build == _builds.c.id)
    .join(schema.requests, schema.requests.c.id == _builds.c.request)
    .join(schema.buildsets, schema.buildsets.c.id == schema.requests.c.buildset)
    .where(
        _builds.c.builder == bindparam("builder"),
        _streams.c.kind == "artifact",
        _streams.c.path == bindparam("directory") + "/" + cast(_builds.c.number, Text) + "/" + bindparam("name"),
        _streams.c.sha256.is_not(None),
    )
    .order_by(_builds.c.number.desc(), _streams.c.step.desc(), _streams.c.ordinal.desc())
)
_OF_BUILD = Query(_ALL.where(_builds.c.number == bindparam("number")).limit(1), _artifact)
_of_fork = func.coalesce(func.json_extract(schema.buildsets.c.source, f"$.{UNTRUSTED}"), 0)
_good = _ALL.where(is_good(_builds.c.result), _of_fork == literal_column("0")).limit(1)
_LAST_GOOD = Query(_good, _artifact)
_LAST_GOOD_OF_BRANCH = Query(
    _good.where(branch_of(_builds).is_not_distinct_from(bindparam("branch", type_=Text))), _artifact
)
_USED = Query(
    select(_journal.c.outcome).where(
        _journal.c.build.in_(select(_builds.c.id).where(_builds.c.finished.is_(None))),
        _journal.c.kind == USED,
        _journal.c.outcome.is_not(None),
    ),
    from_json,
)


def of_build(connection: Connection, builder: str, number: int, name: str) -> StoredArtifact | None:
    """
    The artifact *name* of one build.
    """
    return _OF_BUILD.first(connection, number=number, **_place(builder, name))


def of_last_good_build(connection: Connection, builder: str, name: str) -> StoredArtifact | None:
    """
    The artifact *name* of the newest good build of *builder* that is of no fork and has it.
    """
    return _LAST_GOOD.first(connection, **_place(builder, name))


def of_last_good_build_of_branch(
    connection: Connection, builder: str, name: str, branch: str | None
) -> StoredArtifact | None:
    """
    The artifact *name* of the newest good build of *builder* that is of *branch* (None: of no branch), is of no fork,
    and has it.
    """
    return _LAST_GOOD_OF_BRANCH.first(connection, branch=branch, **_place(builder, name))


def _place(builder: str, name: str) -> dict[str, str]:
    # The path of an artifact is DIRECTORY/NUMBER/NAME; the name of its stream is that of every upload.
    return {"builder": builder, "directory": directory_name(builder), "name": name}


def _held(connection: Connection, builds: Collection[int]) -> Collection[int]:
    return {outcome["build"] for outcome in _USED.all(connection) if "build" in outcome}.intersection(builds)


INPUTS_OF_BUILDS = RetentionHolder("artifacts that unfinished builds have chosen as their input", _held)
