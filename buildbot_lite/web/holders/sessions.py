"""
Who may write, and who may read a private farm: holders of grants.

::

    browser   one-time code ──POST──► the master's `redeem` ──► FURL ─┐
                                                                     ├─► Holder, in memory ──► cookie
    program   Authorization: Bearer FURL ──► asked once in a while ───┤
    apt, dnf  Authorization: Basic *:FURL ──► (for repositories only) ┘

The FURLs are kept in memory only, and each write is asked of the master with the holder's own, so a revoked grant
changes nothing any more.  Only our own master is ever asked: of a bearer's FURL nothing but the secret part is used.
"""

import base64
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress

from attrs import evolve
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ...deferreds import Listeners, background
from ...errors import BuildbotLiteError, FurlError, NoAnswerError, RefusedError
from ...wire.furl import Furl, parse
from ..farm.live import Document
from ..farm.master_watch import FarmChange
from ..page_request import Holder, PageRequest
from .code_exchanges import CodeExchanges
from .session_cookie import SessionCookie
from .string_checks import Ask, StringChecks, digest

FURL = "pb://"
"""With which a string of the farm begins."""
_UNMARKED = SessionCookie()
_SIGN_OUT = {"ask": "sign-out"}
LONGEST = 12 * 3600.0
"""Seconds of a session; the grant of a one-time code expires then, too."""
CHECKED_FOR = 60.0
"""Seconds for which a bearer's FURL is not asked about again."""
MOST = 500
"""Sessions, and as many bearers; of more, those that were used least recently end."""
MOST_OF_ONE = 20
"""Sessions with the same string; of more, the oldest end."""


