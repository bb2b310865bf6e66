"""
Publication of FURLs: which FURLs the farm has by itself, and the files in which people find them.
"""

from collections.abc import Iterable, Mapping

from twisted.logger import Logger

from ...errors import LostStringError
from ...storage.records.grants import Grant
from ...storage.roles import Records
from ...storage.swissnums import UNDERIVED_FILE
from ...wire.furl import with_hints
from ..config.generations import Generations
from .furl_files import FurlFiles
from .location import Location
from .registry import GrantRegistry
from .verbs import (
    ADMIN,
    FARM,
    SLAVE,
    SUBMIT,
)
from .web_furls import WebFurls


class FurlPublisher:
    """
    Keeps the files in *basedir* up to date: a FURL for each slave, each Submit scheduler, the admin and the
    web process.
    """

    _log = Logger()

    def __init__(
        self,
        basedir: str,
        *,
        grants: GrantRegistry,
        records: Records,
        location: Location,
        generations: Generations,
    ) -> None:
        self._files = FurlFiles(basedir)
        self._grants = grants
        self._location = location
        self._generations = generations
        self.web = WebFurls(basedir, grants=grants, records=records, furl=self.nearby_furl)

    def furl(self, grant: Grant) -> str:
        """
        The FURL of *grant*; `LostStringError`, with the remedy, when it cannot be made any more.
        """
        return self._location.furl(self._grants.swissnum(grant))

    async def publish(self) -> None:
        """
        Write the files whose contents changed, after creating the grants that are missing.
        """
        config = self._generations.config
        slaves = await self._furls_of(SLAVE, config.slaves)
        submissions = await self._furls_of(SUBMIT, config.submits)
        self._files.publish(slaves, submissions)
        self._files.publish_private("admin", await self._admin_furl())
        await self.web.publish()

    async def finish_rotation(self) -> None:
        """
        Revoke all FURLs of the farm's own admin but the newest: an earlier master ended while it rotated them.
        """
        own = [grant for grant in self._grants.all_of(ADMIN, "farm") if grant.label is None]
        for old in sorted(own, key=lambda grant: grant.id)[:-1]:
            await self._grants.revoke(old)

    async def _furls_of(self, verb: str, names: Iterable[str]) -> Mapping[str, str]:
        furls = {}
        for name in names:
            # A name whose FURL was revoked gets a new one only by `rotate`.
            if not self._grants.is_without(verb, name):
                try:
                    furls[name] = await self._furl_of(verb, name)
                except LostStringError as error:
                    self._log.warn("{why}", why=str(error))
        return furls

    async def _furl_of(self, verb: str, name: str) -> str:
        return self.furl(await self._grants.ensure(verb, name, name=name))

    async def _admin_furl(self) -> str:
        try:
            return self.nearby_furl(await self._grants.ensure(ADMIN, FARM, name=FARM))
        except LostStringError:
            # No client can request a new admin's FURL without a valid one.
            self._log.warn("the admin's string is replaced, because private/{kept} is lost", kept=UNDERIVED_FILE)
            for grant in self._grants.all_of(ADMIN, FARM):
                if grant.label is None:
                    await self._grants.revoke(grant)
            return self.nearby_furl(await self._grants.ensure(ADMIN, FARM, name=FARM))

    def nearby_furl(self, grant: Grant) -> str:
        """
        The FURL of *grant*, with the addresses for clients on this machine.
        """
        furl, nearby = self.furl(grant), self._location.nearby()
        return with_hints(furl, nearby) if nearby else furl
