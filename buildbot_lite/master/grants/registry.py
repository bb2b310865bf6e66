"""
All grants of this master, and the objects that their FURLs designate.

A grant is a row: for whom, what it permits, until when.  All rows are in memory, so that lookups answer at once.  The
key is the digest of the swissnum, so the duration of a lookup tells nothing about any FURL.  The first lookup of a
grant makes the designated object, which is kept; its `Revocable` takes the right back.
"""

from collections.abc import Callable, Mapping, Sequence
from weakref import WeakValueDictionary

from attrs import define, evolve
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ...deferreds import background
from ...errors import (
    LostStringError,
    NotFoundError,
    PinnedError,
    RevokedError,
)
from ...storage.records import grants as records_of_grants
from ...storage.records.grants import (
    NO_LIMITS,
    Grant,
    GrantLimits,
)
from ...storage.swissnums import (
    UNDERIVED_FILE,
    SwissnumRecord,
    Swissnums,
    digest_of,
)
from ...storage.writer import Records
from ...wire.contract import MOST_LINKS, MOST_LINKS_OF_A_SLAVE
from ...wire.exposed import Exposed, Revocable
from ...wire.limits.account import Account
from ...wire.limits.preauth import Preauth
from .verbs import SLAVE, WATCH, Verb

RECORD_USES_EVERY = 60.0
"""Seconds between two writes of uses: a killed master forgets the uses since the last one."""

NOTHING_MADE: Mapping[int, int] = {}

AFTER_THE_END = 0.01
"""Seconds after the expiry of a FURL until its links are cut."""


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
    recorded: float | None = None
    """When uses were last recorded, in seconds since 1970."""
    made_with: int | None = None
    """The number of the grant with whose FURL the submission was made that this one watches."""


