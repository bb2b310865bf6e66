"""
The web process as a service of ``twistd``: it serves the farm's pages, and hands webhooks to the master.

In a directory that ``buildbot-lite create-master`` made, ``web.tac`` needs two lines, because the master writes the
strings for it into ``private/``::

    from buildbot_lite.web_tap import application_for

    application = application_for()

Elsewhere it takes webhooks with the string of ``buildbot-lite grant webhooks``::

    application = application_for(webhooks="pb://…")

SIGTERM stops it.  Errors are found before twistd becomes a daemon, and printed as one sentence.
"""

import gc
import os
import sys
import time
from collections.abc import Collection
from typing import Any, cast

from twisted.application.service import Application, MultiService
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

try:
    import klein  # noqa: F401 - only whether it is there
    import sqlalchemy  # noqa: F401 - only whether it is there
except ModuleNotFoundError:
    # Normal where only a slave is installed, so no traceback.
    raise SystemExit(
        "A web process needs more than a slave.  Install it: pip install 'buildbot-lite[master]'"
    ) from None

from .errors import BuildbotLiteError, ConfigError, StorageError, sentence
from .storage.files import make_directory, readable_by_others
from .storage.lock import DirectoryLock
from .storage.log_file import watch_log_files
from .web.assembly import FarmPages, WebParts
from .web.farm.strings import WATCH, WEBHOOKS, WebStrings
from .web.farm.www_file import www_told
from .web.serving import heap, priority
from .web.serving.listening import Listening
from .web.serving.rooms import Rooms
from .web.serving.site import make_factory
from .web.webhooks.submitting import Submitting
from .wire.certificate import load_or_create
from .wire.tub import raise_file_limit

MOST_THREADS = 5
"""Threads that look into files of logs, besides those that read the records; each holds some megabytes meanwhile."""


