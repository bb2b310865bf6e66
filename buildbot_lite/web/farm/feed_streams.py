"""
All open streams of the feed, and the one reader of the records that serves them.

::

    the master's news ──┐                          one read at a time
    each second,        ├──► FeedStreams ── page after the lowest number that is due ──► EventStream.take, of each
    if there is none ───┘         └── live, here, away ────────────────────────────────► EventStream.tell_live

Streams that are at the same place share each read: an event costs one query, however many look.  Clients that came
back with an older number are served between the others.
"""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ...deferreds import background
from ...errors import StorageError
from ...storage.records import feed
from ...storage.records.feed import FeedPage
from ..serving.fair_places import UNKNOWN, FairPlaces, Occupant
from .event_stream import EncodedPage, EventStream, Topic
from .live import Live
from .master_watch import FarmChange, NewsOfFarm

T = TypeVar("T")

MOST_OPEN = 500
"""Streams; for a newcomer, the oldest of the visitor with the most is cut (`fair_places`), if that is another one."""
PERIOD = 1.0
"""Seconds between two looks: at the clients, and at the records while the master tells no news."""
MOST_EVENTS = 500
"""Events of one read."""
_NOT_KNOWN = 1 << 62
"""A number that no event has."""


class _Read(Protocol):
    def __call__(self, query: Callable[[Connection], FeedPage]) -> Deferred[FeedPage]: ...


class FeedStreams:
    """
    The streams that are open.  *read*: as `view.Reading.read`.
    """

    def __init__(self, read: _Read, news: NewsOfFarm, live: Live, clock: IReactorTime) -> None:
        self._read = read
        self._news = news
        self._live = live
        self._clock = clock
        self._log = Logger()
        self._open: dict[EventStream, None] = {}
        self._places = FairPlaces(MOST_OPEN)
        self._newest = _NOT_KNOWN
        self._former: FarmChange | None = None
        self._reading = False
        self._timer: IDelayedCall | None = None
        news.on_news(self._told)
        live.on_link(lambda _: self._tell_live())

    def __len__(self) -> int:
        return len(self._open)

    def has_room(self, occupant: Occupant) -> bool:
        """
        Whether *occupant* can have one more stream.  Not if one of their own would be cut for it: its browser would
        come back in seconds for the place of the next one, without end.
        """
        return self._places.has_room(occupant)

    async def serve(self, request: Any, position: int | None, topic: Topic, occupant: Occupant = UNKNOWN) -> None:
        """
        Send events of *topic* after the number *position* to the client of *request*, until it is gone: this is
        cancelled then.  None: events from now on.  *occupant*: for whom the stream counts among the `MOST_OPEN`.
        """
        stream = EventStream(request, position, topic, wanting=self._go_on, now=self._clock.seconds)
        place = self._places.take(occupant, stream.cut)
        self._open[stream] = None
        try:
            self._timer = self._timer or self._clock.callLater(PERIOD, self._look)
            stream.begin()
            self._go_on()
            await Deferred()
        finally:
            place.leave()
            del self._open[stream]
            if not self._open and self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _told(self, change: FarmChange) -> None:
        former, self._former = self._former, change
        self._newest = change.seq
        if former is not None and (former.live, former.generation) != (change.live, change.generation):
            self._tell_live()
        self._go_on()

    def _tell_live(self) -> None:
        for stream in tuple(self._open):
            stream.tell_live({"away_since": self._live.away_since})

    def _look(self) -> None:
        self._timer = self._clock.callLater(PERIOD, self._look)
        for stream in tuple(self._open):
            stream.look()
        self._go_on(look=not self._news.flows)

    def _go_on(self, *, look: bool = False) -> None:
        if not self._reading and (look or self._due()):
            self._reading = True
            background(self._serve_all(look=look), self._log, "reading the feed for streams")

    async def _serve_all(self, *, look: bool) -> None:
        try:
            if look:
                await self._serve_after(self._newest)
            while due := self._due():
                # The most advanced first: what just happened does not wait for those that catch up.
                await self._serve_after(max(due))
        except StorageError:
            pass  # the next look tries again; pages say why
        finally:
            self._reading = False

    def _due(self) -> set[int]:
        """
        The numbers after which streams want events.
        """
        places = {self._newest if each.position is None else each.position for each in self._open if each.ready}
        fresh = any(each.position is None for each in self._open if each.ready)
        return places if fresh else places - {self._newest}

    async def _serve_after(self, after: int) -> None:
        known = self._newest
        page = await self._read(lambda connection: feed.page(connection, after, MOST_EVENTS))
        # News that came meanwhile are newer than this page.
        self._newest = page.newest if self._newest == known else max(page.newest, self._newest)
        encoded = EncodedPage(after, page)
        for stream in tuple(self._open):
            stream.take(encoded)
