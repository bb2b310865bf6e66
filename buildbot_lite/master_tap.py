"""
The master as a service of ``twistd``: composition with the reactor, the network and the disk.

``master.tac`` needs two lines::

    from buildbot_lite.master_tap import application_for

    application = application_for(__file__)

Without such a file: ``twistd buildbot-lite-master --basedir DIRECTORY``.

Errors are found before twistd becomes a daemon, and printed on the terminal as one sentence: a mistake in master.cfg, a
newer database, another master in the directory, a port in use.

SIGHUP applies master.cfg.  SIGTERM stops the master; the commands of builds continue, and the next master continues the
builds.  SIGUSR1 stops it too, and kills the commands that the master itself runs (``MasterShellCommand``), with their
keeper.
"""

import gc
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any, TypeVar, cast

from twisted.application.service import Application, MultiService
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python import usage

try:
    import sqlalchemy  # noqa: F401 - only whether it is there
except ModuleNotFoundError:
    # Normal on a slave's machine, so no traceback.
    raise SystemExit("A master needs more than a slave.  Install it: pip install 'buildbot-lite[master]'") from None

from .control.verbs import granted_verbs
from .deferreds import DaemonThreads, background
from .errors import (
    BuildbotLiteError,
    NotRunningError,
    sentence,
)
from .extensions import configuration_keys, services
from .http_client import HttpClient
from .master.builds.reactor_lag import ReactorLag
from .master.builds.turn_watch import TurnWatch
from .master.config.loading import load
from .master.config.master_config import DB_OF_0_1_0, DEFAULT_DB
from .master.farm import Environment, Farm
from .master.grants.listening import CONNECT_TIMEOUT
from .master.grants.location import Location
from .master.maintenance import Maintenance
from .master.slaves.desk import SlaveDesk
from .master.slaves.missing import MissingSlaves
from .master.slaves.registry import OWN
from .master.trial_load import TrialLoad
from .slave.assembly import LocalSlave
from .status.following import notify_followers
from .status.reporters.reporter import Outside
from .status.reporters.reporters import Reporters
from .storage.compression import Compression
from .storage.daemon import is_daemon
from .storage.database import open_database
from .storage.database_place import keep_place
from .storage.files import make_directory
from .storage.lock import DirectoryLock
from .storage.log_file import watch_log_files
from .storage.moving import is_database, move_database
from .storage.permissions import check_farm
from .storage.revocation_log import RevocationLog
from .storage.swissnums import Swissnums
from .storage.writer import Writer
from .wire.certificate import key_derived_from, load_or_create
from .wire.exposed import Exposed
from .wire.ports import Ports
from .wire.probe import why_not_reached
from .wire.tub import make_tub, raise_file_limit

T = TypeVar("T")

STRINGS = "strings"
"""The purpose for which the key of the FURLs is derived (see `key_derived_from`)."""
MOST_SENDING = 10
"""Threads of reporters: mails, and secrets for messages, at a time."""


