"""
Every string that this master handed out, and what each leads to.

A grant is a row: for whom, what it may do, until when.  All of them are in memory, because whoever shows a string is
answered at once.  What a grant leads to is made when it is first shown, and kept: its `Revocable` is how the right is
taken back.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum

from attrs import define, evolve
from twisted.logger import Logger

from ..errors import NotFoundError, PinnedError, RevokedError
from ..storage.records import grants as records_of_grants
from ..storage.records.grants import Grant
from ..storage.writer import Records
from ..wire.background import background
from ..wire.exposed import Exposed, Revocable
from ..wire.furl import new_swissnum


class Verb(Enum):
    """
    What a string may be for.
    """

    SLAVE = "slave"
    SUBMIT = "submit"
    WATCH = "watch"
    CONTROL = "control"
    ADMIN = "admin"


Expose = Callable[[Grant, Revocable], Exposed | None]
"""Makes what a grant leads to; None when that does not exist (any more)."""


@define
class Right:
    """
    A grant in force, and what it leads to once it was shown.
    """

    grant: Grant
    revocable: Revocable
    exposed: Exposed | None = None


class Grants:
    """
    All grants.  *expose*: by verb, what makes the object that a grant leads to.
    """

    _log = Logger()

    def __init__(self, *, records: Records, wall: Callable[[], float], expose: Mapping[Verb, Expose]) -> None:
        self._records = records
        self._wall = wall
        self._expose = expose
        self._by_swissnum: dict[str, Right] = {}
        self._revoked: set[str] = set()

    def remember(self, grants: Sequence[Grant]) -> None:
        """
        Those that an earlier master handed out.
        """
        for grant in grants:
            if grant.revoked is not None:
                self._revoked.add(grant.swissnum)
            else:
                self._by_swissnum[grant.swissnum] = Right(grant, Revocable())

    def lookup(self, swissnum: str) -> Exposed | None:
        """
        What the string that ends with *swissnum* leads to; None when nothing, `RevokedError` when nothing any more.
        """
        if swissnum in self._revoked:
            raise RevokedError
        right = self._by_swissnum.get(swissnum)
        if right is None:
            return None
        if right.grant.expires is not None and right.grant.expires <= self._wall():
            raise RevokedError("This string has expired.  Ask the farm's admin for a new one.")
        if right.exposed is None:
            right.exposed = self._expose[Verb(right.grant.verb)](right.grant, right.revocable)
        return right.exposed

    def of(self, verb: Verb, object: str) -> Grant | None:
        """
        The oldest grant in force to do *verb* to *object*.
        """
        for right in self._by_swissnum.values():
            if right.grant.verb == verb.value and right.grant.object == object:
                return right.grant
        return None

    def everything(self) -> Sequence[Grant]:
        """
        All in force.
        """
        return tuple(right.grant for right in self._by_swissnum.values())

    async def ensure(self, verb: Verb, object: str, *, name: str, expires: float | None = None) -> Grant:
        """
        A grant to do *verb* to *object*: the one that there is, or a new one.  *expires*: in seconds since 1970.
        """
        known = self.of(verb, object)
        if known is not None:
            return known
        swissnum, now = new_swissnum(), self._wall()
        grant = await self._records.write(
            lambda connection: records_of_grants.add(
                connection, name=name, verb=verb.value, object=object, swissnum=swissnum, now=now, expires=expires
            )
        )
        self._by_swissnum[swissnum] = Right(grant, Revocable())
        return grant

    async def expire(self, grant: Grant, at: float) -> None:
        """
        It ends at *at*, in seconds since 1970.
        """
        await self._records.write(lambda connection: records_of_grants.expire(connection, grant.id, at))
        self._change(evolve(grant, expires=at))

    async def revoke(self, grant: Grant) -> None:
        """
        Take it back, and cut the links on which it was shown.
        """
        now = self._wall()
        await self._records.write(lambda connection: records_of_grants.revoke(connection, grant.id, now))
        right = self._by_swissnum.pop(grant.swissnum, None)
        self._revoked.add(grant.swissnum)
        if right is not None:
            right.revocable.revoke()

    def forget_what_it_leads_to(self, verb: Verb, object: str) -> None:
        """
        The configuration changed: make it anew when it is shown next.
        """
        for right in self._by_swissnum.values():
            if right.grant.verb == verb.value and right.grant.object == object:
                right.exposed = None

    def used(self, grant: Grant) -> None:
        """
        It was used just now.
        """
        now = self._wall()
        background(
            self._records.write(lambda connection: records_of_grants.used(connection, grant.id, now)),
            self._log,
            "noting the use of a string",
        )

    def pin(self, grant: Grant, key: str) -> None:
        """
        Let the Tub *key* use a slave's string, if it is the first that does; `PinnedError` for any other.
        """
        right = self._by_swissnum.get(grant.swissnum)
        if right is None:
            raise RevokedError
        pinned = right.grant.pin
        if pinned is None:
            right.grant = evolve(right.grant, pin=key)
            background(
                self._records.write(lambda connection: records_of_grants.pin(connection, grant.id, key)),
                self._log,
                f"pinning {grant.name}",
            )
        elif pinned != key:
            raise PinnedError(
                f"The string of {grant.name} is in use by another slave.  Give each slave a string of its own; if that "
                f"machine is gone for good, run on the master: buildbot-lite unpin {grant.name}"
            )

    async def unpin(self, name: str) -> None:
        """
        Let whichever slave comes next use the string of the slave *name*.
        """
        grant = self.of(Verb.SLAVE, name)
        if grant is None:
            raise NotFoundError(f"No slave is called {name}.")
        await self._records.write(lambda connection: records_of_grants.pin(connection, grant.id, None))
        self._change(evolve(grant, pin=None))

    def _change(self, grant: Grant) -> None:
        if right := self._by_swissnum.get(grant.swissnum):
            right.grant = grant
