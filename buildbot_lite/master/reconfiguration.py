"""
Reconfiguration: master.cfg, as it is now, comes into force in a running master.

::

    trial in another process ──► loaded here ──► ports bound ──► recorded ──► in force: slaves, FURLs, queue
             │                      │               │              │
             '──────────────────────┴───────────────┴──────────────'──► an error, and nothing has changed
"""

import os
from collections.abc import Awaitable, Callable, Iterable, Sequence

from attrs import frozen
from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger

from ..errors import ConfigError
from .config.generations import Generations
from .config.loading import Generation
from .config.master_config import MasterConfig
from .grants.location import Location
from .grants.publisher import FurlPublisher
from .grants.registry import GrantRegistry
from .grants.verbs import SLAVE, SUBMIT
from .revocation import Revocation
from .scheduling.changes.sources import ChangeSources
from .scheduling.wakeup import Wakeup
from .slaves.registry import SlaveRegistry

MOST_NAMED = 20
"""How many grants a remark names."""
_NAMED = {SLAVE, SUBMIT}


@frozen
class Applied:
    """
    A generation that came into force, and *remarks*: sentences about its effects on FURLs that are in use.
    """

    generation: Generation
    remarks: Sequence[str] = ()


class Reconfiguration:
    """
    Applies master.cfg, one time after the other.

    *try_out* loads master.cfg in another process, in so many seconds, and fails with `ConfigError` when it is wrong.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        generations: Generations,
        location: Location,
        slaves: SlaveRegistry,
        grants: GrantRegistry,
        furls: FurlPublisher,
        revocation: Revocation,
        change_sources: ChangeSources,
        wakeup: Wakeup,
        try_out: Callable[[float], Awaitable[None]],
    ) -> None:
        self._generations = generations
        self._location = location
        self._slaves = slaves
        self._grants = grants
        self._furls = furls
        self._revocation = revocation
        self._change_sources = change_sources
        self._wakeup = wakeup
        self._try_out = try_out
        self._lock = DeferredLock()
        self._on_applied: list[Callable[[MasterConfig], object]] = []

    def on_applied(self, configure: Callable[[MasterConfig], object]) -> None:
        """
        Call *configure* with each configuration that comes into force from now on.
        """
        self._on_applied.append(configure)

    async def apply(self) -> Applied:
        """
        Apply master.cfg as it is now: all of it, or `ConfigError` and nothing.  Running builds keep their
        configuration.
        """
        applied = await self._lock.run(lambda: Deferred.fromCoroutine(self._apply()))
        for remark in applied.remarks:
            self._log.warn("{remark}", remark=remark)
        return applied

    async def settle(self) -> None:
        """
        After a start: remove the texts of old generations, publish the FURLs, and log those that no longer lead to the
        master.
        """
        await self._lock.run(lambda: Deferred.fromCoroutine(self._generations.prune()))
        await self._furls.publish()
        for remark in self._stranded():
            self._log.warn("{remark}", remark=remark)

    async def check_places(self) -> None:
        """
        Log which of the hosts in FURLs do not lead here.
        """
        for remark in await self._unreachable(self._location.hints()):
            self._log.warn("{remark}", remark=remark)

    async def _apply(self) -> Applied:
        seconds = self._generations.config.reconfig_timeout
        await self._try_out(seconds)
        generation = self._generations.load(seconds)
        self._check_database(generation.config)
        hints = set(self._location.hints())
        await self._put_in_force(generation)
        # From here to the end of the loop nothing can fail, so the configuration is applied as a whole.
        self._slaves.configure(generation.config.slaves)
        self._revocation.bar_revoked_slaves()
        self._change_sources.configure(generation.config.change_sources)
        for configure in self._on_applied:
            configure(generation.config)
        await self._generations.prune()
        await self._furls.publish()
        self._wakeup.set()
        self._log.info("the configuration was applied")
        stranded = self._stranded()
        new = set(self._location.hints()) - hints
        if new:
            # A slave learns the master's hosts when it attaches.
            self._grants.reconnect(SLAVE, "the master has a new address")
        return Applied(generation, [*stranded, *await self._unreachable(new)])

    def _check_database(self, config: MasterConfig) -> None:
        before, after = database(self._generations.config), database(config)
        if after != before:
            raise ConfigError(
                f"The farm's records cannot move from {before} to {after} while the master "
                "runs.  Put c['db'] back; or stop the master, move the file with its -wal and -shm, and start it."
            )

    async def _put_in_force(self, generation: Generation) -> None:
        move = self._location.bind(generation.config)
        try:
            await self._generations.keep(generation)
        except BaseException:
            move.cancel()
            raise
        self._generations.current = generation
        move.commit()

    def _stranded(self) -> list[str]:
        """
        For each closed port, a sentence about the FURLs that may no longer lead to the master.

        A slave that attached after the master opened its present ports knows them.
        """
        moved = self._location.moved()
        stranded = []
        for port in moved.ports:
            names = [
                grant.label or (grant.name if grant.verb in _NAMED else f"{grant.verb} of {grant.name}")
                for grant in self._grants.everything()
                if grant.port == port and not (grant.verb == SLAVE and (grant.used or 0) >= moved.since)
            ]
            closed = f"The master does not listen at port {port} any more.  "
            stranded.append(
                f"{closed}These strings were last used through it: {_some(names)}.  Hand them out again, or put the "
                "port back into c['port']."
                if names
                else f"{closed}No string that is in force needs it."
            )
        return stranded

    async def _unreachable(self, hints: Iterable[str]) -> list[str]:
        lost = await self._location.unreachable(sorted(hints))
        return [
            f"From here, a place in the farm's strings does not lead to this master: {each}.  Set c['location']."
            for each in lost
        ]


def database(config: MasterConfig) -> str:
    """
    The path of the database file.
    """
    return os.path.join(config.basedir, config.db)


def _some(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
