"""
The outbox: messages to the world outside that are still to be sent, recorded in the transaction that caused them.

::

    due ──► sent (the row goes)
     ▲  │
     │  '──► failed: attempts + 1, and not before a later time
     '───────┘
"""

from collections.abc import Collection
from typing import Any

from attrs import frozen
from sqlalchemy import Connection, bindparam, delete, exists, func, or_, select, update

from .. import schema
from ..statements import Query, Statement, from_json, inserting, selecting, to_json

ADDED = "message.added"
"""The kind of an event that says that a message was added which does not follow from an event of its reporter."""
LONGEST_WAIT = 3600.0
"""Seconds from a failed attempt to the next one, at most."""

_outbox = schema.outbox


@frozen
class OutboxMessage:
    """
    A message for *reporter*.  *key*: the same message is recorded once; it also identifies the message to its receiver.
    *subject*: messages of the same one are sent in their order.  *not_before*: of the next attempt, in seconds since
    1970.  *failure*: of the last attempt, a sentence.
    """

    id: int
    reporter: str
    key: str
    subject: str
    body: Any
    created: float
    attempts: int
    not_before: float
    failure: str


@frozen
class Unsent:
    """
    The *messages*, a number, of *reporter* that failed and are tried again.  *since*: the time of the oldest, *next*:
    of the next attempt.  *failure*: of the oldest.
    """

    reporter: str
    messages: int
    since: float
    next: float
    failure: str


def _message(*row: Any) -> OutboxMessage:
    id, reporter, key, subject, body, *rest = row
    return OutboxMessage(id, reporter, key, subject, from_json(body), *rest)


_KNOWN = Statement(
    select(_outbox.c.id).where(_outbox.c.reporter == bindparam("reporter"), _outbox.c.key == bindparam("key"))
)
_ADD = Statement(inserting(_outbox, "reporter", "key", "subject", "body", "created"))
_earlier = _outbox.alias()
_before_it = select(_earlier.c.id).where(
    _earlier.c.reporter == _outbox.c.reporter,
    _earlier.c.subject == _outbox.c.subject,
    _earlier.c.id < _outbox.c.id,
    _outbox.c.subject != "",
)
_DUE = Query(
    selecting(_outbox, OutboxMessage)
    .where(
        _outbox.c.reporter == bindparam("reporter"),
        or_(_outbox.c.not_before <= bindparam("now"), _outbox.c.not_before > bindparam("latest")),
        ~exists(_before_it),
    )
    .order_by(_outbox.c.id)
    .limit(bindparam("most")),
    _message,
)
_NEXT_DUE = Query(
    select(func.min(_outbox.c.not_before)).where(_outbox.c.reporter == bindparam("reporter"), ~exists(_before_it)),
    lambda due: (due,),
)
_failing = (
    select(
        _outbox.c.reporter,
        func.count().label("messages"),
        func.min(_outbox.c.created).label("since"),
        func.min(_outbox.c.not_before).label("next"),
        func.min(_outbox.c.id).label("oldest"),
    )
    .where(_outbox.c.attempts > 0)
    .group_by(_outbox.c.reporter)
    .subquery()
)
_UNSENT = Query(
    select(_failing.c.reporter, _failing.c.messages, _failing.c.since, _failing.c.next, _outbox.c.failure)
    .join(_outbox, _outbox.c.id == _failing.c.oldest)
    .order_by(_failing.c.reporter),
    Unsent,
)
_FAILED = Statement(
    update(_outbox)
    .where(_outbox.c.id == bindparam("which"))
    .values(attempts=_outbox.c.attempts + 1, not_before=bindparam("until"), failure=bindparam("why"))
)
_CHANGED = Statement(update(_outbox).where(_outbox.c.id == bindparam("which")).values(body=bindparam("to_body")))
_REPORTERS = Query(select(_outbox.c.reporter).distinct(), str)
_OF_REPORTER = Statement(delete(_outbox).where(_outbox.c.reporter == bindparam("reporter")))
_SENT = Statement(delete(_outbox).where(_outbox.c.id == bindparam("which")))


def add(connection: Connection, *, reporter: str, key: str, body: Any, now: float, subject: str = "") -> bool:
    """
    Add a message; False when *reporter* has one with that *key*.  *subject*: "" for none.
    """
    if _KNOWN.number(connection, reporter=reporter, key=key):
        return False
    _ADD.run(connection, reporter=reporter, key=key, subject=subject, body=to_json(body), created=now)
    return True


def due(connection: Connection, reporter: str, now: float, most: int = 20) -> list[OutboxMessage]:
    """
    At most *most* messages that *reporter* may send at the time *now*, oldest first: of each subject the oldest one.

    A message that waits for longer than `LONGEST_WAIT` was postponed by a clock that was wrong, and is due.
    """
    return _DUE.all(connection, reporter=reporter, now=now, latest=now + LONGEST_WAIT, most=most)


def next_due(connection: Connection, reporter: str) -> float | None:
    """
    When the next message of *reporter* may be sent, in seconds since 1970, perhaps by now; None when there is none.
    """
    row = _NEXT_DUE.first(connection, reporter=reporter)
    return None if row is None else row[0]


def unsent(connection: Connection) -> list[Unsent]:
    """
    The messages that could not be sent yet, for each reporter.
    """
    return _UNSENT.all(connection)


def failed(connection: Connection, id: int, why: str, until: float, body: Any = None) -> None:
    """
    Count a failed attempt; the next is not before *until*.  *body*: the part that is still to be sent; None: all of it.
    """
    _FAILED.run(connection, which=id, why=why, until=until)
    if body is not None:
        _CHANGED.run(connection, which=id, to_body=to_json(body))


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
