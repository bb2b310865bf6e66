"""
Removal of grants that ended long ago.
"""

from sqlalchemy import Connection, and_, bindparam, delete, or_, select

from .. import schema
from ..statements import Statement
from .grants import WEB_PAGES

_grants = schema.grants

# The revoked grant of a slave, a submission or the web process stays: without that row the master would mint a new FURL
# by itself.
_ended = select(_grants.c.id).where(
    or_(_grants.c.revoked < bindparam("before"), _grants.c.expires < bindparam("before")),
    or_(and_(_grants.c.verb != "slave", _grants.c.verb != "submit"), _grants.c.label.is_not(None)),
    _grants.c.label.is_distinct_from(WEB_PAGES),
)
_ended_watches = select(_grants.c.id).where(
    _grants.c.verb == "watch", _grants.c.label.is_(None), _grants.c.expires < bindparam("before")
)
_PRUNE, _PRUNE_WATCHES = (
    Statement(delete(_grants).where(_grants.c.id.in_(which.limit(bindparam("most")))))
    for which in (_ended, _ended_watches)
)


def prune_watches(connection: Connection, before: float, most: int) -> int:
    """
    Delete at most *most* of the watch grants of submissions that expired before *before*; returns their number.  Each
    submission has one, and the master reads all grants when it starts.
    """
    return _PRUNE_WATCHES.changed(connection, before=before, most=most)


def prune(connection: Connection, before: float, most: int) -> int:
    """
    Delete at most *most* of the grants that were revoked or expired before *before*, except those of slaves and
    submissions in the farm's files; returns their number.
    """
    return _PRUNE.changed(connection, before=before, most=most)
