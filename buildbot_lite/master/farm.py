"""
The farm as a whole: what is built of what, and in which order it starts and stops.

::

    records ─┬─ grants ◄──────────── the Tub looks strings up here
             ├─ roster (sessions) ◄─ desks
             ├─ queue ──► works (builds) ──► sessions
             └─ requests ◄── door ◄─ submissions, admins, triggers

Starting is recovering: the grants and slaves are remembered, unfinished builds run on until they have caught up with
their journals, then the queue opens, and only then does anybody get in.
"""

import os
import shutil
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Protocol

from attrs import frozen
from sqlalchemy import Connection
from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ..deferreds import background
from ..errors import (
    BuildbotLiteError,
    ConfigError,
    DatabaseFullError,
    DatabaseLockedError,
    LostStringError,
)
from ..model import wait_reasons
from ..model.registry import Registry
from ..model.wait_reasons import WaitReason
from ..storage.generation_texts import GenerationTexts
from ..storage.inputs import InputStore
from ..storage.notifications import Notifications
from ..storage.records import builds as records_of_builds
from ..storage.records import generations as records_of_generations
from ..storage.records import grants as records_of_grants
from ..storage.records import requests as records_of_requests
from ..storage.records import settings
from ..storage.records import slaves as records_of_slaves
from ..storage.records.grants import Grant
from ..storage.records.requests import Request
from ..storage.retrying import RetryingRecords
from ..storage.swissnums import UNDERIVED_FILE, Swissnums
from ..storage.writer import Records
from ..wire.exposed import (
    Exposed,
    ExposedDesk,
    Revocable,
)
from ..wire.furl import with_hints
from ..wire.limits.preauth import Knocks
from .builds.disk_reserve import DiskReserve
from .builds.streams import InThread, StreamStorage
from .config.loading import Generation, load
from .config.master_config import MasterConfig
from .grants.furl_files import Strings
from .grants.location import Moved
from .grants.registry import Grants, is_of_a_submission
from .grants.verbs import (
    ADMIN,
    SLAVE,
    SUBMIT,
    Verb,
)
from .revocation import Revoking
from .scheduling.queue import (
    Queue,
    Urgency,
    Waiting,
)
from .scheduling.requests import Requests
from .scheduling.runner import (
    Unfinished,
    Works,
    read_entries,
)
from .scheduling.submission import FrontDoor
from .scheduling.submit_limits import HOUR, Admissions
from .slaves.attach_limit import AttachLimit
from .slaves.registry import SlaveDesk, SlaveRegistry

LEAST_SPACE = 16 << 20
"""Bytes that must be free on the master's disk before a build starts."""

LONGEST_CATCH_UP = 60.0
"""Seconds that a master waits for unfinished builds to catch up with their journals before it lets anybody in."""

_NAMED = {SLAVE, SUBMIT}
MOST_NAMED = 20
"""How many strings a remark names."""


class Move(Protocol):
    """
    See `location.Move`.
    """

    def commit(self) -> None:
        """
        The master is found where the new configuration says.
        """

    def cancel(self) -> None:
        """
        It is found where it was.
        """


class Location(Protocol):
    """
    Where the master is found: see `location.Location`.
    """

    def bind(self, config: MasterConfig) -> "Move":
        """
        Bind the ports of *config*; `PortError` when one cannot be.
        """

    def moved(self) -> Moved:
        """
        Which ports were closed since this was last asked.
        """

    def furl(self, swissnum: str) -> str:
        """
        The string that ends with *swissnum*.
        """

    def hints(self) -> Sequence[str]:
        """
        The places in it.
        """

    def nearby(self) -> Sequence[str]:
        """
        Where the master is found from its own machine, whatever its name there leads to.
        """

    async def unreachable(self, hints: Iterable[str]) -> list[str]:
        """
        Those of *hints* that do not lead here, each with the reason.
        """


KEY = "strings"
"""The setting that tells with which key the strings in force were made."""


@frozen
class Applied:
    """
    A generation that came into force, and *remarks*: sentences about what that did to others.
    """

    generation: Generation
    remarks: Sequence[str] = ()


