"""
The outbox: messages to the world outside that are still to be sent, recorded in the transaction that caused them.

::

    due ──► sent (the row goes)
     ▲  │
     │  '──► failed: attempts + 1, and not before a later time
     '───────┘
"""

import json
from collections.abc import Collection
from typing import Any

from attrs import frozen
from sqlalchemy import Connection, bindparam, delete, func, select, update

from .. import schema
from ..statements import Query, Statement, inserting, selecting, to_json

_outbox = schema.outbox


@frozen
class OutboxMessage:
    """
    A message for *reporter*.  *key*: the same message is recorded once; it also identifies the message to its receiver.
    *not_before*: of the next attempt, in seconds since 1970.  *failure*: of the last attempt, a sentence.
    """

    id: int
    reporter: str
    key: str
    body: Any
    created: float
    attempts: int
    not_before: float
    failure: str


def _message(*row: Any) -> OutboxMessage:
    id, reporter, key, body, *rest = row
    return OutboxMessage(id, reporter, key, json.loads(body), *rest)


_KNOWN = Statement(
    select(_outbox.c.id).where(_outbox.c.reporter == bindparam("reporter"), _outbox.c.key == bindparam("key"))
)
_ADD = Statement(inserting(_outbox, "reporter", "key", "body", "created"))
_DUE = Query(
    selecting(_outbox, OutboxMessage)
    .where(_outbox.c.reporter == bindparam("reporter"), _outbox.c.not_before <= bindparam("now"))
    .order_by(_outbox.c.id)
    .limit(bindparam("most")),
    _message,
)
_NEXT_DUE = Query(
    select(func.min(_outbox.c.not_before)).where(_outbox.c.reporter == bindparam("reporter")), lambda due: (due,)
)
_FAILING = Query(selecting(_outbox, OutboxMessage).where(_outbox.c.attempts > 0).order_by(_outbox.c.id), _message)
_FAILED = Statement(
    update(_outbox)
    .where(_outbox.c.id == bindparam("which"))
    .values(attempts=_outbox.c.attempts + 1, not_before=bindparam("until"), failure=bindparam("why"))
)
_REPORTERS = Query(select(_outbox.c.reporter).distinct(), str)
_OF_REPORTER = Statement(delete(_outbox).where(_outbox.c.reporter == bindparam("reporter")))
_SENT = Statement(delete(_outbox).where(_outbox.c.id == bindparam("which")))


def add(connection: Connection, *, reporter: str, key: str, body: Any, now: float) -> bool:
    """
    Add a message; False when *reporter* has one with that *key*.
    """
    if _KNOWN.number(connection, reporter=reporter, key=key):
        return False
    _ADD.run(connection, reporter=reporter, key=key, body=to_json(body), created=now)
    return True


def due(connection: Connection, reporter: str, now: float, most: int = 20) -> list[OutboxMessage]:
    """
    At most *most* messages that *reporter* may send now, oldest first.
    """
    return _DUE.all(connection, reporter=reporter, now=now, most=most)


def next_due(connection: Connection, reporter: str) -> float | None:
    """
    When the next message of *reporter* may be sent, in seconds since 1970; None without messages.
    """
    row = _NEXT_DUE.first(connection, reporter=reporter)
    return None if row is None else row[0]


def failing(connection: Connection) -> list[OutboxMessage]:
    """
    The messages whose last attempt failed.
    """
    return _FAILING.all(connection)


def failed(connection: Connection, id: int, why: str, until: float) -> None:
    """
    Count a failed attempt; the next is not before *until*.
    """
    _FAILED.run(connection, which=id, why=why, until=until)


def drop_all_but(connection: Connection, reporters: Collection[str]) -> int:
    """
    Forget the messages of all reporters but these; their number.
    """
    unwanted = set(_REPORTERS.all(connection)) - set(reporters)
    return sum(_OF_REPORTER.changed(connection, reporter=name) for name in unwanted)


def sent(connection: Connection, id: int) -> None:
    """
    Forget a message that was sent, or given up.
    """
    _SENT.run(connection, which=id)
