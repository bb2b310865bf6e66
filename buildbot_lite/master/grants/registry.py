"""
All grants of this master.

A grant is a row: for whom, what it permits, until when.  The rows in force are in memory (`live_grants`), and beside
each the object that its FURL designates (`designated`), once it was looked up.
"""

from collections.abc import Callable, Mapping, Sequence

from attrs import evolve
from sqlalchemy import Connection
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ...deferreds import Listeners
from ...errors import (
    LostStringError,
    RevokedError,
)
from ...storage.records import grants as records_of_grants
from ...storage.records.grants import (
    NO_LIMITS,
    Grant,
    GrantLimits,
)
from ...storage.roles import Records
from ...storage.swissnums import (
    UNDERIVED_FILE,
    SwissnumRecord,
    Swissnums,
)
from ...wire.exposed import Exposed
from ...wire.limits.preauth import Preauth
from .designated import DesignatedObjects
from .live_grants import LiveGrants, is_of_a_submission
from .pins import Pins
from .uses import GrantUses
from .verbs import WATCH, Verb

NOTHING_MADE: Mapping[int, int] = {}


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
        self._records = records
        self._swissnums = swissnums
        self._wall = wall
        self.verbs = verbs
        self._live = LiveGrants(self._token, preauth)
        self._uses = GrantUses(records, wall, clock)
        self._objects = DesignatedObjects(
            self._live,
            self._uses,
            wall=wall,
            clock=clock,
            verbs=verbs,
            admits=admits,
            configured=configured,
            breach=breach,
            slowed=slowed,
        )
        self.pins = Pins(self._live, records)
        self._revoked: Listeners[int] = Listeners("A listener to revoked strings")

    def remember(self, grants: Sequence[Grant], made_with: Mapping[int, int] = NOTHING_MADE) -> None:
        """
        Add the grants of earlier masters.  *made_with*: the watched buildset → the grant with which it was submitted.
        """
        for grant in grants:
            if grant.revoked is not None:
                self._live.revoke(grant)
            else:
                self._live.add(grant, made_with.get(int(grant.object)) if is_of_a_submission(grant) else None)

    def lookup(self, swissnum: str) -> Exposed | None:
        """
        The object that *swissnum* designates; None if there is none, `RevokedError` if it was revoked.
        """
        return self._objects.lookup(swissnum)

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
        return self._live.published(verb, object)

    def all_of(self, verb: str, object: str) -> Sequence[Grant]:
        """
        Every grant in force for *verb* and *object*, oldest first.
        """
        return self._live.of_object(verb, object)

    def in_force(self, id: int) -> Grant:
        """
        The grant *id*; `RevokedError`, with its sentence, if it is no longer in force.
        """
        live = self._live.of_id(id)
        if live is None:
            raise RevokedError
        self._objects.check_time(live.grant)
        return live.grant

    def is_without(self, verb: str, object: str) -> bool:
        """
        Whether the FURL of *object* in the farm's files was revoked and not replaced.
        """
        return self._live.is_without(verb, object)

    def everything(self) -> Sequence[Grant]:
        """
        All grants in force.
        """
        return tuple(live.grant for live in self._live.all())

    def links(self, grant: Grant) -> int:
        """
        The number of live links on which *grant* was looked up.
        """
        live = self._live.of_id(grant.id)
        return len(live.revocable.links) if live and live.revocable else 0

    def reconnect(self, verb: str, reason: str) -> None:
        """
        Cut every link on which a FURL for *verb* was looked up.  Clients that keep connected reconnect at once.
        """
        for live in self._live.all():
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
        self._live.add(grant, made_with)
        return grant

    def recorded(self, grant: Grant, made_with: int | None = None) -> None:
        """
        Add a grant that the caller has recorded; *made_with*: the number of the grant used for the submission.
        """
        self._live.add(grant, made_with)

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
        self._live.prefer(grant)

    async def revoke(self, grant: Grant) -> None:
        """
        Revoke *grant* and cut its links at once, before the record is written.
        """
        await self.replace([grant])

    async def replace(self, grants: Sequence[Grant], renamed: Sequence[Grant] = (), to: str = "") -> None:
        """
        Revoke *grants*, as `revoke` does, and in the same transaction call those of *renamed* by the name *to*.
        """
        for each in renamed:
            self._change(evolve(each, name=to))
        for each in grants:
            self._cut(each)
        now = self._wall()

        def write(connection: Connection) -> None:
            for each in renamed:
                records_of_grants.rename(connection, each.id, to)
            for each in grants:
                records_of_grants.revoke(connection, each.id, now)

        await self._records.write(write)

    def _cut(self, grant: Grant) -> None:
        live = self._live.of_digest(grant.digest)
        self._live.revoke(grant)
        if live is not None and live.revocable is not None:
            live.revocable.revoke()
        self._revoked.tell(grant.id)

    def on_revoked(self, callback: Callable[[int], object]) -> Callable[[], None]:
        """
        Call *callback* with the number of each grant that is revoked.  Returns a function that ends this.
        """
        return self._revoked.add(callback)

    def note_use(self, id: int, now: float) -> None:
        """
        Count a use at *now* (seconds since 1970).  The caller has recorded it.
        """
        if live := self._live.of_id(id):
            self._uses.count(live, now)

    def used(self, grant: Grant) -> None:
        """
        Count and record a use now.
        """
        now = self._wall()
        self.note_use(grant.id, now)
        self._uses.record(grant.id, now)

    def stop(self) -> None:
        """
        Record the uses that are not recorded yet, before the records are closed.
        """
        self._uses.record_all(self._live.all())

    def forget_watches(self, before: float) -> None:
        """
        Forget the watch FURLs of submissions that expired before *before*: lookups find nothing from now on.
        """
        for live in self._live.all():
            grant = live.grant
            if is_of_a_submission(grant) and (grant.expires or before) < before:
                self._live.remove(grant)

    def _token(self, grant: Grant) -> str | None:
        verb = self.verbs.get(grant.verb)
        return self._swissnums.of(grant) if verb is not None and verb.preauth else None

    def _change(self, grant: Grant) -> None:
        if live := self._live.of_digest(grant.digest):
            live.grant = grant