class MasterService(MultiService):
    """
    The master in *basedir*; its constructor locks the directory.
    """

    log = Logger()

    def __init__(self, basedir: str, reactor: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's
        self._reactor = reactor
        self._basedir = os.path.abspath(basedir)
        if not os.path.exists(os.path.join(self._basedir, "master.cfg")):
            raise NotRunningError(
                f"There is no master.cfg in {self._basedir}.  Make a master with: buildbot-lite create-master DIRECTORY"
            )
        self._private = os.path.join(self._basedir, "private")
        make_directory(self._private)
        self._lock = DirectoryLock(self._private, "master")
        self._generation = generation = load(self._basedir, keys=configuration_keys())
        certificate = load_or_create(os.path.join(self._private, "tub.pem"))
        self._tub = make_tub(reactor, certificate, self._lookup)
        self._location = Location(
            tub_id=self._tub.tub_id,
            ports=Ports(self._tub, reactor),
            private=self._private,
            config=generation.config,
            wall=time.time,
            why_not_reached=partial(why_not_reached, reactor, self._tub.tub_id, within=CONNECT_TIMEOUT),
        )
        self._location.bind(generation.config).commit()
        # Only to find errors: the threads of a Writer would not survive the fork by which twistd becomes a daemon.
        self._database = self._database_path()
        open_database(self._database, private=self._private).dispose()
        self._swissnums = Swissnums.load(key_derived_from(certificate, STRINGS), self._private)
        self._revocations = RevocationLog.of(self._private, self._swissnums.fingerprint, time.time)
        self._revocations.begin()
        own = os.path.join(self._basedir, "own")
        make_directory(own)
        self._own = LocalSlave(own, reactor)
        self._lag = ReactorLag(reactor)
        self._farm: Farm | None = None
        self._maintenance: Maintenance | None = None
        self._reporters: Reporters | None = None
        self._missing: MissingSlaves | None = None
        self._trial: TrialLoad | None = None
        self._kill = False
        self._stopping = False

    def _database_path(self) -> str:
        """
        The path of the database; a database at the place of 0.1.0 is moved there first.
        """
        db = self._generation.config.db
        path = self._generation.config.database_in(self._basedir)
        keep_place(self._private, self._basedir, path)
        check_farm(self._basedir, path)
        if db == DEFAULT_DB:
            make_directory(os.path.dirname(path))
            old = os.path.join(self._basedir, DB_OF_0_1_0)
            if is_database(old):
                # Opened at the old place: what opening leaves there must never be in the other directory.
                open_database(old, private=self._private).dispose()
                move_database(old, path)
                self.log.info("the records were moved from {old} to {new}", old=DB_OF_0_1_0, new=DEFAULT_DB)
        return path

    def startService(self) -> None:
        """
        Continue unfinished builds, then listen.
        """
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's
        self._log_files = watch_log_files(self._reactor)
        self._turn_watch = TurnWatch(self._reactor)
        self._turn_watch.start()
        self._lag.start()
        background(self._start(), self.log, "starting the master")

    def stopService(self) -> Deferred[None]:
        """
        Stop listening, cut all links, and close the records.
        """
        self._stopping = True
        return Deferred.fromCoroutine(self._stop())

    async def _start(self) -> None:
        try:
            await self._open()
        except BaseException:
            if self._stopping:
                return  # stopped before it was ready
            self.log.critical("the master cannot start, and stops")
            self._reactor.callLater(0, self._reactor.stop)
            raise

    async def _open(self) -> None:
        reactor = self._reactor
        raise_file_limit()
        farm = self._farm = Farm(
            Environment(
                basedir=self._basedir,
                records=Writer(open_database(self._database, revocations=self._revocations), reactor),
                swissnums=self._swissnums,
                generation=self._generation,
                location=self._location,
                preauth=self._tub.preauth,
                verbs=granted_verbs,
                clock=reactor,
                wall=time.time,
                in_thread=self._in_thread,
                try_out=self._try_out,
                http=HttpClient(reactor).ask,
                extensions=services,
                traffic=self._tub.traffic,
                lag=self._lag,
            )
        )
        notify_followers(farm.records, farm.notifications)
        self._own.start()
        self._own.attach_to(SlaveDesk(OWN, farm.slaves, lambda key: None, lambda: ()))
        await farm.start()
        self._maintenance = Maintenance(farm, compression=Compression(reactor), clock=reactor, wall=time.time)
        self._maintenance.start()
        self._missing = MissingSlaves(farm.slaves, records=farm.records, clock=reactor, wall=time.time)
        self._missing.start()
        self._reporters = Reporters(farm, outside=self._outside(farm), clock=reactor, wall=time.time)
        self._reporters.start()
        self._tub.startService()
        signal.signal(signal.SIGUSR1, self._on_sigusr1)
        if is_daemon():
            signal.signal(signal.SIGHUP, self._on_sighup)
        self.log.info("the master is ready at {places}", places=", ".join(self._location.hints()))
        background(farm.reconfiguration.check_places(), self.log, "trying the places in strings")

    async def _stop(self) -> None:
        self._log_files.stop()
        self._turn_watch.stop()
        self._lag.stop()
        if self._maintenance is not None:
            self._maintenance.stop()
        if self._missing is not None:
            self._missing.stop()
        if self._reporters is not None:
            self._reporters.stop()
        if self._trial is not None:
            self._trial.stop()
        if self._tub.running:
            await self._tub.stopService()
        await self._own.stop(kill=self._kill)
        if self._farm is not None:
            await self._farm.stop()
        await cast("Deferred[None]", super().stopService())  # type: ignore[no-untyped-call]  # Twisted's
        self._lock.release()

    async def _try_out(self, seconds: float) -> None:
        self._trial = TrialLoad(self._basedir, seconds=seconds)
        await self._in_thread(partial(self._trial.run, quiet=True))

    def _outside(self, farm: Farm) -> Outside:
        threads = DaemonThreads(0, MOST_SENDING, "reporters")
        threads.start()
        return Outside(
            in_thread=partial(deferToThreadPool, self._reactor, threads),
            request=HttpClient(self._reactor).request,
            # The configuration may be another by then.
            secret=lambda name: str(farm.config.secret(name)),
            origin=self._tub.tub_id[:12],
        )

    def _in_thread(self, work: Callable[[], T]) -> Deferred[T]:
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), work)

    def _lookup(self, swissnum: str) -> Exposed | None:
        return self._farm.grants.lookup(swissnum) if self._farm is not None else None

    def _on_sighup(self, number: int, frame: FrameType | None) -> None:
        self._reactor.callFromThread(self._reconfigure)

    def _on_sigusr1(self, number: int, frame: FrameType | None) -> None:
        self._kill = True
        self._reactor.callFromThread(self._reactor.stop)

    def _reconfigure(self) -> None:
        if self._farm is not None:
            background(self._farm.reconfiguration.apply(), self.log, "master.cfg was not applied")


def application_for(tac: str) -> Any:
    """
    The ``application`` of a ``master.tac``.  *tac*: the path of that file, in the master's directory.
    """
    application = Application("buildbot-lite-master")
    service = _service(os.path.dirname(os.path.abspath(tac)))
    service.setServiceParent(application)  # type: ignore[no-untyped-call]  # Twisted's
    return application


class Options(usage.Options):
    """
    The options of ``twistd buildbot-lite-master``.
    """

    synopsis = "[options]"
    optParameters = (("basedir", None, ".", "The master's directory."),)  # noqa: N815 - Twisted's


def makeService(options: Options) -> MasterService:
    """
    The service for ``twistd buildbot-lite-master``.
    """
    return _service(options["basedir"])


def _service(basedir: str) -> MasterService:
    # Imported only here, because the import installs the default reactor: twistd may have been given another.
    from twisted.internet import reactor  # noqa: TID251 - this is a tap

    # A monotonic clock: leases and time-outs must not jump when the wall clock is set.  Nothing is scheduled yet.
    reactor.seconds = time.monotonic  # type: ignore[method-assign]  # another clock
    # What is imported by now stays: nine tenths of all objects, which each full collection would go through.
    gc.freeze()
    # Most objects of a build are freed without the collector, if it does not come in between.
    gc.set_threshold(10_000)
    try:
        return MasterService(basedir, reactor)
    except (BuildbotLiteError, OSError) as error:
        raise SystemExit(sentence(error)) from None