class WebService(MultiService):
    """
    The web process in the directory *basedir*, which is locked from now on, for the master in the directory *farm*;
    None: it takes webhooks alone.
    *given*: strings by name.  *port*: see `Listening`; it listens from now on.  *nice*: see
    `priority.yield_to_builds`.
    """

    log = Logger()

    def __init__(
        self,
        basedir: str,
        farm: str | None,
        given: dict[str, str],
        port: str | int | None,
        reactor: Any,
        nice: int = priority.NICE,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's
        self._reactor = reactor
        if not priority.is_nice(nice):
            raise ConfigError(f"{nice!r:.100} is no nice value.  Write a whole number from 0 to 19: nice=10")
        self._nice = nice
        if not os.path.isdir(basedir):
            raise StorageError(f"There is no directory {basedir}.  Make one with: buildbot-lite create-web")
        private = os.path.join(basedir, "private")
        self._strings = WebStrings(private, reactor, given)
        make_directory(private)
        self._lock = DirectoryLock(private, "web process")
        self._submitting = Submitting(reactor, load_or_create(os.path.join(private, "tub.pem")))
        self._listening = Listening(basedir, port, www_told(basedir).get("port"), reactor)
        # Only this process's user can look into it.
        self._rooms = Rooms(private)
        self._parts = WebParts(
            reactor=reactor,
            directory=basedir,
            farm=farm,
            strings=self._strings,
            listening=self._listening,
            submit=self._submitting.submit,
            # Another key: the master knows a peer by it, and cuts the older of two connections.
            certificate=load_or_create(os.path.join(private, "watch.pem")),
            rooms=self._rooms,
        )
        self._pages: FarmPages | None = None
        self._log_files: LoopingCall | None = None
        self._tidying: LoopingCall | None = None

    def startService(self) -> None:
        """
        Take requests.
        """
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's
        # Before there are threads, and in the process that twistd has become.
        nice = priority.yield_to_builds(self._nice)
        self.log.info("the nice value is {nice}, so that builds come first (nice= in web.tac)", nice=nice)
        # Of connections alone there may be as many as many systems permit by default.
        raise_file_limit()
        self._log_files = watch_log_files(self._reactor)
        self._strings.follow(WEBHOOKS, self._submitting.use)
        self._strings.start()
        # Not before: its threads would not survive the fork by which twistd becomes a daemon.
        self._pages = FarmPages(self._parts)
        self._pages.start()
        self._listening.start(make_factory(self._pages.root(), self._reactor, self._rooms))
        heap.give_tables_back()
        self._tidying = heap.keep_tidy(self._reactor)
        self.log.info("webhooks are taken below /change_hook/")
        if self._parts.farm is None:
            self.log.info("no pages are served, because web.tac has webhooks=, and neither watch= nor farm=")

    def stopService(self) -> Deferred[None]:
        """
        Stop listening, and cut the connection to the master.
        """
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        # Those that are there: the start may have failed before.
        for calling in (self._tidying, self._log_files):
            if calling is not None:
                calling.stop()
        self._strings.stop()
        await self._listening.stop()
        await self._submitting.stop()
        if self._pages is not None:
            await self._pages.stop()
        await cast("Deferred[None]", super().stopService())  # type: ignore[no-untyped-call]  # Twisted's
        self._lock.release()


def farm_directory(basedir: str, given: Collection[str], farm: str | None) -> str | None:
    """
    The directory of the master whose pages the web process in *basedir* serves: *farm*, or by default that above it.
    None: it takes webhooks alone, because of the strings with names of *given*, that for webhooks is in web.tac.  (Such
    a web.tac is written for webhooks, and its port may be open to the world.)
    """
    if farm is None and WEBHOOKS in given and WATCH not in given:
        return None
    return os.path.join(basedir, ".." if farm is None else farm)


def application_for(
    webhooks: str | None = None,
    *,
    watch: str | None = None,
    farm: str | None = None,
    port: str | int | None = None,
    basedir: str | None = None,
    nice: int = priority.NICE,
) -> Any:
    """
    The ``application`` of a ``web.tac``.  *webhooks*: the string of ``buildbot-lite grant webhooks``.  *watch*: a
    string that reads the farm.  A string that is not given is read from the file that the master writes, as soon as it
    is there.  *farm*: the master's directory, relative to *basedir*, which is by default the directory of that file;
    see `farm_directory`.
    *port*: an endpoint like "tcp:8010:interface=127.0.0.1", or the number of a port of the loopback interface.
    *nice*: the nice value to which it lowers its priority at its start, 0 to 19; a lower priority stays.
    """
    tac = os.path.abspath(sys._getframe(1).f_globals.get("__file__", "web.tac"))  # noqa: SLF001 - twistd sets it
    application = Application("buildbot-lite-web")
    # Imported late: the import installs the default reactor, and twistd may have an option for another.
    from twisted.internet import reactor  # noqa: TID251 - this is a tap

    # A monotonic clock: turns, pauses and time-outs must not wait when the wall clock is set back.  Nothing is
    # scheduled yet.
    reactor.seconds = time.monotonic  # type: ignore[method-assign]  # another clock
    heap.keep_little()
    # What is imported by now stays.  Each full collection would go through all of it: 60 ms, every few hundred pages.
    gc.freeze()
    # But what requests leave behind is not to wait for long.
    gc.set_threshold(5_000, 5, 5)
    reactor.suggestThreadPoolSize(MOST_THREADS)  # type: ignore[attr-defined]  # of all real reactors
    directory = os.path.abspath(basedir or os.path.dirname(tac))
    given = {name: furl for name, furl in ((WEBHOOKS, webhooks), (WATCH, watch)) if furl is not None}
    try:
        service = WebService(directory, farm_directory(directory, given, farm), given, port, reactor, nice)
    except (BuildbotLiteError, OSError) as error:
        raise SystemExit(sentence(error)) from None
    if given and os.path.exists(tac) and readable_by_others(tac):
        service.log.warn(
            "others on this machine can read {path}, and the string in it: chmod 600 it",
            path=tac,
        )
    service.setServiceParent(application)  # type: ignore[no-untyped-call]  # Twisted's
    return application
