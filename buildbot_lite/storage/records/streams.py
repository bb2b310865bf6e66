"""
Streams: the files with the bytes of logs and artifacts (`buildbot_lite.storage.streams`).
"""

from attrs import frozen
from sqlalchemy import Connection, bindparam, exists, update

from .. import schema
from ..statements import (
    Query,
    Statement,
    inserting,
    selecting,
)

_streams = schema.streams


@frozen
class Stream:
    """
    The row of a stream: a part of the log or artifact *name*, written by the journal entry *ordinal* of *step*.

    *kind*: log or artifact.  *path*: below the farm's ``streams`` or ``artifacts``.  *length*, *sha256*: None until the
    stream is sealed.
    """

    id: int
    build: int
    step: int
    ordinal: int
    name: str
    kind: str
    path: str
    length: int | None = None
    sha256: str | None = None


_ORDER = (_streams.c.step, _streams.c.ordinal, _streams.c.id)
_NOTED = Query(
    selecting(_streams, Stream).where(
        _streams.c.build == bindparam("build"),
        _streams.c.step == bindparam("step"),
        _streams.c.ordinal == bindparam("ordinal"),
        _streams.c.name == bindparam("name"),
    ),
    Stream,
)
_ADD = Statement(inserting(_streams, "build", "step", "ordinal", "name", "kind", "path").returning(_streams.c.id))
_SEAL = Statement(
    update(_streams)
    .where(_streams.c.id == bindparam("which"))
    .values(length=bindparam("bytes"), sha256=bindparam("checksum"))
)
_MOVE = Statement(update(_streams).where(_streams.c.id == bindparam("which")).values(path=bindparam("there")))
_GET = Query(selecting(_streams, Stream).where(_streams.c.id == bindparam("id")), Stream)
_OF_BUILD = Query(selecting(_streams, Stream).where(_streams.c.build == bindparam("build")).order_by(*_ORDER), Stream)
_LOGS = Query(
    selecting(_streams, Stream)
    .where(_streams.c.build == bindparam("build"), _streams.c.kind == "log")
    .order_by(*_ORDER)
    .limit(bindparam("most")),
    Stream,
)
_OWN_TEXTS = Query(
    selecting(_streams, Stream)
    .where(
        _streams.c.build == bindparam("build"),
        _streams.c.step == bindparam("step"),
        _streams.c.kind == "log",
        # Only what a step writes itself has an ordinal without an effect.
        ~exists().where(
            schema.journal.c.build == _streams.c.build,
            schema.journal.c.step == _streams.c.step,
            schema.journal.c.ordinal == _streams.c.ordinal,
        ),
    )
    .order_by(*_ORDER),
    Stream,
)
_OF_STEP = Query(
    selecting(_streams, Stream)
    .where(_streams.c.build == bindparam("build"), _streams.c.step == bindparam("step"))
    .order_by(*_ORDER),
    Stream,
)


def note(connection: Connection, build: int, step: int, ordinal: int, *, name: str, kind: str, path: str) -> Stream:
    """
    Record a stream with the file *path*.  If this stream is recorded already, returns that row unchanged.
    """
    earlier = _NOTED.first(connection, build=build, step=step, ordinal=ordinal, name=name)
    if earlier is not None:
        return earlier
    id = _ADD.number(connection, build=build, step=step, ordinal=ordinal, name=name, kind=kind, path=path)
    return Stream(id, build, step, ordinal, name, kind, path)


def seal(connection: Connection, id: int, length: int, sha256: str) -> None:
    """
    Record the final *length* and checksum.
    """
    _SEAL.run(connection, which=id, bytes=length, checksum=sha256)


def move(connection: Connection, id: int, path: str) -> None:
    """
    Change the file to *path*, because the slave sends another generation of the stream.  The stream is no longer
    sealed.
    """
    _MOVE.run(connection, which=id, there=path)
    _SEAL.run(connection, which=id, bytes=None, checksum=None)


def get(connection: Connection, id: int) -> Stream | None:
    """
    The stream with that *id*.
    """
    return _GET.first(connection, id=id)


def of_build(connection: Connection, build: int) -> list[Stream]:
    """
    The streams of *build*, in the order of their steps and effects.
    """
    return _OF_BUILD.all(connection, build=build)


def logs_of(connection: Connection, build: int, most: int) -> list[Stream]:
    """
    The first *most* streams of logs of *build*, in the order of `of_build`.
    """
    return _LOGS.all(connection, build=build, most=most)


def of_step(connection: Connection, build: int, step: int) -> list[Stream]:
    """
    The streams of one step, in the order of its effects.
    """
    return _OF_STEP.all(connection, build=build, step=step)


def own_texts(connection: Connection, build: int, step: int) -> list[Stream]:
    """
    The streams of *step* that its code wrote itself, not one of its commands.
    """
    return _OWN_TEXTS.all(connection, build=build, step=step)
