"""
Grants at a restore: which are void in the restored farm.
"""

from sqlalchemy import Connection, bindparam, update

from .. import schema
from ..revocation_log import LoggedRevocations
from ..statements import Statement
from .grants import WEB_PAGES, Grant, get_all, used

_grants = schema.grants

_RESTORED = "of the farm before the restore"

_VOID = Statement(
    update(_grants)
    .where(_grants.c.id == bindparam("which"))
    .values(revoked=bindparam("now"), label=bindparam("to_label"))
)
_RELABEL_FOR_PAGES = Statement(
    update(_grants)
    .where(
        _grants.c.label == WEB_PAGES,
        _grants.c.verb == bindparam("of_verb"),
        _grants.c.object == bindparam("of_object"),
        _grants.c.revoked.is_not(None),
    )
    .values(label=bindparam("to_label"))
)


def apply_log(connection: Connection, logged: LoggedRevocations) -> list[Grant]:
    """
    Apply the revocations and uses of a log; returns the grants that this makes void.
    """
    void = []
    for grant in get_all(connection):
        count, at = logged.uses.get(grant.digest, (0, 0.0))
        if count > grant.uses:
            used(connection, grant.id, at, count - grant.uses)
        at = logged.revoked.get(grant.digest, 0.0)
        if (at and _void(connection, grant, at)) or grant.uses < (grant.uses_allowed or 0) <= count:
            void.append(grant)
    return void


def void_strings(connection: Connection, now: float) -> list[Grant]:
    """
    Revoke all grants but those of slaves, and return those that were in force.
    """
    return [grant for grant in get_all(connection) if grant.verb != "slave" and _void(connection, grant, now)]


def _void(connection: Connection, grant: Grant, at: float) -> bool:
    """
    Revoke *grant* at a restore.  False: it was revoked.

    The farm's own (those in its files) get another label: so the master makes new ones, except for a slave.
    """
    if grant.revoked is not None:
        return False
    given = None if grant.label == WEB_PAGES else grant.label
    label = None if grant.verb == "slave" else given or _RESTORED
    _VOID.run(connection, which=grant.id, now=at, to_label=label)
    if grant.label == WEB_PAGES:
        # Earlier ones that were rotated: to the master each of them says that the admin wants no other.
        _RELABEL_FOR_PAGES.run(connection, of_verb=grant.verb, of_object=grant.object, to_label=_RESTORED)
    return True
