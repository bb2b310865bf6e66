"""
Grants: the right that each minted FURL gives, until when, how often.  The FURL itself is not stored: `swissnums`.
"""

from typing import Any

from attrs import frozen
from sqlalchemy import Connection, Select, and_, bindparam, func, or_, update

from .. import schema
from ..revocation_log import RevocationLog
from ..statements import (
    Query,
    Statement,
    inserting,
    selecting,
)
from ..swissnums import SwissnumRecord

_grants = schema.grants


LOG = "buildbot_lite.revocations"
"""The key in a connection's *info* of the `RevocationLog` of its database, if that has one."""


WEB_PAGES = "web pages"
"""The label of the grants of web processes, which the master makes, or an admin for one on another machine."""
BESIDE_MASTER = "web/private"
"""The name of those which the master makes for the one beside it; no grant that is handed out has such a name."""
ELSEWHERE = "web/elsewhere"
"""The name of a watch grant that an admin handed out for a web process elsewhere."""
SESSION_OF = "web/session-of-"
"""The beginning of the name of a browser's session; the number of the web process's grant follows."""


@frozen
class GrantLimits:
    """
    Limits of a grant; None: no limit.

    *uses*: number of uses.  *expires*: seconds since 1970.  For submissions also *per_hour*: number in any hour;
    *largest*: bytes of an input; *most_waiting*: requests that may wait at a time; *most_priority*: the highest
    priority that a submitter may choose, None: that of the scheduler.
    """

    uses: int | None = None
    expires: float | None = None
    per_hour: int | None = None
    largest: int | None = None
    most_waiting: int | None = None
    most_priority: int | None = None


NO_LIMITS = GrantLimits()


@frozen
class Grant:
    """
    The right to do *verb* to *object*.

    *digest*, *salt*: the recorded parts of the FURL's swissnum (`swissnums.SwissnumRecord`).
    *uses_allowed*, *expires*, *per_hour*, *largest*, *most_waiting*, *most_priority*: see `GrantLimits`.
    *revoked*, *used* (last): seconds since 1970, or None.  *pin*: the Tub id of the first user, which is from then on
    the only one.  *label*: the admin's label for the grant; None: its FURL is in the farm's files.  *port*: the
    master's port in the FURL as last shown; None: unknown.
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
    most_priority: int | None = None

    def live(self, now: float) -> bool:
        """
        Whether the grant is in force at *now*.
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
        *("expires", "uses_allowed", "per_hour", "largest", "most_waiting", "most_priority"),
    ).returning(_grants.c.id)
)
_ALL = Query(_select(), Grant)
_GET = Query(_select().where(_grants.c.id == bindparam("id")), Grant)
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
_RENAME = Statement(update(_grants).where(_grants.c.id == bindparam("which")).values(name=bindparam("to_name")))
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
_OF_PAGES = Query(
    _select().where(
        _grants.c.label == WEB_PAGES,
        _grants.c.verb == bindparam("verb"),
        _grants.c.object == bindparam("object"),
        # Masters of the first version gave them the name of the object.
        or_(
            _grants.c.name == BESIDE_MASTER,
            and_(_grants.c.name != ELSEWHERE, _grants.c.revoked.is_not(None)),
        ),
    ),
    Grant,
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
    Add a grant.
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
        most_priority=limits.most_priority,
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
        most_priority=limits.most_priority,
    )


def log_of(connection: Connection) -> RevocationLog | None:
    """
    The log of revocations beside the database of *connection*.
    """
    return connection.info.get(LOG)


def get(connection: Connection, id: int) -> Grant | None:
    """
    The grant with that *id*, revoked or not.
    """
    return _GET.first(connection, id=id)


def live(connection: Connection, now: float) -> list[Grant]:
    """
    All grants in force at *now*.
    """
    return _LIVE.all(connection, now=now)


def get_all(connection: Connection) -> list[Grant]:
    """
    All grants, including revoked and expired ones, so that their users get a sentence that says so.
    """
    return _ALL.all(connection)


def newest(connection: Connection, most: int) -> list[Grant]:
    """
    The newest *most* grants, newest first, including revoked and expired ones.
    """
    return _NEWEST.all(connection, most=most)


def had_for_pages(connection: Connection, *, verb: str, object: str) -> bool:
    """
    Whether the web process beside the master ever had a grant for *verb* and *object*, revoked or not.
    """
    return _OF_PAGES.first(connection, verb=verb, object=object) is not None


def revoke(connection: Connection, id: int, now: float) -> bool:
    """
    Revoke the grant, and log that.  False when it was revoked before or does not exist.
    """
    changed = bool(_REVOKE.changed(connection, which=id, now=now))
    if (log := log_of(connection)) is not None and (grant := get(connection, id)) is not None:
        log.revoked(grant.digest, now)
    return changed


def revoke_all(connection: Connection, now: float, *, label: str) -> int:
    """
    Revoke all grants; returns their number.  Those in the farm's files get *label*, so that new ones replace them
    there.
    """
    return _REVOKE_ALL.changed(connection, now=now, of=label)


def pin(connection: Connection, id: int, key: str | None) -> None:
    """
    Restrict the grant to the Tub id *key*; None: the next user is pinned.
    """
    _PIN.run(connection, which=id, key=key)


def rename(connection: Connection, id: int, name: str) -> None:
    """
    Give the grant another *name*.
    """
    _RENAME.run(connection, which=id, to_name=name)


def shown(connection: Connection, id: int, port: int) -> None:
    """
    Record that its FURL was last shown with *port*, by which the client had connected.
    """
    _SHOWN.run(connection, which=id, by=port)


def used(connection: Connection, id: int, now: float, times: int = 1) -> None:
    """
    Record *times* more uses, the last one at *now*; log those of a grant for a limited number.
    """
    _USED.run(connection, which=id, now=now, times=times)
    if (log := log_of(connection)) is not None:
        grant = get(connection, id)
        if grant is not None and grant.uses_allowed is not None:
            log.used(grant.digest, grant.uses, now)


def expire(connection: Connection, id: int, at: float | None) -> None:
    """
    Set the expiry; None: never.
    """
    _EXPIRE.run(connection, which=id, at=at)


def expire_watches(connection: Connection, buildset: int, at: float) -> int:
    """
    Let the watch grants of *buildset* expire at *at*, unless they expire earlier; returns their number.
    """
    return _EXPIRE_WATCHES.changed(connection, of=str(buildset), at=at)
