"""
Every FURL that was handed out: who may do what, until when, how often.  Its secret part is not here: `swissnums`.
"""

from typing import Any

from attrs import frozen
from sqlalchemy import Connection, Select, and_, bindparam, delete, func, or_, update

from .. import schema
from ..statements import (
    Query,
    Statement,
    inserting,
    selecting,
)
from ..swissnums import SwissnumRecord

_grants = schema.grants


@frozen
class GrantLimits:
    """
    How far a right goes; None: no limit.

    *uses*: how often.  *expires*: until when, in seconds since 1970.  Of a submission also *per_hour*: how many in any
    hour; *largest*: the bytes of what is submitted; *most_waiting*: how many of its requests may wait at a time.
    """

    uses: int | None = None
    expires: float | None = None
    per_hour: int | None = None
    largest: int | None = None
    most_waiting: int | None = None


NO_LIMITS = GrantLimits()


@frozen
class Grant:
    """
    A right: to do *verb* to *object*.

    *digest*, *salt*: what is recorded of the secret part of its string (`swissnums.SwissnumRecord`).
    *uses_allowed*, *expires*, *per_hour*, *largest*, *most_waiting*: see `GrantLimits`.  *revoked*, *used* (last):
    seconds since 1970, or None.  *pin*: the Tub id of the first that used it, from then on the only one that may.
    *label*: what the admin who handed it out says of it; None: it is the one in the farm's files.  *port*: the master's
    port by which it was last shown; None: not known.
    """

    id: int
    name: str
    verb: str
    object: str
    digest: str
    salt: str | None
    created: float
    expires: float | None = None
    used: float | None = None
    uses: int = 0
    uses_allowed: int | None = None
    revoked: float | None = None
    pin: str | None = None
    label: str | None = None
    per_hour: int | None = None
    largest: int | None = None
    most_waiting: int | None = None
    port: int | None = None

    def live(self, now: float) -> bool:
        """
        Whether it still gives a right to anything.
        """
        return (
            self.revoked is None
            and (self.expires is None or now < self.expires)
            and (self.uses_allowed is None or self.uses < self.uses_allowed)
        )


def _select() -> Select[tuple[Any, ...]]:
    return selecting(_grants, Grant).order_by(_grants.c.id)


_ADD = Statement(
    inserting(
        _grants,
        *("name", "verb", "object", "digest", "salt", "created", "label"),
        *("expires", "uses_allowed", "per_hour", "largest", "most_waiting"),
    ).returning(_grants.c.id)
)
_ALL = Query(_select(), Grant)
_GET = Query(_select().where(_grants.c.id == bindparam("id")), Grant)
_BY_DIGEST = Query(_select().where(_grants.c.digest == bindparam("digest")), Grant)
_BY_OBJECT = Query(
    _select().where(
        _grants.c.verb == bindparam("verb"), _grants.c.object == bindparam("object"), _grants.c.revoked.is_(None)
    ),
    Grant,
)
_LIVE = Query(
    _select().where(
        _grants.c.revoked.is_(None),
        or_(_grants.c.expires.is_(None), _grants.c.expires > bindparam("now")),
        or_(_grants.c.uses_allowed.is_(None), _grants.c.uses < _grants.c.uses_allowed),
    ),
    Grant,
)
_REVOKE = Statement(
    update(_grants)
    .where(_grants.c.id == bindparam("which"), _grants.c.revoked.is_(None))
    .values(revoked=bindparam("now"))
)
_REVOKE_ALL = Statement(
    update(_grants)
    .where(_grants.c.revoked.is_(None))
    .values(revoked=bindparam("now"), label=func.coalesce(_grants.c.label, bindparam("of")))
)
_PIN = Statement(update(_grants).where(_grants.c.id == bindparam("which")).values(pin=bindparam("key")))
_SHOWN = Statement(update(_grants).where(_grants.c.id == bindparam("which")).values(port=bindparam("by")))
_USED = Statement(
    update(_grants)
    .where(_grants.c.id == bindparam("which"))
    .values(used=bindparam("now"), uses=_grants.c.uses + bindparam("times"))
)
_EXPIRE = Statement(update(_grants).where(_grants.c.id == bindparam("which")).values(expires=bindparam("at")))
_EXPIRE_WATCHES = Statement(
    update(_grants)
    .where(
        _grants.c.verb == "watch",
        _grants.c.object == bindparam("of"),
        or_(_grants.c.expires.is_(None), _grants.c.expires > bindparam("at")),
    )
    .values(expires=bindparam("at"))
)
# A slave or a submission whose string was revoked is known by that row: without it, it would get a new one by itself.
_PRUNE = Statement(
    delete(_grants).where(
        or_(_grants.c.revoked < bindparam("before"), _grants.c.expires < bindparam("before")),
        or_(and_(_grants.c.verb != "slave", _grants.c.verb != "submit"), _grants.c.label.is_not(None)),
    )
)
_PRUNE_WATCHES = Statement(
    delete(_grants).where(_grants.c.verb == "watch", _grants.c.label.is_(None), _grants.c.expires < bindparam("before"))
)
_NEWEST = Query(_select().order_by(None).order_by(_grants.c.id.desc()).limit(bindparam("most")), Grant)


