"""
The objects that FURLs designate: made at the first lookup and kept, and withdrawn from all links at the expiry.
"""

from collections.abc import Callable, Mapping
from weakref import WeakValueDictionary

from twisted.internet.interfaces import IReactorTime

from ...errors import RevokedError
from ...storage.records.grants import Grant
from ...storage.swissnums import digest_of
from ...wire.contract import MOST_LINKS, MOST_LINKS_OF_A_SLAVE
from ...wire.exposed import Exposed, Revocable
from ...wire.limits.account import Account
from .live_grants import LiveGrant, LiveGrants
from .uses import GrantUses
from .verbs import SLAVE, Verb

AFTER_THE_END = 0.01
"""Seconds after the expiry of a FURL until its links are cut."""


class DesignatedObjects:
    """
    The objects of the grants in *live*.

    *verbs*, *admits*, *configured*, *breach*, *slowed*: as for `GrantRegistry`.  *wall*: returns seconds since 1970;
    *clock* is monotonic.
    """

    def __init__(
        self,
        live: LiveGrants,
        uses: GrantUses,
        *,
        wall: Callable[[], float],
        clock: IReactorTime,
        verbs: Mapping[str, Verb],
        admits: Callable[[Grant, str], None],
        configured: Callable[[Grant], None],
        breach: Callable[[Grant, str], bool],
        slowed: Callable[[Grant, str], None],
    ) -> None:
        self._live = live
        self._uses = uses
        self._wall = wall
        self._clock = clock
        self._verbs = verbs
        self._admits = admits
        self._configured = configured
        self._breach = breach
        self._slowed = slowed
        self._accounts: WeakValueDictionary[int, Account] = WeakValueDictionary()

    def lookup(self, swissnum: str) -> Exposed | None:
        """
        The object that *swissnum* designates; None if there is none, `RevokedError` if it was revoked.
        """
        digest = digest_of(swissnum)
        if self._live.was_revoked(digest):
            raise RevokedError
        live = self._live.of_digest(digest)
        verb = self._verbs.get(live.grant.verb) if live is not None else None
        if live is None or verb is None:
            return None
        if live.revocable is None:
            live.revocable = self._revocable(live)
        live.revocable.check()
        self._cut_when_expired(live)
        if live.exposed is None:
            live.exposed = verb.expose(live.grant, live.revocable)
        if verb.counts_lookups:
            self._uses.looked_up(live)
        return live.exposed

    def _revocable(self, live: LiveGrant) -> Revocable:
        return Revocable(
            check_expiry=lambda: self._check(live.grant),
            on_breach=lambda why: self._breach(live.grant, why),
            on_slowed=lambda why: self._slowed(live.grant, why),
            most_links=MOST_LINKS_OF_A_SLAVE if live.grant.verb == SLAVE else MOST_LINKS,
            owner=lambda: live.grant.pin,
            on_presented=lambda port: self._uses.arrived_at(live, port),
            account=self._account(live),
            check_key=lambda key: self._admits(live.grant, key),
        )

    def _cut_when_expired(self, live: LiveGrant) -> None:
        """
        Cut the links of *live* when it expires, and with them everything that is followed there.
        """
        if live.end is not None or live.grant.expires is None:
            return

        def cut() -> None:
            live.end = None
            if live.revocable is not None and (live.grant.expires or 0.0) <= self._wall():
                live.revocable.cut("its string has expired")
            else:
                self._cut_when_expired(live)  # the clock was set back

        # A little later, so that rounding does not leave it in force.
        live.end = self._clock.callLater(max(0.0, live.grant.expires - self._wall()) + AFTER_THE_END, cut)

    def _account(self, live: LiveGrant) -> Account:
        """
        The account of the grant that *live* was made with, or its own.
        """
        return self._accounts.setdefault(live.made_with or live.grant.id, Account())

    def _check(self, grant: Grant) -> None:
        self.check_time(grant)
        self._configured(grant)

    def check_time(self, grant: Grant) -> None:
        """
        `RevokedError` if *grant* has expired.
        """
        if grant.expires is not None and grant.expires <= self._wall():
            raise RevokedError("This string has expired.  Ask the farm's admin for a new one.")
