"""
Applied configurations: the text of master.cfg and of the modules beside it, for as long as a build may need them.

The row stays, because builds name it; its text is let go once no unfinished build does.
"""

import json
from collections.abc import Mapping

from attrs import frozen
from sqlalchemy import Connection, bindparam, select, update

from .. import schema
from ..statements import Query, Statement, inserting, selecting, to_json

_generations = schema.generations
_builds = schema.builds
_LET_GO = "{}"


@frozen
class Generation:
    """
    One applied configuration: *hash* of all *files* (name → text), last *applied* at.
    """

    hash: str
    applied: float
    files: Mapping[str, str]


def _generation(hash: str, applied: float, files: str) -> Generation:
    return Generation(hash, applied, json.loads(files))


_ADD = Statement(inserting(_generations, "hash", "applied", "files"))
_AGAIN = Statement(
    update(_generations)
    .where(_generations.c.hash == bindparam("which"))
    .values(applied=bindparam("applied"), files=bindparam("files"))
)
_GET = Query(
    selecting(_generations, Generation).where(
        _generations.c.hash == bindparam("hash"), _generations.c.files != _LET_GO
    ),
    _generation,
)
_NEWEST = Query(
    selecting(_generations, Generation)
    .where(_generations.c.files != _LET_GO)
    .order_by(_generations.c.applied.desc())
    .limit(1),
    _generation,
)
_PRUNE = Statement(
    update(_generations)
    .where(
        _generations.c.hash != bindparam("current"),
        _generations.c.files != _LET_GO,
        _generations.c.hash.not_in(select(_builds.c.generation).where(_builds.c.finished.is_(None))),
    )
    .values(files=_LET_GO)
)


def keep(connection: Connection, hash: str, files: Mapping[str, str], now: float) -> None:
    """
    This configuration was applied *now*.  One that was applied before is the newest again.
    """
    text = to_json(dict(files))
    if not _AGAIN.changed(connection, which=hash, applied=now, files=text):
        _ADD.run(connection, hash=hash, applied=now, files=text)


def get(connection: Connection, hash: str) -> Generation | None:
    """
    The configuration with that *hash*; None when it is unknown, or its text was let go.
    """
    return _GET.first(connection, hash=hash)


def newest(connection: Connection) -> Generation | None:
    """
    The configuration that was applied last.
    """
    return _NEWEST.first(connection)


def prune(connection: Connection, current: str) -> int:
    """
    Let go of every text that is neither *current* nor needed by an unfinished build; how many.
    """
    return _PRUNE.changed(connection, current=current)