def add(
    connection: Connection,
    *,
    name: str,
    verb: str,
    object: str,
    minted: SwissnumRecord,
    now: float,
    label: str | None = None,
    limits: GrantLimits = NO_LIMITS,
) -> Grant:
    """
    A new grant.
    """
    id = _ADD.number(
        connection,
        name=name,
        verb=verb,
        object=object,
        digest=minted.digest,
        salt=minted.salt,
        created=now,
        label=label,
        expires=limits.expires,
        uses_allowed=limits.uses,
        per_hour=limits.per_hour,
        largest=limits.largest,
        most_waiting=limits.most_waiting,
    )
    return Grant(
        id,
        name,
        verb,
        object,
        minted.digest,
        minted.salt,
        now,
        expires=limits.expires,
        uses_allowed=limits.uses,
        label=label,
        per_hour=limits.per_hour,
        largest=limits.largest,
        most_waiting=limits.most_waiting,
    )


def get(connection: Connection, id: int) -> Grant | None:
    """
    The grant with that *id*, revoked or not.
    """
    return _GET.first(connection, id=id)


def by_digest(connection: Connection, digest: str) -> Grant | None:
    """
    The grant whose FURL's secret part has that *digest*, revoked or not.
    """
    return _BY_DIGEST.first(connection, digest=digest)


def by_object(connection: Connection, verb: str, object: str) -> list[Grant]:
    """
    The grants to do *verb* to *object* that were not revoked, oldest first.
    """
    return _BY_OBJECT.all(connection, verb=verb, object=object)


def live(connection: Connection, now: float) -> list[Grant]:
    """
    Every grant that still gives a right to something.
    """
    return _LIVE.all(connection, now=now)


def get_all(connection: Connection) -> list[Grant]:
    """
    Every grant, also those that were revoked or ran out: whoever shows one is told so.
    """
    return _ALL.all(connection)


def newest(connection: Connection, most: int) -> list[Grant]:
    """
    The *most* that were handed out last, newest first; also those that were revoked or ran out.
    """
    return _NEWEST.all(connection, most=most)


def revoke(connection: Connection, id: int, now: float) -> bool:
    """
    It gives no right any more.  False when it was revoked before, or never was.
    """
    return bool(_REVOKE.changed(connection, which=id, now=now))


def revoke_all(connection: Connection, now: float, *, label: str) -> int:
    """
    No string that was handed out gives a right any more; how many.  Those that were in the farm's files get *label*, so
    that others take their place there.
    """
    return _REVOKE_ALL.changed(connection, now=now, of=label)


def pin(connection: Connection, id: int, key: str | None) -> None:
    """
    From now on only the Tub *key* may use it; None: the next that does is pinned.
    """
    _PIN.run(connection, which=id, key=key)


def shown(connection: Connection, id: int, port: int) -> None:
    """
    It was last shown on a connection that came in by *port*.
    """
    _SHOWN.run(connection, which=id, by=port)


def used(connection: Connection, id: int, now: float, times: int = 1) -> None:
    """
    It was used so many *times* more, at last at *now*.
    """
    _USED.run(connection, which=id, now=now, times=times)


def expire(connection: Connection, id: int, at: float | None) -> None:
    """
    It ends at *at*, or never.
    """
    _EXPIRE.run(connection, which=id, at=at)


def expire_watches(connection: Connection, buildset: int, at: float) -> int:
    """
    What watches *buildset* ends at *at*, if it would not end before; how many strings.
    """
    return _EXPIRE_WATCHES.changed(connection, of=str(buildset), at=at)


def prune_watches(connection: Connection, before: float) -> int:
    """
    Forget the watch strings of submissions that ran out before *before*; how many.  Every submission has one, and all
    that are kept are read when the master starts.
    """
    return _PRUNE_WATCHES.changed(connection, before=before)


def prune(connection: Connection, before: float) -> int:
    """
    Forget those that were revoked, or ran out, before *before*, but for the slaves' and the submissions' own; how many.
    """
    return _PRUNE.changed(connection, before=before)
