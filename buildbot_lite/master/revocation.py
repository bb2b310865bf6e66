"""
Revocation: FURLs become void, and are replaced by new ones.

::

    revoke a slave:  no more builds ─► (kill: its builds are stopped, for at most 10 s) ─► the FURL is void, the link
                     is cut ─► its builds are lost: RETRY, or CANCELLED ─► the files lose its line
    rotate:          the same, and then a new FURL in the files

The FURL is void in memory before anything is written, so a full disk does not keep it valid.
"""

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ..deferreds import background
from ..errors import NotFoundError, RefusedError
from ..model.display import by_number
from ..model.results import Result
from ..storage.records.grants import Grant
from .config.generations import Generations
from .grants.publisher import FurlPublisher
from .grants.registry import GrantRegistry
from .grants.verbs import ADMIN, SLAVE
from .grants.web_furls import sessions_of
from .scheduling.request_canceller import RequestCanceller
from .scheduling.running_builds import LiveBuild, RunningBuilds
from .slaves.registry import SlaveRegistry

KILL_TIMEOUT = 10.0
"""Seconds that `revoke` with *kill* waits for the slave's commands to end before it cuts the link."""
AFTER_THE_ANSWER = 1.0
"""Seconds until the admin's old FURL is void: the answer to `rotate` travels on its link."""


class Revocation:
    """
    Revokes grants, and rotates the FURLs that are in the farm's files.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        grants: GrantRegistry,
        slaves: SlaveRegistry,
        running: RunningBuilds,
        canceller: RequestCanceller,
        generations: Generations,
        furls: FurlPublisher,
        clock: IReactorTime,
    ) -> None:
        self._grants = grants
        self._slaves = slaves
        self._running = running
        self._canceller = canceller
        self._generations = generations
        self._furls = furls
        self._clock = clock
        self._ending: set[int] = set()

    def bar_revoked_slaves(self) -> None:
        """
        Ban the slaves whose FURLs are revoked: their builds do not wait for them.
        """
        for name in self._generations.config.slaves:
            if self._grants.is_without(SLAVE, name):
                self._slaves.ban(name, revoked(name))

    async def revoke(self, grant: Grant, *, kill: bool = False, cancel: bool = False) -> list[str]:
        """
        Revoke *grant*.  Returns the labels of the builds on a slave, or of a submitter's requests, that this ended.

        *kill*: first interrupt the commands of the slave's builds, for at most 10 s.  *cancel*: end the slave's builds
        as CANCELLED instead of RETRY; of a submitter, cancel the requests.
        """
        if grant.verb == SLAVE:
            ended = await self._revoke_slave(grant, kill=kill, cancel=cancel)
        elif kill:
            raise RefusedError("--kill is for slaves: nothing runs with this string.  To end its builds: --cancel")
        elif grant.verb == ADMIN and grant.label is None:
            raise RefusedError(
                "The admin's own string cannot be revoked, only replaced by a new one: buildbot-lite rotate admin"
            )
        else:
            # The strings of a web process's sessions are in its memory alone, which is no longer trusted.
            await self._grants.replace([grant, *sessions_of(self._grants, [grant])])
            ended = await self._cancel(grant) if cancel else []
        self._log.info("string {id} ({verb} {name}) was revoked", id=grant.id, verb=grant.verb, name=grant.name)
        await self._furls.publish()
        return ended

    def revoke_after_answer(self, grant: Grant) -> None:
        """
        Revoke *grant* when the answer to its holder has left, however often it is asked for meanwhile.
        """
        if grant.id not in self._ending:
            self._ending.add(grant.id)
            self._clock.callLater(AFTER_THE_ANSWER, lambda: background(self._end(grant), self._log, "ending a session"))

    async def _end(self, grant: Grant) -> None:
        try:
            await self.revoke(grant)
        finally:
            self._ending.discard(grant.id)

    async def rotate(self, verb: str, name: str) -> list[str]:
        """
        Give *name* a new FURL, publish it, and revoke the old one.  Returns the labels of the builds that this ended.
        """
        old = self._grants.of(verb, "farm" if verb == ADMIN else name)
        ended: list[str] = []
        if verb == SLAVE and old is not None:
            ended = await self._revoke_slave(old, kill=False, cancel=False)
        new = await self._grants.hand_out(verb, "farm" if verb == ADMIN else name, name=name)
        if verb == SLAVE:
            self._slaves.restore(name)
        elif verb == ADMIN and old is not None:
            self._grants.prefer(new)
            self._clock.callLater(AFTER_THE_ANSWER, lambda: background(self._grants.revoke(old), self._log, "revoking"))
        elif old is not None:
            await self._grants.revoke(old)
        self._log.info("{verb} {name} has a new string", verb=verb, name=name)
        await self._furls.publish()
        return ended

    async def rotate_web(self) -> list[Grant]:
        """
        Give the web process other FURLs, and revoke the old ones, which it returns.
        """
        revoked = await self._furls.web.rotate()
        self._log.info("the web process has new strings")
        return revoked

    async def _revoke_slave(self, grant: Grant, *, kill: bool, cancel: bool) -> list[str]:
        name, reason = grant.object, revoked(grant.object)
        result = Result.CANCELLED if cancel else Result.RETRY
        was_configured = self._slaves.get(name) is not None
        ended = sorted(map(_label, self._running.on(name)), key=by_number)
        if was_configured:
            self._slaves.bar(name)
        if kill:
            await self._stop(name, reason, result)
        going = Deferred.fromCoroutine(self._grants.revoke(grant))
        if cancel and not kill:
            await self._running.stop_all_on(name, reason, result)
        if was_configured:
            self._slaves.ban(name, reason)
        else:
            self._slaves.session(name).ban(reason)
        await going
        return ended

    async def _stop(self, name: str, reason: str, result: Result) -> None:
        background(self._running.stop_all_on(name, reason, result), self._log, f"stopping the builds on {name}")
        when_left = self._running.when_left(name)
        timer = self._clock.callLater(KILL_TIMEOUT, when_left.cancel)
        try:
            await when_left
        except CancelledError:
            self._log.warn("{slave} did not end its commands in {wait:.0f} s", slave=name, wait=KILL_TIMEOUT)
        finally:
            if timer.active():
                timer.cancel()

    async def _cancel(self, grant: Grant) -> list[str]:
        ended = []
        for request in self._canceller.unfinished_with(grant.id):
            try:
                await self._canceller.cancel(request, "the string of its submitter was revoked")
            except NotFoundError:
                continue  # the request ended meanwhile
            ended.append(f"request {request}")
        return ended


def revoked(name: str) -> str:
    """
    The reason for builds that are lost because the FURL of the slave *name* was revoked.
    """
    return f"the string of {name} was revoked"


def _label(live: LiveBuild) -> str:
    return f"{live.row.builder}/{live.row.number}"
