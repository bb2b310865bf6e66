"""
Journals: the recorded effects of builds, by which a replay decides (invariant I5).

An entry is written once, before its effect, and completed once, after it.  Neither part ever changes.
"""

from typing import Any

from attrs import frozen
from sqlalchemy import Connection, bindparam, update

from .. import schema
from ..statements import (
    Query,
    Statement,
    from_json,
    inserting,
    selecting,
    to_json,
)

COMMAND = "command"
"""The kind of a journal entry for a command on a slave or on the master."""
LOCK = "lock"
"""The kind of a journal entry whose step holds locks, once it has an outcome."""
TRIGGERED = "triggered"
"""The kind of a journal entry that waits for the builds of a Trigger step."""

_journal = schema.journal


@frozen
class JournalRow:
    """
    One effect.  *ordinal*: counts the effects of *step* from 0.  *intent*, *outcome*: JSON values; there is no outcome
    while *ended* is None.
    """

    build: int
    step: int
    ordinal: int
    kind: str
    fingerprint: str
    intent: Any
    begun: float
    outcome: Any = None
    ended: float | None = None


def _entry(*row: Any) -> JournalRow:
    build, step, ordinal, kind, fingerprint, intent, begun, outcome, ended = row
    came_of_it = None if outcome is None else from_json(outcome)
    return JournalRow(build, step, ordinal, kind, fingerprint, from_json(intent), begun, came_of_it, ended)


_BEGIN = Statement(inserting(_journal, "build", "step", "ordinal", "kind", "fingerprint", "intent", "begun"))
_END = Statement(
    update(_journal)
    .where(
        _journal.c.build == bindparam("of_build"),
        _journal.c.step == bindparam("of_step"),
        _journal.c.ordinal == bindparam("which"),
        _journal.c.ended.is_(None),
    )
    .values(outcome=bindparam("came_of_it"), ended=bindparam("now"))
)
_OF_BUILD = Query(
    selecting(_journal, JournalRow)
    .where(_journal.c.build == bindparam("build"))
    .order_by(_journal.c.step, _journal.c.ordinal),
    _entry,
)
_COMMANDS = Query(
    selecting(_journal, JournalRow)
    .where(_journal.c.build == bindparam("build"), _journal.c.kind == COMMAND)
    .order_by(_journal.c.step, _journal.c.ordinal)
    .limit(bindparam("most")),
    _entry,
)


def begin(
    connection: Connection,
    build: int,
    step: int,
    ordinal: int,
    *,
    kind: str,
    fingerprint: str,
    intent: object,
    now: float,
) -> JournalRow:
    """
    Record an effect before it happens.  `StorageError` when the journal has an entry with these numbers.
    """
    _BEGIN.run(
        connection,
        build=build,
        step=step,
        ordinal=ordinal,
        kind=kind,
        fingerprint=fingerprint,
        intent=to_json(intent),
        begun=now,
    )
    return JournalRow(build, step, ordinal, kind, fingerprint, intent, now)


def end(connection: Connection, build: int, step: int, ordinal: int, *, outcome: object, now: float) -> bool:
    """
    Record the outcome of an effect.  False, and no change, when it has one or was never begun.
    """
    return bool(
        _END.changed(connection, of_build=build, of_step=step, which=ordinal, came_of_it=to_json(outcome), now=now)
    )


def of_build(connection: Connection, build: int) -> list[JournalRow]:
    """
    The journal of *build*, in the order of its steps and their effects.
    """
    return _OF_BUILD.all(connection, build=build)


def commands_of(connection: Connection, build: int, most: int) -> list[JournalRow]:
    """
    The first *most* commands of *build*, in their order.
    """
    return _COMMANDS.all(connection, build=build, most=most)
