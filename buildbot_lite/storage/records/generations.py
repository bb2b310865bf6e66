"""
Applied configurations.  Their texts are in files (`generation_texts`); the rows stay, because builds refer to them.
"""

from sqlalchemy import Connection, bindparam, select, update

from .. import schema
from ..statements import (
    Query,
    Statement,
    inserting,
)

_generations = schema.generations
_builds = schema.builds

_ADD = Statement(inserting(_generations, "hash", "applied"))
_AGAIN = Statement(
    update(_generations).where(_generations.c.hash == bindparam("which")).values(applied=bindparam("applied"))
)
_NEEDED = Query(select(_builds.c.generation).where(_builds.c.finished.is_(None)).distinct(), str)


def keep(connection: Connection, hash: str, now: float) -> None:
    """
    Record that the configuration *hash* was applied *now*, for the first time or again.
    """
    if not _AGAIN.changed(connection, which=hash, applied=now):
        _ADD.run(connection, hash=hash, applied=now)


def needed(connection: Connection) -> set[str]:
    """
    The hashes of the configurations of unfinished builds.
    """
    return set(_NEEDED.all(connection))
