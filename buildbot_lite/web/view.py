"""
What a page is made of: the farm as the pages see it, and their answer.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from attrs import field, frozen

from .farm.feed_streams import FeedStreams
from .farm.live import FRESH, MOST_FRESH, Document, Live, is_private
from .farm.master_watch import NewsOfFarm
from .farm.metrics import Metrics
from .farm.published_packages import PublishedPackages
from .farm.stored_farm import Places, Reading
from .holders.sessions import Sessions
from .html.page_templates import Templates
from .logs.farm_logs import FarmLogs
from .page_request import Holder, PageRequest
from .serving.rooms import Rooms

HTML = "text/html; charset=utf-8"
JSON = "application/json"
TEXT = "text/plain; charset=utf-8"


@frozen
class Reply:
    """
    A whole answer.  *headers*: beside those that every answer has.
    """

    status: int
    body: bytes
    kind: str = HTML
    headers: Mapping[str, str] = field(factory=dict)


@frozen
class Streamed:
    """
    An answer that is written bit by bit.  *write* gets Twisted's request, whose headers are set, and finishes it.
    *close*: called once when the answer is over, also if it is never written; closes the file that *write* reads.
    """

    write: Callable[[Any], Awaitable[None]]
    status: int = 200
    kind: str = TEXT
    headers: Mapping[str, str] = field(factory=dict)
    close: Callable[[], object] = lambda: None


Render = Callable[..., Awaitable[Reply | Streamed]]
"""Called with the `FarmView`, the `PageRequest`, and the names in the address."""


@frozen
class Route:
    """
    The page at the addresses that match *rule* (werkzeug's notation).  *kept*: seconds for which the same answer may be
    given again while the farm has not changed.  *is_open*: whether it is shown to everybody, also of a private farm.
    *takes_password*: whether a string may come as the password of HTTP Basic, as from programs that know nothing else.
    *ends_in_slash*: whether its addresses may end in a slash; others lead to those without, from which the links of
    the page are relative.  *in_turn*: whether its answers are made in turn; not those of constant cost, which tell of
    this process itself or which all pages need: they come also when it has much to do.
    """

    rule: str
    render: Render
    methods: Sequence[str] = ("GET", "HEAD")
    kept: float = 1.0
    is_open: bool = False
    takes_password: bool = False
    ends_in_slash: bool = False
    in_turn: bool = True


@frozen
class FarmView:
    """
    The farm as pages see it.  *places*: where its files are now.  *wall*: seconds since 1970.  *news*: what the master
    tells.  *events*: the open streams of the feed.  *logs*: what readers of logs share.  *metrics*: what is counted.
    *published*: the packages of public repositories.  *rooms*: what answers may have of the memory.
    """

    records: Reading
    live: Live
    places: Callable[[], Places]
    templates: Templates
    wall: Callable[[], float]
    news: NewsOfFarm
    events: FeedStreams
    logs: FarmLogs
    sessions: Sessions
    metrics: Metrics
    published: PublishedPackages
    rooms: Rooms

    async def ask(self, asked: PageRequest, holder: Holder, question: Document) -> Document:
        """
        The master's answer to *holder*, who *asked* for a page.
        """
        return await asked.outside_turn(self.sessions.ask(holder, question))

    async def told(self, asked: PageRequest, question: str, fresh: float = FRESH) -> Document:
        """
        What the master tells everybody, as `Live.answer` does, for an answer to what was *asked*.  To be called before
        anything large is read for it: many may wait at a time.
        """
        # For an answer that is there, no Deferreds are made: most requests come when it is.
        if (known := self.live.fresh(question, fresh)) is not None:
            return known
        return await asked.outside_turn(self.live.answer(question, fresh))

    async def prepare_frame(self, asked: PageRequest) -> None:
        """
        Wait for what the frame of each page shows, for an answer to what was *asked*: in its turn, before anything is
        read for it, as `page` does not wait for it in a turn.
        """
        await self.told(asked, "www")
        if not asked.is_of_program:
            await self.told(asked, "package-targets", MOST_FRESH)

    async def page(self, asked: PageRequest, template: str, status: int = 200, **context: Any) -> Reply:
        """
        The page of *template* with *context*, and with what the frame of each page shows.
        """
        if asked.turn is None:
            await self.prepare_frame(asked)
        www = self.live.last("www")
        hidden = asked.holder is None and is_private(www)
        frame = {
            "root": asked.root,
            "path": asked.path,
            "status": status,
            "farm_title": "" if hidden else www.get("title"),
            "now": self.wall(),
            "away_since": self.live.away_since,
            "holder": asked.holder,
            "has_packages": bool(self.live.last("package-targets").get("targets")),
        }
        return Reply(status, self.templates.render(template, {**frame, **context}))
