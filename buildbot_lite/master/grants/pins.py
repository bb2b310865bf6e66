"""
Pins: the first machine that uses a slave's FURL becomes its only permitted user.
"""

from attrs import evolve
from twisted.logger import Logger

from ...deferreds import background
from ...errors import NotFoundError, PinnedError, RevokedError
from ...storage.records import grants as records_of_grants
from ...storage.records.grants import Grant
from ...storage.roles import Records
from .live_grants import LiveGrants
from .verbs import SLAVE


class Pins:
    """
    The pins of slaves' FURLs.
    """

    _log = Logger()

    def __init__(self, live_grants: LiveGrants, records: Records) -> None:
        self._live_grants = live_grants
        self._records = records

    def pin(self, grant: Grant, key: str) -> None:
        """
        Pin a slave's FURL to the Tub *key*, if it is the first user; `PinnedError` for any other Tub.
        """
        live = self._live_grants.of_digest(grant.digest)
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
        grant = self._live_grants.published(SLAVE, name)
        if grant is None:
            raise NotFoundError(f"{name} has no string in force.  It gets a new one by: buildbot-lite rotate {name}")
        await self._records.write(lambda connection: records_of_grants.pin(connection, grant.id, None))
        if live := self._live_grants.of_id(grant.id):
            live.grant = evolve(live.grant, pin=None)


def check_pin(grant: Grant, key: str) -> None:
    """
    `PinnedError` when a slave's string is another Tub's than that of *key*.
    """
    if grant.pin not in {None, key}:
        raise PinnedError(
            f"{grant.name}'s string belongs to another machine, or to this one before it was reinstalled.  Give "
            f"each slave a string of its own, or run on the master: buildbot-lite unpin {grant.name}"
        )
