"""
News of the whole farm, for clients that show it: the answer to ``follow farm``.

::

    commits ─────────────┐
    growing streams ─────┤                  at most 10 times a second
    slaves, queue ───────┼──► what is new ──► merged into each follower's own ──► a document, when the client
    revoked strings ─────┤                                                        has taken the one before
    configuration ───────┘

A document tells that something changed, and where to look; it contains no news itself.  A slow client thus gets the
newest state instead of a queue: what is kept for it is the names of some streams and the numbers of some grants, or
"too many to name".
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NoReturn, Protocol

from attrs import evolve, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from ..deferreds import OneShot
from ..errors import LimitError
from ..master.farm import Farm
from ..model.json_reader import encode
from ..storage.records import feed
from ..storage.records.feed import Event

PERIOD = 0.1
"""Seconds between two documents to one client, at least."""
MOST_OF_A_HOLDER = 20
"""Clients that follow the farm with one string.  Each gets its own document for each change."""
MOST_STREAMS = 256
MOST_REVOKED = 1000
"""Streams and grants that a document names."""


class NewsClient(Protocol):
    """
    A client that follows the farm.
    """

    def stdout(self, data: bytes) -> Deferred[None]:
        """
        Send a document; fires when the client has taken it.
        """

    def when_writable(self) -> Deferred[None]:
        """
        Fires when the transport has passed all of its bytes to the kernel.
        """


@frozen
class News:
    """
    What is new since some moment.  *streams*: the paths of those that grew.  *revoked*: the numbers of revoked grants.
    None: too many to name, or unknown.
    """

    streams: frozenset[str] | None = frozenset()
    revoked: frozenset[int] | None = frozenset()

    def and_then(self, later: "News") -> "News":
        """
        This and *later* together.
        """
        return News(
            _together(self.streams, later.streams, MOST_STREAMS), _together(self.revoked, later.revoked, MOST_REVOKED)
        )

    def document(self) -> dict[str, Any]:
        """
        The news as a JSON object, for the client.
        """
        return {
            "streams": None if self.streams is None else sorted(self.streams),
            "revoked": None if self.revoked is None else sorted(self.revoked),
        }


NOTHING_KNOWN = News(None, None)


class FarmNews:
    """
    Tells clients what is new in *farm*.  It listens to the farm only while it has clients.
    """

    def __init__(self, farm: Farm) -> None:
        self._farm = farm
        self._seq = 0
        self._applied = 0
        self._news = News()
        self._followers: set[_NewsFollower] = set()
        self._ends: list[Callable[[], None]] = []
        self._timer: IDelayedCall | None = None
        self._told_at = 0.0
        farm.reconfiguration.on_applied(lambda config: self._configured())

    async def follow(self, client: NewsClient, holder: object = None) -> NoReturn:
        """
        Send *client* a document at once and after changes, until this is cancelled or sending fails; `LimitError` if
        *holder* has `MOST_OF_A_HOLDER` clients already:

        - ``seq``: the number of the last committed event.
        - ``streams``: the paths of the streams that grew since the document before, or null: any may have grown.
        - ``live``: a number that changes when slaves, queue or running builds changed.
        - ``revoked``: the numbers of the grants that were revoked since then, or null: any may have been.
        - ``generation``: a text that changes when another configuration has come into force.
        """
        if sum(each.holder is holder for each in self._followers) >= MOST_OF_A_HOLDER:
            raise LimitError(
                f"{MOST_OF_A_HOLDER} clients already follow the farm with this string.  Stop one of them first."
            )
        follower = _NewsFollower(holder)
        self._add(follower)
        try:
            self._seq = max(self._seq, await self._farm.records.read(feed.last))
            while True:
                await client.stdout(encode({**self._state(), **follower.taken().document()}))
                await client.when_writable()
                await follower.next()
        finally:
            self._remove(follower)

    def _state(self) -> dict[str, Any]:
        # The same files may be another configuration, because master.cfg may read others.
        generation = f"{self._farm.generations.current.hash[:16]}-{self._applied}"
        return {"seq": self._seq, "live": self._farm.live.count, "generation": generation}

    def _add(self, follower: "_NewsFollower") -> None:
        self._followers.add(follower)
        if not self._ends:
            self._ends = [
                self._farm.records.on_commit(self._committed),
                self._farm.notifications.on_growth(self._grown),
                self._farm.live.on_change(lambda _: self._changed()),
                self._farm.grants.on_revoked(self._revoked),
            ]

    def _remove(self, follower: "_NewsFollower") -> None:
        self._followers.discard(follower)
        if not self._followers:
            ends, self._ends = self._ends, []
            for end in ends:
                end()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _committed(self, events: Sequence[Event]) -> None:
        self._seq = events[-1].seq
        self._changed()

    def _grown(self, key: Hashable) -> None:
        streams = self._news.streams
        if streams is not None and key not in streams:
            self._changed(evolve(self._news, streams=_together(streams, frozenset([str(key)]), MOST_STREAMS)))
        else:
            self._changed()

    def _revoked(self, grant: int) -> None:
        self._changed(self._news.and_then(News(revoked=frozenset([grant]))))

    def _configured(self) -> None:
        self._applied += 1
        if self._followers:
            self._changed()

    def _changed(self, news: News | None = None) -> None:
        self._news = news or self._news
        if self._timer is None:
            pause = max(0.0, self._told_at + PERIOD - self._farm.clock.seconds())
            self._timer = self._farm.clock.callLater(pause, self._tell)

    def _tell(self) -> None:
        self._timer, self._told_at = None, self._farm.clock.seconds()
        news, self._news = self._news, News()
        for follower in tuple(self._followers):
            follower.add(news)


class _NewsFollower:
    """
    The news that one client of *holder* has not got.
    """

    def __init__(self, holder: object) -> None:
        self.holder = holder
        self._news = NOTHING_KNOWN
        self._arrived: OneShot[None] = OneShot()

    def add(self, news: News) -> None:
        """
        Add *news*, and end `next`.
        """
        self._news = self._news.and_then(news)
        self._arrived.fire(None)

    def next(self) -> Deferred[None]:
        """
        Fires when there are news.
        """
        return self._arrived.wait()

    def taken(self) -> News:
        """
        The news so far, which are then no news any more.
        """
        news, self._news, self._arrived = self._news, News(), OneShot()
        return news


def _together(some: frozenset[Any] | None, others: frozenset[Any] | None, most: int) -> frozenset[Any] | None:
    if some is None or others is None or len(some | others) > most:
        return None
    return some | others
