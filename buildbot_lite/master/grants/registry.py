"""
Every string that this master handed out, and what each leads to.

A grant is a row: for whom, what it may do, until when.  All of them are in memory, because whoever shows a string is
answered at once.  They are found by the digest of what is shown, so the time that an answer takes tells nothing of any
string.  What a grant leads to is made when it is first shown, and kept: its `Revocable` is how the right is taken back.
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
"""Seconds.  A master that is killed forgets at most the uses of so long."""

NOTHING_MADE: Mapping[int, int] = {}

AFTER_THE_END = 0.01
"""Seconds after the end of a string until its links are cut."""


@define(eq=False)
class LiveGrant:
    """
    A grant in force; and, once it was shown, what takes it back and what it leads to.  (Most are never shown: every
    submission of the last week has a string to watch it with.)
    """

    grant: Grant
    revocable: Revocable | None = None
    exposed: Exposed | None = None
    end: IDelayedCall | None = None
    """Cuts the links on which it was shown, when it expires."""
    unrecorded: int = 0
    """Uses that are counted in *grant*, and not yet in its row."""
    recorded: float | None = None
    """When uses were last recorded, in seconds since 1970."""
    made_with: int | None = None
    """The grant with whose string a submission made it."""


class GrantRegistry:
    """
    All grants of the farm.

    *swissnums* makes the secret parts of FURLs.  *verbs*: by name; a grant whose verb is not among them designates
    nothing.  *configured* is called on each use of a FURL, and raises if master.cfg does not have its object (any
    more).  *admits* is called on each lookup, and raises if the FURL is not for the Tub with that key.  *breach* is
    told that a holder broke the contract, and returns whether to cut the holder off.  *slowed* is told that a holder
    uses too much of the master's time.  *preauth*: where the holders of verbs with `Verb.preauth` are expected.
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
        # Of what the own string was revoked: by itself it gets no other.
        self._without: set[tuple[str, str]] = set()

    def remember(self, grants: Sequence[Grant], made_with: Mapping[int, int] = NOTHING_MADE) -> None:
        """
        Those that an earlier master handed out.  *made_with*: the buildset that is watched → the grant whose string
        asked for it.
        """
        for grant in grants:
            if grant.revoked is not None:
                self._forget(grant)
            else:
                self._keep(grant, made_with.get(int(grant.object)) if is_of_a_submission(grant) else None)

    def lookup(self, swissnum: str) -> Exposed | None:
        """
        What the string that ends with *swissnum* leads to; None when nothing, `RevokedError` when nothing any more.
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
        What to record of a new string.
        """
        return self._swissnums.mint()

    def swissnum(self, grant: Grant) -> str:
        """
        The secret part of the string of *grant*; `LostStringError`, with the remedy, when it cannot be made any more.
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
        The grant in force to do *verb* to *object* that is in the farm's files.
        """
        for grant in self.all_of(verb, object):
            if grant.label is None:
                return grant
        return None

    def all_of(self, verb: str, object: str) -> Sequence[Grant]:
        """
        Every grant in force to do *verb* to *object*, oldest first.
        """
        return [live.grant for live in self._by_object.get((verb, object), ())]

    def in_force(self, id: int) -> Grant:
        """
        The grant with that number; `RevokedError`, with its sentence, when it is in force no more.
        """
        live = self._by_id.get(id)
        if live is None:
            raise RevokedError
        self._check_time(live.grant)
        return live.grant

    def is_without(self, verb: str, object: str) -> bool:
        """
        Whether the own string of *object* was revoked, and it has had no new one since.
        """
        return (verb, object) in self._without

    def everything(self) -> Sequence[Grant]:
        """
        All in force.
        """
        return tuple(live.grant for live in self._by_digest.values())

    def links(self, grant: Grant) -> int:
        """
        On how many live links it was shown.
        """
        live = self._by_id.get(grant.id)
        return len(live.revocable.links) if live and live.revocable else 0

    def redial(self, verb: str, reason: str) -> None:
        """
        Cut every link on which a string for *verb* was shown.  Whoever keeps connected is back at once.
        """
        for live in self._by_id.values():
            if live.grant.verb == verb and live.revocable is not None:
                for link in live.revocable.links:
                    link.drop(reason)

    async def ensure(
        self, verb: str, object: str, *, name: str, expires: float | None = None, made_with: int | None = None
    ) -> Grant:
        """
        A grant to do *verb* to *object*: the one that there is, or a new one.  *expires*: in seconds since 1970;
        *made_with*: see `recorded`.
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
        A new grant to do *verb* to *object*.  Without a *label* it is the one for the farm's files.
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
        It was handed out in a transaction of somebody else's, with the string of the grant *made_with*.
        """
        self._keep(grant, made_with)

    def watches_expire(self, buildset: int, at: float) -> None:
        """
        What watches *buildset* ends at *at*, in seconds since 1970, if not before; whoever says so has recorded it.
        """
        for grant in self.all_of(WATCH, str(buildset)):
            if grant.expires is None or grant.expires > at:
                self._change(evolve(grant, expires=at))

    def prefer(self, grant: Grant) -> None:
        """
        From now on this is the one for the farm's files, of those that there are for the same.
        """
        self._by_object[grant.verb, grant.object].sort(key=lambda live: live.grant.id != grant.id)

    async def revoke(self, grant: Grant) -> None:
        """
        Take it back, and cut the links on which it was shown: at once, before it is even recorded.
        """
        live = self._by_digest.get(grant.digest)
        self._forget(grant)
        if live is not None and live.revocable is not None:
            live.revocable.revoke()
        now = self._wall()
        await self._records.write(lambda connection: records_of_grants.revoke(connection, grant.id, now))

    def note_use(self, id: int, now: float) -> None:
        """
        It was used; whoever says so has recorded it.
        """
        if live := self._by_id.get(id):
            live.grant = evolve(live.grant, used=now, uses=live.grant.uses + 1)

    def used(self, grant: Grant) -> None:
        """
        It was used just now.
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
        Count a use.  A command shows its string for each question: so it is recorded once a minute only.
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
        Let the Tub *key* use a slave's string, if it is the first that does; `PinnedError` for any other.
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
            # Others that showed the string before it had an owner have no use of it any more.
            for link in live.revocable.links if live.revocable else ():
                if link.key != key:
                    link.drop("its string belongs to another slave")
        else:
            check_pin(live.grant, key)

    async def unpin(self, name: str) -> None:
        """
        Let whichever slave comes next use the string of the slave *name*.
        """
        grant = self.of(SLAVE, name)
        if grant is None:
            raise NotFoundError(f"{name} has no string in force.  It gets a new one by: buildbot-lite rotate {name}")
        await self._records.write(lambda connection: records_of_grants.pin(connection, grant.id, None))
        if live := self._by_id.get(grant.id):
            live.grant = evolve(live.grant, pin=None)

    def forget_watches(self, before: float) -> None:
        """
        Whoever shows a submission's watch string that ran out before *before* is told that it is unknown from now on.
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
        Have the links cut on which *live* was shown when its time is over, and with them whatever is followed there.
        """
        if live.end is not None or live.grant.expires is None:
            return

        def cut() -> None:
            live.end = None
            if live.revocable is not None and (live.grant.expires or 0.0) <= self._wall():
                live.revocable.cut("its string has expired")
            else:
                self._cut_when_expired(live)  # somebody set the clock

        # A little later, so that no rounding leaves it in force.
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
        That of the string that it was made with, or its own.
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
        which = grant.verb, grant.object
        if grant.label is None and self.of(grant.verb, grant.object) is None:
            self._without.add(which)

    def _drop(self, grant: Grant) -> None:
        self._by_digest.pop(grant.digest, None)
        if swissnum := self._knocking(grant):
            self._preauth.forget(swissnum)
        which = grant.verb, grant.object
        if live := self._by_id.pop(grant.id, None):
            if live.end is not None:
                live.end.cancel()
                live.end = None
            self._by_object[which].remove(live)
            if not self._by_object[which]:
                del self._by_object[which]

    def _check(self, grant: Grant) -> None:
        self._check_time(grant)
        self._configured(grant)

    def _check_time(self, grant: Grant) -> None:
        if grant.expires is not None and grant.expires <= self._wall():
            raise RevokedError("This string has expired.  Ask the farm's admin for a new one.")


def is_of_a_submission(grant: Grant) -> bool:
    """
    Whether it watches one submission, which made it.
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
