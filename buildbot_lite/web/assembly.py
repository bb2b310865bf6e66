"""
The pages of one farm, put together: records, master, templates.
"""

import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from attrs import frozen
from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from ..deferreds import background
from ..errors import BuildbotLiteError, sentence
from ..storage.database_place import DEFAULT
from ..storage.reading import ReadOnlyRecords
from ..wire.certificate import fingerprint
from ..wire.client import ask
from .dispatcher import Pages
from .farm.feed_streams import FeedStreams
from .farm.live import Live
from .farm.master_watch import MasterWatch
from .farm.metrics import Metrics
from .farm.published_packages import PublishedPackages
from .farm.stored_farm import Places
from .farm.strings import WATCH, WebStrings
from .farm.www_file import keep_www, www_told
from .holders.session_cookie import SessionCookie
from .holders.session_end import end_former_sessions, end_sessions
from .holders.sessions import Sessions
from .html.page_templates import Templates
from .logs.farm_logs import FarmLogs
from .root import SiteRoot
from .routes import ROUTES
from .serving.listening import Listening
from .serving.packing import PackingPlaces
from .serving.policy import WebPolicy
from .serving.rooms import Rooms
from .view import FarmView
from .webhooks.hooks import Handover, Submit

T = TypeVar("T")

WRITTEN_AGAIN = 60.0
"""Seconds until what could not be written is written again."""


@frozen
class WebParts:
    """
    What pages are made from.  *directory*: of the web process.  *farm*: of its master; None, or a directory without
    one: no pages.  *submit*: passes webhooks on.  *certificate*: the web process's own (PEM).  *rooms*: for what
    strangers send, and do not read.
    """

    reactor: Any
    directory: str
    farm: str | None
    strings: WebStrings
    listening: Listening
    submit: Submit
    certificate: bytes
    rooms: Rooms


class PlacedRecords:
    """
    The role `Reading`, at the place that the master told last.
    """

    def __init__(self, reactor: Any, path: str) -> None:
        self._reactor = reactor
        self._path = path
        self._records = ReadOnlyRecords(path, reactor)

    def read(self, query: Callable[[Connection], T]) -> Deferred[T]:
        return self._records.read(query)

    def move(self, path: str) -> None:
        """
        The database is at *path*.
        """
        if path != self._path:
            self._records.close()
            self._path, self._records = path, ReadOnlyRecords(path, self._reactor)

    def close(self) -> None:
        """
        Read no more.
        """
        self._records.close()


class FarmPages:
    """
    The pages that are made from *parts*, and the connection to the master while they are served.
    """

    def __init__(self, parts: WebParts) -> None:
        self._parts = parts
        self._log = Logger()
        reactor = parts.reactor
        self._watch = MasterWatch(reactor, parts.certificate, self._ask_again, self._refused)
        self._live = self._watch.live = Live(self._watch, time.monotonic, wall=time.time)
        told = www_told(parts.directory)
        self._told = told
        self._written = told
        self._writing_again: IDelayedCall | None = None
        self._policy = self._make_policy()
        if told:
            self._live.know("www", told)
        self._records = PlacedRecords(reactor, told.get("database") or os.path.join(parts.farm or "", DEFAULT))
        sessions = Sessions(
            partial(ask, reactor),
            self._own,
            time.monotonic,
            time.time,
            reactor,
            SessionCookie(fingerprint(parts.certificate)),
        )
        self._watch.news.on_news(sessions.changed)
        self._view = FarmView(
            records=self._records,
            live=self._live,
            places=self._places,
            templates=Templates(),
            wall=time.time,
            news=self._watch.news,
            events=FeedStreams(self._records.read, self._watch.news, self._live, reactor),
            logs=FarmLogs(reactor, self._in_thread, PackingPlaces(parts.rooms.packing)),
            sessions=sessions,
            metrics=Metrics(
                self._records, self._live, self._places, time.time, os.path.join(parts.directory, "metrics.json")
            ),
            published=PublishedPackages(self._in_thread),
            rooms=parts.rooms,
        )

    def root(self) -> SiteRoot:
        """
        The resource at the root of the site.
        """
        handover = Handover(self._parts.submit, self._parts.reactor)
        if not self._has_farm():
            return SiteRoot(None, handover, lambda: self._policy)
        pages = Pages(self._view, ROUTES)
        return SiteRoot(pages.resource(), handover, lambda: self._policy, pages.takes_large_form)

    def start(self) -> None:
        """
        Connect to the master when its string is there.
        """
        background(end_former_sessions(self._live), self._log, "ending the sessions of an earlier process")
        self._parts.strings.follow(WATCH, self._use)

    async def stop(self) -> None:
        """
        End the sessions, cut the connection, and read no more.
        """
        self._cancel()
        await end_sessions(self._live, self._parts.reactor)
        await self._watch.stop()
        self._records.close()

    def _in_thread(self, function: Callable[[], T]) -> Deferred[T]:
        reactor = self._parts.reactor
        return deferToThreadPool(reactor, reactor.getThreadPool(), function)

    def _has_farm(self) -> bool:
        """
        Whether the master's directory is here: elsewhere, only webhooks are taken.
        """
        return self._parts.farm is not None and os.path.exists(os.path.join(self._parts.farm, "master.tac"))

    def _places(self) -> Places:
        farm = self._parts.farm or ""
        return Places(
            self._told.get("streams") or os.path.join(farm, "streams"),
            self._told.get("artifacts") or os.path.join(farm, "artifacts"),
            self._told.get("repositories") or {},
            self._told.get("keys") or {},
        )

    def _own(self) -> str | None:
        """
        The string of the pages; None while there is none, or the master refuses it.
        """
        return None if self._watch.is_refused else self._parts.strings.current(WATCH)

    def _use(self, furl: str | None) -> None:
        if furl is None:
            # The master removes the file of a string that was revoked.
            self._view.sessions.end_all()
        self._watch.use(furl)

    def _refused(self, furl: str) -> None:
        """
        The master knows the string *furl* of the pages no more, and tells no news of the strings of sessions.
        """
        # `rotate` writes another one before it revokes this.
        self._parts.strings.look()
        if self._parts.strings.current(WATCH) == furl:
            self._view.sessions.end_all()

    def _ask_again(self) -> None:
        background(self._ask(), self._log, "asking what c['www'] says")

    async def _ask(self) -> None:
        # The news is newer than whatever was answered before.
        told = await self._live.answer("www", fresh=0.0)
        if not told or told == self._written:
            return
        # The policy first, because nothing of it can fail, and it decides who may read.
        self._told = told
        self._policy = self._make_policy()
        try:
            if path := told.get("database"):
                self._records.move(path)
            self._parts.listening.told(told.get("port"))
            self._policy = self._make_policy()
            # Last: `buildbot-lite start` waits for it, and names the address then.
            keep_www(self._parts.directory, told)
        except (OSError, BuildbotLiteError) as error:
            self._log.error("what the master told about the pages cannot be kept: {why}", why=sentence(error))
            self._cancel()
            self._writing_again = self._parts.reactor.callLater(WRITTEN_AGAIN, self._ask_again)
        else:
            self._written = told

    def _cancel(self) -> None:
        if self._writing_again is not None and self._writing_again.active():
            self._writing_again.cancel()

    def _make_policy(self) -> WebPolicy:
        return WebPolicy.of(self._told, self._parts.listening.endpoint.interface)
