"""
The grants in force, in memory, so that lookups answer at once.

The key of a lookup is the digest of the swissnum, so the duration of a lookup tells nothing about any FURL.
"""

from collections.abc import Callable, Sequence

from attrs import define
from twisted.internet.interfaces import IDelayedCall

from ...model.token_bucket import TokenBucket
from ...storage.records.grants import Grant
from ...wire.exposed import Exposed, Revocable
from ...wire.limits.preauth import Preauth
from .verbs import WATCH


@define(eq=False)
class LiveGrant:
    """
    A grant in force and, after its first lookup, the designated object and its `Revocable`.  (Most grants are never
    looked up: each submission of the last week has a FURL to watch it.)
    """

    grant: Grant
    revocable: Revocable | None = None
    exposed: Exposed | None = None
    end: IDelayedCall | None = None
    """The timer that cuts its links at the expiry."""
    unrecorded: int = 0
    """Uses that are counted in *grant*, and not yet in its row."""
    recording: TokenBucket | None = None
    """Permits recording them now; None before the first lookup."""
    made_with: int | None = None
    """The number of the grant with whose FURL the submission was made that this one watches."""


class LiveGrants:
    """
    The grants in force, by digest, by id, and by verb and object.

    *token*: returns the token with which holders of a grant skip the handshake queue, None if they may not.  *preauth*:
    the table that gets these tokens.
    """

    def __init__(self, token: Callable[[Grant], str | None], preauth: Preauth) -> None:
        self._token = token
        self._preauth = preauth
        self._by_digest: dict[str, LiveGrant] = {}
        self._by_id: dict[int, LiveGrant] = {}
        self._by_object: dict[tuple[str, str], list[LiveGrant]] = {}
        self._revoked: set[str] = set()
        # The objects whose FURL in the farm's files was revoked: only `rotate` gives them a new one.
        self._without: set[tuple[str, str]] = set()

    def of_digest(self, digest: str) -> LiveGrant | None:
        """
        The grant whose swissnum has *digest*.
        """
        return self._by_digest.get(digest)

    def of_id(self, id: int) -> LiveGrant | None:
        """
        The grant with the number *id*.
        """
        return self._by_id.get(id)

    def of_object(self, verb: str, object: str) -> Sequence[Grant]:
        """
        The grants for *verb* and *object*, oldest first, unless another is preferred.
        """
        return [live.grant for live in self._by_object.get((verb, object), ())]

    def published(self, verb: str, object: str) -> Grant | None:
        """
        The grant for *verb* and *object* whose FURL is in the farm's files.
        """
        for grant in self.of_object(verb, object):
            if grant.label is None:
                return grant
        return None

    def all(self) -> Sequence[LiveGrant]:
        """
        All grants in force.
        """
        return tuple(self._by_id.values())

    def was_revoked(self, digest: str) -> bool:
        """
        Whether the grant whose swissnum has *digest* was revoked.
        """
        return digest in self._revoked

    def is_without(self, verb: str, object: str) -> bool:
        """
        Whether the FURL of *object* in the farm's files was revoked and not replaced.
        """
        return (verb, object) in self._without

    def prefer(self, grant: Grant) -> None:
        """
        Put *grant* before the other grants for the same verb and object.
        """
        self._by_object[grant.verb, grant.object].sort(key=lambda live: live.grant.id != grant.id)

    def add(self, grant: Grant, made_with: int | None = None) -> None:
        """
        Add *grant*.  *made_with*: as for `LiveGrant`.
        """
        live = LiveGrant(grant, made_with=made_with)
        self._by_digest[grant.digest] = self._by_id[grant.id] = live
        self._by_object.setdefault((grant.verb, grant.object), []).append(live)
        if token := self._token(grant):
            self._preauth.expect(token)
        if grant.label is None:
            self._without.discard((grant.verb, grant.object))

    def revoke(self, grant: Grant) -> None:
        """
        Remove *grant*, and remember that it was revoked.
        """
        self.remove(grant)
        self._revoked.add(grant.digest)
        if grant.label is None and self.published(grant.verb, grant.object) is None:
            self._without.add((grant.verb, grant.object))

    def remove(self, grant: Grant) -> None:
        """
        Remove *grant*, as if there had never been one.
        """
        self._by_digest.pop(grant.digest, None)
        if token := self._token(grant):
            self._preauth.forget(token)
        key = grant.verb, grant.object
        if live := self._by_id.pop(grant.id, None):
            if live.end is not None:
                live.end.cancel()
                live.end = None
            self._by_object[key].remove(live)
            if not self._by_object[key]:
                del self._by_object[key]


def is_of_a_submission(grant: Grant) -> bool:
    """
    Whether *grant* watches one submission, which made it.
    """
    return grant.verb == WATCH and grant.label is None and grant.object.isdecimal()