class GrantRegistry:
    """
    All grants of the farm.

    *swissnums* makes the secret parts of FURLs.  *verbs*: by name; a grant whose verb is not among them designates
    nothing.  *configured* is called on each use of a FURL, and raises if master.cfg does not have its object (any
    more).  *admits* is called on each lookup, and raises if the FURL is not for the Tub with that key.  *breach* is
    called when a holder breaks the contract, and returns whether to cut the holder's link.  *slowed* is called when a
    holder uses too much of the master's time.  *preauth*: the table that gets the tokens of verbs with `Verb.preauth`.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        records: Records,
        swissnums: Swissnums,
        wall: Callable[[], float],
        clock: IReactorTime,
        verbs: Mapping[str, Verb],
        preauth: Preauth,
        admits: Callable[[Grant, str], None] = lambda grant, key: None,
        configured: Callable[[Grant], None] = lambda grant: None,
        breach: Callable[[Grant, str], bool] = lambda grant, sentence: False,
        slowed: Callable[[Grant, str], None] = lambda grant, sentence: None,
    ) -> None:
        self._breach = breach
        self._slowed = slowed
        self._records = records
        self._swissnums = swissnums
        self._wall = wall
        self.verbs = verbs
        self._clock = clock
        self._admits = admits
        self._preauth = preauth
        self._configured = configured
        self._by_digest: dict[str, LiveGrant] = {}
        self._by_id: dict[int, LiveGrant] = {}
        self._accounts: WeakValueDictionary[int, Account] = WeakValueDictionary()
        self._by_object: dict[tuple[str, str], list[LiveGrant]] = {}
        self._revoked: set[str] = set()
        # The objects whose FURL in the farm's files was revoked: only `rotate` gives them a new one.
        self._without: set[tuple[str, str]] = set()

    def remember(self, grants: Sequence[Grant], made_with: Mapping[int, int] = NOTHING_MADE) -> None:
        """
        Add the grants of earlier masters.  *made_with*: the watched buildset → the grant with which it was submitted.
        """
        for grant in grants:
            if grant.revoked is not None:
                self._forget(grant)
            else:
                self._keep(grant, made_with.get(int(grant.object)) if is_of_a_submission(grant) else None)

    def lookup(self, swissnum: str) -> Exposed | None:
        """
        The object that *swissnum* designates; None if there is none, `RevokedError` if it was revoked.
        """
        digest = digest_of(swissnum)
        if digest in self._revoked:
            raise RevokedError
        live = self._by_digest.get(digest)
        verb = self.verbs.get(live.grant.verb) if live is not None else None
        if live is None or verb is None:
            return None
        if live.revocable is None:
            live.revocable = self._revocable(live)
        live.revocable.check()
        self._cut_when_expired(live)
        if live.exposed is None:
            live.exposed = verb.expose(live.grant, live.revocable)
        if verb.counts_lookups:
            self._shown(live)
        return live.exposed

    def mint(self) -> SwissnumRecord:
        """
        A new swissnum, as the records have it.
        """
        return self._swissnums.mint()

    def swissnum(self, grant: Grant) -> str:
        """
        The swissnum of *grant*; `LostStringError`, with the remedy, if it cannot be derived any more.
        """
        swissnum = self._swissnums.of(grant)
        if swissnum is None:
            raise LostStringError(
                f"The string of {grant.name} is good, but cannot be shown any more: private/{UNDERIVED_FILE} is lost.  "
                f"Restore it from a backup, or give {grant.name} another string: buildbot-lite rotate {grant.name}"
            )
        return swissnum

    def of(self, verb: str, object: str) -> Grant | None:
        """
        The grant in force for *verb* and *object* whose FURL is in the farm's files.
        """
        for grant in self.all_of(verb, object):
            if grant.label is None:
                return grant
        return None

    def all_of(self, verb: str, object: str) -> Sequence[Grant]:
        """
        Every grant in force for *verb* and *object*, oldest first.
        """
        return [live.grant for live in self._by_object.get((verb, object), ())]

    def in_force(self, id: int) -> Grant:
        """
        The grant *id*; `RevokedError`, with its sentence, if it is no longer in force.
        """
        live = self._by_id.get(id)
        if live is None:
            raise RevokedError
        self._check_time(live.grant)
        return live.grant

    def is_without(self, verb: str, object: str) -> bool:
        """
        Whether the FURL of *object* in the farm's files was revoked and not replaced.
        """
        return (verb, object) in self._without

    def everything(self) -> Sequence[Grant]:
        """
        All grants in force.
        """
        return tuple(live.grant for live in self._by_digest.values())

    def links(self, grant: Grant) -> int:
        """
        The number of live links on which *grant* was looked up.
        """
        live = self._by_id.get(grant.id)
        return len(live.revocable.links) if live and live.revocable else 0

    def reconnect(self, verb: str, reason: str) -> None:
        """
        Cut every link on which a FURL for *verb* was looked up.  Clients that keep connected reconnect at once.
        """
        for live in self._by_id.values():
            if live.grant.verb == verb and live.revocable is not None:
                for link in live.revocable.links:
                    link.drop(reason)

    async def ensure(
        self, verb: str, object: str, *, name: str, expires: float | None = None, made_with: int | None = None
    ) -> Grant:
        """
        The grant for *verb* and *object* in the farm's files, a new one if there is none.  *expires*: seconds since
        1970.  *made_with*: as for `recorded`.
        """
        limits = GrantLimits(expires=expires)
        return self.of(verb, object) or await self.hand_out(verb, object, name=name, limits=limits, made_with=made_with)

    async def hand_out(
        self,
        verb: str,
        object: str,
        *,
        name: str,
        label: str | None = None,
        limits: GrantLimits = NO_LIMITS,
        made_with: int | None = None,
    ) -> Grant:
        """
        Record a new grant for *verb* and *object*.  Without a *label* it is the one for the farm's files.
        """
        minted, now = self.mint(), self._wall()
        grant = await self._records.write(
            lambda connection: records_of_grants.add(
                connection,
                name=name,
                verb=verb,
                object=object,
                minted=minted,
                now=now,
                label=label,
                limits=limits,
            )
        )
        self._keep(grant, made_with)
        return grant

    def recorded(self, grant: Grant, made_with: int | None = None) -> None:
        """
        Add a grant that the caller has recorded; *made_with*: the number of the grant used for the submission.
        """
        self._keep(grant, made_with)

    def watches_expire(self, buildset: int, at: float) -> None:
        """
        Grants to watch *buildset* expire at *at* (seconds since 1970) at the latest.  The caller has recorded that.
        """
        for grant in self.all_of(WATCH, str(buildset)):
            if grant.expires is None or grant.expires > at:
                self._change(evolve(grant, expires=at))

    def prefer(self, grant: Grant) -> None:
        """
        Prefer *grant*, for the farm's files, to other grants for the same verb and object.
        """
        self._by_object[grant.verb, grant.object].sort(key=lambda live: live.grant.id != grant.id)

    async def revoke(self, grant: Grant) -> None:
        """
        Revoke *grant* and cut its links at once, before the record is written.
        """
        live = self._by_digest.get(grant.digest)
        self._forget(grant)
        if live is not None and live.revocable is not None:
            live.revocable.revoke()
        now = self._wall()
        await self._records.write(lambda connection: records_of_grants.revoke(connection, grant.id, now))

    def note_use(self, id: int, now: float) -> None:
        """
        Count a use at *now* (seconds since 1970).  The caller has recorded it.
        """
        if live := self._by_id.get(id):
            live.grant = evolve(live.grant, used=now, uses=live.grant.uses + 1)

    def used(self, grant: Grant) -> None:
        """
        Count and record a use now.
        """
        now = self._wall()
        self.note_use(grant.id, now)
        background(
            self._records.write(lambda connection: records_of_grants.used(connection, grant.id, now)),
            self._log,
            "noting the use of a string",
        )

    def _shown(self, live: LiveGrant) -> None:
        """
        Count a use, and record uses once a minute: a command looks its FURL up for each question.
        """
        now, id = self._wall(), live.grant.id
        self.note_use(id, now)
        live.unrecorded += 1
        if live.recorded is not None and live.recorded <= now < live.recorded + RECORD_USES_EVERY:
            return
        times, live.unrecorded, live.recorded = live.unrecorded, 0, now
        background(
            self._records.write(lambda connection: records_of_grants.used(connection, id, now, times)),
            self._log,
            "noting the use of a string",
        )

    def pin(self, grant: Grant, key: str) -> None:
        """
        Pin a slave's FURL to the Tub *key*, if it is the first user; `PinnedError` for any other Tub.
        """
        live = self._by_digest.get(grant.digest)
        if live is None:
            raise RevokedError
        pinned = live.grant.pin
        if pinned is None:
            live.grant = evolve(live.grant, pin=key)
            background(
                self._records.write(lambda connection: records_of_grants.pin(connection, grant.id, key)),
                self._log,
                f"pinning {grant.name}",
            )
            # Other Tubs that looked the FURL up before it was pinned must not use it.
            for link in live.revocable.links if live.revocable else ():
                if link.key != key:
                    link.drop("its string belongs to another slave")
        else:
            check_pin(live.grant, key)

    async def unpin(self, name: str) -> None:
        """
        Remove the pin of the FURL of the slave *name*: the next Tub that uses it gets the pin.
        """
        grant = self.of(SLAVE, name)
        if grant is None:
            raise NotFoundError(f"{name} has no string in force.  It gets a new one by: buildbot-lite rotate {name}")
        await self._records.write(lambda connection: records_of_grants.pin(connection, grant.id, None))
        if live := self._by_id.get(grant.id):
            live.grant = evolve(live.grant, pin=None)

    def forget_watches(self, before: float) -> None:
        """
        Forget the watch FURLs of submissions that expired before *before*: lookups find nothing from now on.
        """
        for live in tuple(self._by_id.values()):
            grant = live.grant
            if is_of_a_submission(grant) and (grant.expires or before) < before:
                self._drop(grant)

    def _knocking(self, grant: Grant) -> str | None:
        verb = self.verbs.get(grant.verb)
        return self._swissnums.of(grant) if verb is not None and verb.preauth else None

    def _change(self, grant: Grant) -> None:
        if live := self._by_digest.get(grant.digest):
            live.grant = grant

    def _revocable(self, live: LiveGrant) -> Revocable:
        return Revocable(
            lambda: self._check(live.grant),
            lambda why: self._breach(live.grant, why),
            lambda why: self._slowed(live.grant, why),
            MOST_LINKS_OF_A_SLAVE if live.grant.verb == SLAVE else MOST_LINKS,
            lambda: live.grant.pin,
            lambda port: self._came_in_by(live, port),
            self._account(live),
            lambda key: self._admits(live.grant, key),
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

    def _came_in_by(self, live: LiveGrant, port: int) -> None:
        if live.grant.port == port:
            return
        live.grant = evolve(live.grant, port=port)
        id = live.grant.id
        background(
            self._records.write(lambda connection: records_of_grants.shown(connection, id, port)),
            self._log,
            "noting the port of a string",
        )

    def _account(self, live: LiveGrant) -> Account:
        """
        The account of the grant that *live* was made with, or its own.
        """
        return self._accounts.setdefault(live.made_with or live.grant.id, Account())

    def _keep(self, grant: Grant, made_with: int | None = None) -> None:
        live = LiveGrant(grant, made_with=made_with)
        self._by_digest[grant.digest] = self._by_id[grant.id] = live
        self._by_object.setdefault((grant.verb, grant.object), []).append(live)
        if swissnum := self._knocking(grant):
            self._preauth.expect(swissnum)
        if grant.label is None:
            self._without.discard((grant.verb, grant.object))

    def _forget(self, grant: Grant) -> None:
        self._drop(grant)
        self._revoked.add(grant.digest)
        key = grant.verb, grant.object
        if grant.label is None and self.of(grant.verb, grant.object) is None:
            self._without.add(key)

    def _drop(self, grant: Grant) -> None:
        self._by_digest.pop(grant.digest, None)
        if swissnum := self._knocking(grant):
            self._preauth.forget(swissnum)
        key = grant.verb, grant.object
        if live := self._by_id.pop(grant.id, None):
            if live.end is not None:
                live.end.cancel()
                live.end = None
            self._by_object[key].remove(live)
            if not self._by_object[key]:
                del self._by_object[key]

    def _check(self, grant: Grant) -> None:
        self._check_time(grant)
        self._configured(grant)

    def _check_time(self, grant: Grant) -> None:
        if grant.expires is not None and grant.expires <= self._wall():
            raise RevokedError("This string has expired.  Ask the farm's admin for a new one.")


def is_of_a_submission(grant: Grant) -> bool:
    """
    Whether *grant* watches one submission, which made it.
    """
    return grant.verb == WATCH and grant.label is None and grant.object.isdecimal()


def check_pin(grant: Grant, key: str) -> None:
    """
    `PinnedError` when a slave's string is another Tub's than that of *key*.
    """
    if grant.pin not in {None, key}:
        raise PinnedError(
            f"{grant.name}'s string belongs to another machine, or to this one before it was reinstalled.  Give "
            f"each slave a string of its own, or run on the master: buildbot-lite unpin {grant.name}"
        )
