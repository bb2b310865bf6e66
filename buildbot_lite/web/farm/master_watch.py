"""
The link over the watch FURL: questions to the master, and its news.

::

    watch.furl ──► ControlClient ──► connected: Live.is_here(), `follow farm`
                                         │  {"seq", "streams", "live", "revoked", "generation"}
                                         └──► Live.changed(), and whoever waits for news
                                 ──► lost:      Live.is_away()
"""

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from attrs import frozen
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ...deferreds import Listeners, OneShot, background
from ...errors import (
    BuildbotLiteError,
    LinkLostError,
    MessageError,
    NoAnswerError,
    RevokedError,
    UnknownStringError,
)
from ...model.json_reader import JsonReader
from ...wire.control_client import ControlClient
from .live import Document, Live

LARGEST_NEWS = 1 << 20
PATIENCE = 10.0
"""
Seconds for which the master may take to answer.  A link to a machine that hangs is cut after 25 seconds or more, and
all pages would wait as long.
"""
PATIENCE_FOR_CODES = 30.0
"""
The same when it redeems a one-time code: no page waits for that, and a code is lost whose answer comes later.
"""
_REMEDY = "Its admin makes another: buildbot-lite rotate 'web pages', or elsewhere grant watch --web."


@frozen
class FarmChange:
    """
    One piece of news.  *seq*: of the last committed event.  *streams*: paths of those that grew; None: any may have.
    *revoked*: numbers of grants; None: any may have been.  *live*: another number than before when slaves, queue or
    running builds changed.
    """

    seq: int
    streams: frozenset[str] | None
    revoked: frozenset[int] | None
    generation: str
    live: int = 0

    def differs_from(self, former: "FarmChange | None") -> bool:
        """
        Whether the master may answer questions otherwise than at the *former* news: not if only logs grew.
        """
        return former is None or (self.seq, self.live, self.generation) != (
            former.seq,
            former.live,
            former.generation,
        )


class NewsOfFarm:
    """
    Waits for the next news, for event streams and followed logs.  *latest*: the last news.  *flows*: whether the master
    tells any at present.
    """

    def __init__(self) -> None:
        self.latest: FarmChange | None = None
        self.flows = False
        self._next: OneShot[FarmChange | None] = OneShot()
        self._listeners: Listeners[FarmChange] = Listeners("a listener to the farm's news")

    def next(self) -> Deferred[FarmChange | None]:
        """
        Fires with the next news, or with None when the link to the master was lost.
        """
        return self._next.wait()

    def on_news(self, listener: Callable[[FarmChange], object]) -> Callable[[], None]:
        """
        Call *listener* with all news.  Returns a function that ends this.
        """
        return self._listeners.add(listener)

    def tell(self, change: FarmChange | None) -> None:
        """
        There is news; None: there will be none for a while.
        """
        self.latest = change or self.latest
        self.flows = change is not None
        waiting, self._next = self._next, OneShot()
        waiting.fire(change)
        if change is not None:
            self._listeners.tell(change)


class MasterWatch:
    """
    The connection to the master.  *certificate*: the web process's own (PEM).  *asked_again*: called when the master's
    configuration may be another one.  *refused*: called with the string that the master knows no more.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        certificate: bytes,
        asked_again: Callable[[], object],
        refused: Callable[[str], object] = lambda furl: None,
    ) -> None:
        self._reactor = reactor
        self._certificate = certificate
        self._asked_again = asked_again
        self._on_refused = refused
        self._refusal: BuildbotLiteError | None = None
        self._client: ControlClient | None = None
        self._changing: Deferred[None] = succeed(None)
        self._log = Logger()
        self.live: Live | None = None
        self.news = NewsOfFarm()

    def use(self, furl: str | None) -> None:
        """
        Connect with *furl* from now on; None: there is no string.
        """
        former, self._client, self._refusal = self._client, None, None
        if furl is not None:
            self._client = ControlClient(
                self._reactor,
                furl,
                connected=self._connected,
                lost=self._lost,
                refused=lambda error: self._refused(furl, error),
                certificate=self._certificate,
            )
        background(self._change(self._changing, former, self._client), self._log, "changing the string for pages")

    async def _change(self, before: Deferred[None], former: ControlClient | None, client: ControlClient | None) -> None:
        changed: Deferred[None] = Deferred()
        self._changing = changed
        await before
        try:
            if former is not None:
                await former.stop()
            if client is not None:
                client.start()
        finally:
            changed.callback(None)

    def stop(self) -> Deferred[None]:
        """
        Cut the connection.
        """
        self.use(None)
        return self._changing

    def ask(self, question: Document) -> Deferred[Document]:
        """
        The role `live.AnsweringMaster`: for at most `PATIENCE` seconds, or `PATIENCE_FOR_CODES`.
        """
        if self._client is None:
            return fail(NoAnswerError("The master has not written a string for the pages yet."))

        if self.is_refused:
            return fail(NoAnswerError(f"The master refuses the string of these pages.  {_REMEDY}"))

        def give_up(result: object, timeout: float) -> NoReturn:
            raise NoAnswerError("The master does not answer.  Try again later.")

        patience = PATIENCE_FOR_CODES if question.get("ask") == "redeem" else PATIENCE
        return self._client.ask(question).addTimeout(patience, self._reactor, give_up)

    @property
    def is_refused(self) -> bool:
        """
        Whether the master refuses the string that is in use.
        """
        return self._refusal is not None and self._client is not None and not self._client.is_connected

    def _refused(self, furl: str, error: BuildbotLiteError) -> None:
        self._log.error("the master refuses the string for pages: {why}", why=str(error))
        if isinstance(error, RevokedError | UnknownStringError):
            self._refusal = error
            # Perhaps there is another one already.
            self._on_refused(furl)

    def _connected(self) -> None:
        assert self.live is not None and self._client is not None
        self._refusal = None
        self.live.is_here()
        background(self._follow(self._client), self._log, "following the farm")
        self._asked_again()

    def _lost(self) -> None:
        assert self.live is not None
        self.live.is_away()
        self.news.tell(None)

    async def _follow(self, client: ControlClient) -> None:
        try:
            await client.follow({"follow": "farm"}, self._take)
        except (NoAnswerError, LinkLostError):
            pass  # `_lost` is told
        except BuildbotLiteError as error:
            self._log.warn("the master tells no news: {why}", why=str(error))

    def _take(self, chunk: bytes) -> None:
        assert self.live is not None
        change = change_of(JsonReader.decode(chunk[1:], "the news", LARGEST_NEWS).document)
        former = self.news.latest
        if change.differs_from(former):
            self.live.changed()
        self.news.tell(change)
        if former is not None and former.generation != change.generation:
            self._asked_again()


def change_of(document: Mapping[str, Any]) -> FarmChange:
    """
    The news in *document*; `MessageError` if it is none.
    """
    seq = document.get("seq")
    if not isinstance(seq, int):
        raise MessageError("The master's news has no number.")
    streams, revoked, live = document.get("streams"), document.get("revoked"), document.get("live")
    return FarmChange(
        seq,
        frozenset(streams) if isinstance(streams, list) else None,
        frozenset(revoked) if isinstance(revoked, list) else None,
        str(document.get("generation", "")),
        live if isinstance(live, int) else 0,
    )