class Farm:
    """
    A running master, without its network.

    *try_out* loads master.cfg in another process, in so many seconds, and fails with `ConfigError` when it is not good.
    *swissnums* makes the secret parts of strings.  *knocks*: where slaves are expected.  *verbs*: those of FURLs other
    than slaves', for this farm.  *wall* tells the time in seconds since 1970.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        basedir: str,
        records: Records,
        swissnums: Swissnums,
        generation: Generation,
        location: Location,
        knocks: Knocks,
        verbs: Callable[["Farm"], Iterable[Verb]],
        clock: IReactorTime,
        wall: Callable[[], float],
        in_thread: InThread,
        try_out: Callable[[float], Awaitable[None]],
    ) -> None:
        self._try_out = try_out
        self.basedir = basedir
        self.clock = clock
        self.records = RetryingRecords(records, clock, self._consider)
        self.notifications = Notifications()
        self.inputs = InputStore(os.path.join(basedir, "inputs"))
        self.stream_storage = StreamStorage(basedir, self.notifications, in_thread)
        self._generation = generation
        self._location = location
        self._swissnums = swissnums
        self._texts = GenerationTexts(os.path.join(basedir, "private"))
        self.wall = wall
        self._strings = Strings(basedir)
        self._holds = 0
        self._deciding: Deferred[None] | None = None
        self._reconfiguring = DeferredLock()
        self.slaves = SlaveRegistry(
            records=self.records,
            clock=clock,
            wall=wall,
            changed=self._consider,
            remark=self._remark,
            busy=lambda name: bool(self.queue.slots.on(name)),
        )
        self.grants = Grants(
            records=self.records,
            swissnums=swissnums,
            wall=wall,
            verbs=Registry("verb of a grant", [Verb(SLAVE, self._expose_desk, preauth=True), *verbs(self)]),
            knocks=knocks,
            clock=clock,
            configured=self._check_configured,
            admits=self._admit,
            breach=self._breach,
            slowed=self._slowed,
        )
        self.queue = Queue(
            slaves=self.slaves,
            builders=lambda: self.config.builders,
            start=self._start,
            hold=self._hold,
            clock=clock,
            wall=wall,
        )
        self.requests = Requests(
            records=self.records,
            queue=self.queue,
            grants=self.grants,
            wall=wall,
            most_retries=lambda: self.config.max_retries,
            clock=clock,
        )
        self.reserve = DiskReserve(
            clock, disk=lambda: shutil.disk_usage(basedir)[::2], least=lambda: self.config.minspace, report=self._remark
        )
        self.works = Works(
            records=self.records,
            slaves=self.slaves,
            queue=lambda: self.queue,
            requests=lambda: self.requests,
            submission=lambda: self.door,
            stream_storage=self.stream_storage,
            reserve=self.reserve,
            inputs=self.inputs,
            generation=lambda: self._generation,
            clock=clock,
            wall=wall,
        )
        self.admissions = Admissions(grants=self.grants, waiting=self.queue.waiting_for, wall=wall)
        self.door = FrontDoor(
            records=self.records,
            config=lambda: self.config,
            requests=self.requests,
            works=self.works,
            grants=self.grants,
            queue=self.queue,
            admissions=self.admissions,
            furl=self.furl,
            wall=wall,
        )
        self.revoking = Revoking(
            grants=self.grants,
            slaves=self.slaves,
            works=self.works,
            door=self.door,
            config=lambda: self.config,
            publish=self.publish,
            clock=clock,
        )

    @property
    def config(self) -> MasterConfig:
        """
        The configuration that is in force.
        """
        return self._generation.config

    async def start(self) -> None:
        """
        Remember everything, take up what was unfinished, and open the queue.
        """
        await self._keep(self._generation)
        await self._check_key()
        grants = await self.records.read(records_of_grants.get_all)
        self.grants.remember(grants, await self.records.read(partial(_made_with, grants=grants)))
        await self._finish_rotation()
        self.admissions.remember(
            await self.records.read(partial(_times_asked, grants=grants, since=self.wall() - HOUR))
        )
        self.slaves.configure(self.config.slaves)
        self.slaves.remember(await self.records.read(records_of_slaves.get_all))
        self.revoking.bar_the_revoked()
        unfinished, waiting = await self.records.read(_unfinished)
        generations = await self._generations_of(unfinished)
        # Before builds go on: one that was stopped cancels the requests that it waits for.
        for request, buildset in waiting:
            self.queue.add(request, buildset)
        catching_up = self.works.resume(unfinished, generations)
        # A step that waits for something it should have asked its bench for must not keep everybody out for ever.
        await catching_up.addTimeout(LONGEST_CATCH_UP, self.clock, self._not_caught_up)
        await self._reconfiguring.run(lambda: Deferred.fromCoroutine(self._let_go_of_texts()))
        await self.publish()
        for remark in self._stranded():
            self._log.warn("{remark}", remark=remark)
        self._deciding = Deferred.fromCoroutine(self.queue.run())
        background(self._deciding.addErrback(lambda failure: failure.trap(CancelledError)), self._log, "the queue")

    async def _finish_rotation(self) -> None:
        """
        Of several admin's strings of the farm's own only the newest is good: a master ended while it rotated them.
        """
        own = [grant for grant in self.grants.all_of(ADMIN, "farm") if grant.label is None]
        for old in sorted(own, key=lambda grant: grant.id)[:-1]:
            await self.grants.revoke(old)

    async def reconfigure(self) -> Applied:
        """
        Apply master.cfg as it is now: all of it, or `ConfigError` and nothing.  Running builds go on as they began.
        """
        applied = await self._reconfiguring.run(lambda: Deferred.fromCoroutine(self._reconfigure()))
        for remark in applied.remarks:
            self._log.warn("{remark}", remark=remark)
        return applied

    async def _reconfigure(self) -> Applied:
        seconds = self.config.reconfig_timeout
        await self._try_out(seconds)
        generation = load(self.basedir, seconds=seconds)
        config = generation.config
        if database(config) != database(self.config):
            raise ConfigError(
                f"The farm's records cannot move from {database(self.config)} to {database(config)} while the master "
                "runs.  Put c['db'] back; or stop the master, move the file with its -wal and -shm, and start it."
            )
        move, hints = self._location.bind(config), set(self._location.hints())
        try:
            await self._keep(generation)
        except BaseException:
            move.cancel()
            raise
        self._generation = generation
        move.commit()
        # Before anything that can fail: it is applied as a whole.
        self.slaves.configure(config.slaves)
        self.revoking.bar_the_revoked()
        await self._let_go_of_texts()
        await self.publish()
        self.queue.consider()
        self._log.info("the configuration was applied")
        stranded = self._stranded()
        new = set(self._location.hints()) - hints
        if new:
            # A slave learns where the master is found when it attaches.
            self.grants.redial(SLAVE, "the master is found at another place, too")
        return Applied(generation, [*stranded, *await self._unreachable(new)])

    def _stranded(self) -> list[str]:
        """
        For each port that was closed, the strings that may lead nowhere now.

        A slave that attached since the master listens where it does now knows that place.
        """
        moved = self._location.moved()
        found = []
        for port in moved.ports:
            names = [
                grant.label or (grant.name if grant.verb in _NAMED else f"{grant.verb} of {grant.name}")
                for grant in self.grants.everything()
                if grant.port == port and not (grant.verb == SLAVE and (grant.used or 0) >= moved.since)
            ]
            closed = f"The master does not listen at port {port} any more.  "
            found.append(
                f"{closed}These strings were last used through it: {_some(names)}.  Hand them out again, or put the "
                "port back into c['port']."
                if names
                else f"{closed}No string that is in force needs it."
            )
        return found

    async def _unreachable(self, hints: Iterable[str]) -> list[str]:
        lost = await self._location.unreachable(sorted(hints))
        return [
            f"From here, a place in the farm's strings does not lead to this master: {each}.  Set c['location']."
            for each in lost
        ]

    async def publish(self) -> None:
        """
        Write the files with the strings, anew where they changed.
        """
        slaves = await self._furls_of(SLAVE, self.config.slaves)
        submissions = await self._furls_of(SUBMIT, self.config.submits)
        self._strings.publish(slaves, submissions)
        admin = await self._admins_furl()
        nearby = self._location.nearby()
        self._strings.publish_private("admin", with_hints(admin, nearby) if nearby else admin)

    def hold(self) -> None:
        """
        Start no more builds, because the master is to stop.  Each one who says so has to `let_go`.
        """
        self._holds += 1
        self.queue.consider()

    def let_go(self) -> None:
        """
        One who wanted it to stop does not any more; when nobody else does, builds start again.
        """
        self._holds -= 1
        self.queue.consider()

    def furl(self, grant: Grant) -> str:
        """
        The string of *grant*.
        """
        return self._location.furl(self.grants.swissnum(grant))

    async def stop(self) -> None:
        """
        Close the records.  What runs on slaves goes on; the next master takes it up.
        """
        if self._deciding is not None:
            self._deciding.cancel()
        await self.records.close()

    def why(self, request: int) -> WaitReason | None:
        """
        Why *request* waits; None when it does not.
        """
        beginning = (each.reason for each in self._beginning() if each.request.id == request)
        return self.queue.why(request) or next(beginning, None)

    def waiting(self, most: int, after: Urgency | None = None) -> Sequence[Waiting]:
        """
        At most *most* of the requests that wait, most urgent first, and before the first of them those whose builds are
        about to begin.  With *after* only those that come after it.
        """
        return self.queue.page(most, after) if after else [*self._beginning(), *self.queue.page(most)]

    def _beginning(self) -> Sequence[Waiting]:
        hold = self._hold()
        beginning = self.works.beginning()
        for each in beginning:
            each.own = hold or each.own
        return beginning

    async def check_places(self) -> None:
        """
        Log which of the places in strings do not lead here.
        """
        for remark in await self._unreachable(self._location.hints()):
            self._log.warn("{remark}", remark=remark)

    async def _furls_of(self, verb: str, names: Iterable[str]) -> Mapping[str, str]:
        found = {}
        for name in names:
            # Whose string was revoked gets a new one when an admin says so.
            if not self.grants.is_without(verb, name):
                try:
                    found[name] = await self._furl_of(verb, name)
                except LostStringError as error:
                    self._log.warn("{why}", why=str(error))
        return found

    async def _furl_of(self, verb: str, name: str) -> str:
        return self.furl(await self.grants.ensure(verb, name, name=name))

    async def _admins_furl(self) -> str:
        try:
            return await self._furl_of(ADMIN, "farm")
        except LostStringError:
            # Without it nobody could ask for another one.
            self._log.warn("the admin's string is replaced, because private/{kept} is lost", kept=UNDERIVED_FILE)
            for grant in self.grants.all_of(ADMIN, "farm"):
                if grant.label is None:
                    await self.grants.revoke(grant)
            return await self._furl_of(ADMIN, "farm")

    async def _check_key(self) -> None:
        """
        With another key, what was handed out is void: a string also says whom it is for.
        """
        fingerprint, now = self._swissnums.fingerprint, self.wall()

        def change(connection: Connection) -> int:
            before = settings.get(connection, KEY)
            settings.put(connection, KEY, fingerprint)
            if before in (None, fingerprint):
                return 0
            return records_of_grants.revoke_all(connection, now, label="of the key before")

        if void := await self.records.write(change):
            self._log.warn(
                "private/tub.pem is another key than before: the {count} strings that were handed out are void.  New "
                "ones are in the farm's files",
                count=void,
            )

    async def _keep(self, generation: Generation) -> None:
        # On the disk before the records name it.
        self._texts.keep(generation.hash, generation.files)
        hash_, now = generation.hash, self.wall()
        await self.records.write(lambda connection: records_of_generations.keep(connection, hash_, now))

    async def _let_go_of_texts(self) -> None:
        # A write, because builds that began before it with an earlier configuration are recorded before it.
        needed = await self.records.write(records_of_generations.needed)
        self._texts.remove_all_but({self._generation.hash, *needed})

    async def _generations_of(self, unfinished: Sequence[Unfinished]) -> Mapping[str, Generation]:
        found = {self._generation.hash: self._generation}
        for hash_ in {each.row.generation for each in unfinished} - set(found):
            try:
                files = self._texts.get(hash_)
                if files is not None:
                    found[hash_] = load(self.basedir, files=files)
            except BuildbotLiteError as error:
                self._log.warn("an earlier configuration cannot be loaded: {why}", why=str(error))
        return found

    def _check_configured(self, grant: Grant) -> None:
        self.door.check_configured(grant)

    def _admit(self, grant: Grant, key: str) -> None:
        # Before the peer is more than a stranger: with a stolen string it does not speak for the slave in any way.
        if grant.verb != SLAVE:
            return
        member = self.slaves.serving(grant.object)
        if member is not None and member.config.pin:
            try:
                self.grants.check_pin(grant, key)
            except BuildbotLiteError as error:
                self.slaves.refused(grant.object, str(error))
                raise

    def _breach(self, grant: Grant, sentence: str) -> bool:
        if grant.verb != SLAVE:
            return False
        self.slaves.breached(grant.object, sentence)
        return True

    def _slowed(self, grant: Grant, sentence: str) -> None:
        if grant.verb == SLAVE:
            self._remark(grant.object, f"{grant.object}: {sentence}")

    def _expose_desk(self, grant: Grant, revocable: Revocable) -> Exposed:
        name = grant.object
        attach_limit = AttachLimit(self.clock)

        def admit(key: str) -> None:
            member = self.slaves.serving(name)
            if member is None:
                raise BuildbotLiteError(f"The slave {name} is not in master.cfg any more.")
            if member.config.pin:
                try:
                    self.grants.pin(grant, key)
                except BuildbotLiteError as error:
                    if attach_limit.may_report():
                        self._log.warn("{slave} was refused: {why}", slave=name, why=str(error))
                    raise
            attach_limit.admit(name)
            self.grants.used(grant)

        def idle() -> bool:
            return not self.queue.slots.on(name)

        return ExposedDesk(SlaveDesk(name, self.slaves, admit, self._location.hints, idle), revocable)

    def _not_caught_up(self, result: object, timeout: float) -> None:
        self._log.warn("some builds have not caught up with their journals after {seconds} s", seconds=timeout)

    def _start(self, waiting: Waiting, slave: str) -> None:
        self.works.start(waiting, slave)

    def _consider(self) -> None:
        self.queue.consider()

    def _remark(self, slave: str, text: str) -> None:
        self.works.remark(slave, text)

    def _hold(self) -> WaitReason | None:
        if self._holds:
            return wait_reasons.stopping()
        obstacle = self.records.obstacle
        if isinstance(obstacle, DatabaseLockedError):
            return wait_reasons.locked()
        if isinstance(obstacle, DatabaseFullError):
            return wait_reasons.disk_full()
        if obstacle is not None:
            return wait_reasons.storage_failing(str(obstacle))
        try:
            free = shutil.disk_usage(self.basedir).free
        except OSError as error:
            return wait_reasons.storage_failing(f"the master's directory cannot be used: {error.strerror}")
        return wait_reasons.disk_full() if free < LEAST_SPACE else None


def database(config: MasterConfig) -> str:
    """
    The path of the file of the records.
    """
    return os.path.join(config.basedir, config.db)


def _some(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _times_asked(connection: Connection, *, grants: Sequence[Grant], since: float) -> Mapping[int, Sequence[float]]:
    """
    When each grant that has a limit per hour was used after *since*.
    """
    return {
        grant.id: records_of_requests.submission_times(connection, grant.id, since)
        for grant in grants
        if grant.per_hour is not None and grant.revoked is None
    }


def _unfinished(
    connection: Connection,
) -> tuple[list[Unfinished], list[tuple[Request, records_of_requests.Buildset]]]:
    """
    The builds that run on, and the requests that wait.
    """
    wanted = {request.id: request for request in records_of_requests.unfinished(connection)}
    sets = {each.id: each for each in records_of_requests.buildsets_unfinished(connection)}
    running = [
        Unfinished(row, wanted[row.request], sets[wanted[row.request].buildset], read_entries(connection, row.id))
        for row in records_of_builds.unfinished(connection)
        if row.request in wanted
    ]
    begun = {each.request.id for each in running}
    waiting = [(request, sets[request.buildset]) for id, request in wanted.items() if id not in begun]
    return running, waiting


def _made_with(connection: Connection, grants: Sequence[Grant]) -> Mapping[int, int]:
    """
    With which string the submissions were made that some of *grants* watch: buildset → grant.
    """
    watched = [int(grant.object) for grant in grants if is_of_a_submission(grant)]
    return records_of_requests.granted_buildsets(connection, min(watched)) if watched else {}