class Sessions:
    """
    The holders of the moment.  *ask*: see `Ask`.  *own*: the FURL of the pages themselves; None while there is none, or
    the master refuses it.
    *clock*: monotonic seconds.  *wall*: seconds since 1970.  *cookie*: that of browsers.
    """

    _log = Logger()

    def __init__(
        self,
        ask: Ask,
        own: Callable[[], str | None],
        clock: Callable[[], float],
        wall: Callable[[], float],
        reactor: IReactorTime,
        cookie: SessionCookie = _UNMARKED,
    ) -> None:
        self._ask = ask
        self.cookie = cookie
        self._own = own
        self._clock = clock
        self._wall = wall
        # By the digest of the cookie or the FURL, so that neither is found by comparing it byte by byte.
        self._sessions: OrderedDict[bytes, Holder] = OrderedDict()
        self._bearers: OrderedDict[bytes, Holder] = OrderedDict()
        self._checks = StringChecks(ask, clock, reactor)
        self.exchanges = CodeExchanges(self._checks, reactor, self._end_session)
        self._waiting: set[bytes] = set()
        self._ended: Listeners[None] = Listeners("a listener to the end of all sessions")
        self._ends_of_all = 0

    async def open(self, furl: str, address: str) -> tuple[str, Holder]:
        """
        A session of the holder of *furl*, who comes from the IP address *address*, and the value of its cookie.
        `RefusedError` if the master refuses the FURL, `NoAnswerError` if nobody tells when it is revoked.
        """
        ours = self._at_our_master(furl)
        holder = await self._checked(ours, address)
        holder = evolve(holder, until=holder.ends)
        same = [key for key, each in self._sessions.items() if each.furl == ours]
        for key in same[: max(0, len(same) - MOST_OF_ONE + 1)]:
            del self._sessions[key]
        value = secrets.token_urlsafe(32)
        _keep(self._sessions, digest(value), holder)
        return value, holder

    def left(self, holder: Holder) -> float:
        """
        Seconds until the grant of *holder* ends, at most `LONGEST` after it was checked.
        """
        return max(0.0, holder.ends - self._clock())

    def replace(self, asked: PageRequest) -> None:
        """
        `close`, in the background: *asked* has begun another session.
        """
        background(self.close(asked), self._log, "ending the session before a new one")

    async def close(self, asked: PageRequest) -> None:
        """
        End the sessions of the cookies in *asked*, and those of their strings that codes became and no other session
        has.
        """
        ended = [self.forget(value) for value in self.cookie.values(asked)]
        left = {each.furl for each in self._sessions.values()}
        for furl in {each.furl for each in ended if each is not None} - left:
            with suppress(BuildbotLiteError):  # a string that an admin handed out, or a master that is away: it expires
                await self._ask(str(furl), _SIGN_OUT)

    def forget(self, value: str) -> Holder | None:
        """
        End the session whose cookie has this *value*; returns who had it.
        """
        return self._sessions.pop(digest(value), None)

    async def holder(self, asked: PageRequest, *, by_string: bool = True) -> Holder | None:
        """
        The holder that sent *asked*; None: the sender has no grant.  `RefusedError` for a bearer's FURL that is none of
        this farm, or that came over a connection that others can read.  *by_string*: whether bearers' FURLs are looked
        at.  Where *asked* takes passwords, that of HTTP Basic is such a FURL, too.
        """
        scheme, _, credentials = asked.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return await self._bearer(asked, credentials.strip()) if by_string else None
        if asked.takes_password and (password := password_of(asked)) is not None:
            return await self._bearer(asked, password)
        return self.holder_of_session(asked)

    def holder_of_session(self, asked: PageRequest) -> Holder | None:
        """
        The holder of the session whose cookie comes with *asked*.  None if there is none, or if the cookies are of
        several holders: another site of the same domain can add one of its own session, and nobody shall act as
        somebody else unawares.
        """
        found = (self._kept(self._sessions, digest(value)) for value in self.cookie.values(asked))
        holders = {each.furl: each for each in found if each is not None}
        return next(iter(holders.values())) if len(holders) == 1 else None

    def ask(self, holder: Holder, question: Document) -> Awaitable[Document]:
        """
        The master's answer to *holder*.
        """
        return self._ask(str(holder.furl), question)

    def _end_session(self, furl: str) -> None:
        """
        Revoke the string of a session that no browser has got.
        """

        async def sign_out() -> None:
            await self._ask(furl, _SIGN_OUT)

        background(sign_out(), self._log, "ending a session that no browser has got")

    def end_all(self) -> None:
        """
        End all sessions, and forget what is known of bearers: nobody tells any more which strings are revoked.
        """
        self._sessions.clear()
        self._bearers.clear()
        self._ends_of_all += 1
        self._ended.tell(None)

    def on_end_of_all(self, listener: Callable[[None], object]) -> Callable[[], None]:
        """
        Call *listener* whenever all sessions end.  Returns a function that ends this.
        """
        return self._ended.add(listener)

    def changed(self, change: FarmChange) -> None:
        """
        Grants were revoked: their sessions end.  If it is not known which, every session is checked.
        """
        for holders in (self._sessions, self._bearers):
            for key, holder in tuple(holders.items()):
                if change.revoked is None:
                    self._check_again(holders, key)
                elif holder.grant in change.revoked:
                    del holders[key]

    async def _bearer(self, asked: PageRequest, credentials: str) -> Holder:
        if not asked.visitor.secure:
            raise RefusedError(
                "This is not an encrypted connection, and others can read along.  Use the address of the pages with "
                "https:// to send a string."
            )
        furl = self._at_our_master(credentials)
        key = digest(str(furl))
        if (known := self._kept(self._bearers, key)) is not None:
            return known
        holder = await self._checked(furl, asked.visitor.address)
        _keep(self._bearers, key, holder)
        return holder

    def _at_our_master(self, text: str) -> Furl:
        """
        The FURL *text*, at the addresses of our own master: a caller must not choose whom this process connects to.
        """
        own = self._own()
        if own is None:
            raise NoAnswerError(
                "The pages have no string of the master, or it refuses theirs.  Try again when they have one."
            )
        ours = parse(own)
        try:
            furl = parse(text)
        except FurlError as error:
            raise RefusedError(str(error)) from None
        if furl.tub_id != ours.tub_id:
            raise RefusedError("This is a string of another farm.")
        return Furl(ours.tub_id, ours.hints, furl.swissnum)

    async def _checked(self, furl: Furl, address: str) -> Holder:
        """
        The holder of *furl*, whom the master was asked about.  `NoAnswerError` if all sessions ended meanwhile: nobody
        would tell that this string is revoked.
        """
        before = self._ends_of_all
        answer = await self._checks.answer(furl, address)
        if self._ends_of_all != before:
            raise NoAnswerError("All sessions have just ended.  Try again.")
        may, grant, expires = answer.get("may"), answer.get("grant"), answer.get("expires")
        now = self._clock()
        ends = now + (min(LONGEST, expires - self._wall()) if isinstance(expires, int | float) else LONGEST)
        return Holder(
            furl,
            grant if isinstance(grant, int) else None,
            str(answer.get("label") or "")[:200],
            None if may is None else frozenset(map(str, may)),
            min(now + CHECKED_FOR, ends),
            ends,
        )

    def _check_again(self, holders: OrderedDict[bytes, Holder], key: bytes) -> None:
        """
        Ask about the holder of *key* when it is its turn: each check is a connection to a master that may just have
        started.
        """

        def is_wanted() -> bool:
            self._waiting.discard(key)
            return key in holders

        async def check(holder: Holder) -> None:
            try:
                await self._checks.again(holder.furl, is_wanted)
            except NoAnswerError:
                pass  # the master is away: it is asked when it is back
            except BuildbotLiteError:
                holders.pop(key, None)

        if key not in self._waiting:
            self._waiting.add(key)
            background(check(holders[key]), self._log, "checking a session")

    def _kept(self, holders: OrderedDict[bytes, Holder], key: bytes) -> Holder | None:
        holder = holders.get(key)
        if holder is None:
            return None
        if self._clock() >= holder.until:
            del holders[key]
            return None
        holders.move_to_end(key)
        return holder


def _keep(holders: OrderedDict[bytes, Holder], key: bytes, holder: Holder) -> None:
    holders[key] = holder
    if len(holders) > MOST:
        holders.popitem(last=False)


def is_foreign(asked: PageRequest) -> bool:
    """
    Whether a page of another site made the browser send this: it would carry the cookie of the session otherwise.
    SameSite=Strict keeps it back already, in all browsers that know of it.
    """
    site = asked.headers.get("sec-fetch-site")
    if site is not None:
        return site not in {"same-origin", "none"}
    origin = asked.headers.get("origin")
    return origin is not None and not asked.visitor.is_at(origin)


def password_of(asked: PageRequest) -> str | None:
    """
    The password with which *asked* comes in HTTP Basic (RFC 7617), "" when it cannot be read; None without HTTP Basic.
    """
    scheme, _, credentials = asked.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(credentials.strip(), validate=True).decode("utf-8").partition(":")[2]
    except ValueError:
        return ""
