"""
Verbs: what a FURL permits its holder to do to one object.

Each verb is one entry of a registry, which the composition root fills: `SLAVE` from `master.farm`, the others from
`control.verbs`, and those of later packages from there.  The records hold the verb's name.
"""

from collections.abc import Awaitable, Callable

from attrs import frozen

from ...storage.records.grants import Grant
from ...wire.exposed import Exposed, Revocable

SLAVE = "slave"
SUBMIT = "submit"
WATCH = "watch"
CONTROL = "control"
ADMIN = "admin"
CHANGE = "change"

FARM = "farm"
"""The object of a grant that is about the whole farm."""
WEBHOOKS = "webhooks"
"""The object of a grant for webhooks, and an admin's word for it."""

Expose = Callable[[Grant, Revocable], Exposed]
"""
Makes the object that a grant designates.  The object is made once and kept, so it must look up the configuration on
each call, and keep no part of it.
"""

Designate = Callable[[str], Awaitable[tuple[str, str]]]
"""
Finds the object for an admin's word: the object as the records have it, and its name in lists.  Raises
`NotFoundError` or `RefusedError` if there is none.
"""


@frozen(eq=False)
class Verb:
    """
    One verb.

    *expose* makes what its FURLs lead to.  *designate*: how ``grant`` hands one out; None: only the farm itself makes
    them.  *has_limits*: uses, rates and sizes can be limited; otherwise only the expiry.  *preauth*: its holders run
    our programs, which prove knowledge of the FURL before TLS (`wire.limits.preauth`).  *counts_lookups*: each lookup
    is a use; otherwise the designated object counts uses.  *takes*: what the admin names after ``grant`` and the verb,
    for people; "": nothing, because it is about the whole farm.
    """

    name: str
    expose: Expose
    designate: Designate | None = None
    has_limits: bool = False
    preauth: bool = False
    counts_lookups: bool = False
    takes: str = ""
