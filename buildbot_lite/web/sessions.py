"""
Who may write, and who may read a private farm: holders of grants.

::

    browser   one-time code ──POST──► the master's `redeem` ──► FURL ─┐
                                                                     ├─► Holder, in memory ──► cookie
    program   Authorization: Bearer FURL ──► asked once in a while ───┘

The FURLs are kept in memory only, and each write is asked of the master with the holder's own, so a revoked grant
changes nothing any more.  Only our own master is ever asked: of a bearer's FURL nothing but the secret part is used.
"""

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from http.cookies import CookieError, SimpleCookie

from attrs import frozen
from twisted.logger import Logger

from ..deferreds import background
from ..errors import BuildbotLiteError, FurlError, NoAnswerError, RefusedError
from ..wire.furl import Furl, parse
from .live import Document
from .master_watch import FarmChange
from .policy import host_name
from .view import PageRequest

COOKIE = "farm-session"
LONGEST = 12 * 3600.0
"""Seconds of a session; the grant of a one-time code expires then, too."""
CHECKED_FOR = 60.0
"""Seconds for which a bearer's FURL is not asked about again."""
MOST = 500
"""Sessions and bearers; of more, those that were used least recently end."""
MOST_CHECKS = 8
"""Bearers that are asked about at a time."""
_CODE_LENGTHS = range(8, 200)

Ask = Callable[[str, Document], Awaitable[Document]]
"""Asks the master a question over a FURL: `wire.client.ask`."""


@frozen
class Holder:
    """
    The holder of a grant.  *grant*: its number.  *may*: the questions that it permits; None: all.  *until*: when it is
    forgotten or checked again, monotonic seconds.
    """

    furl: Furl
    grant: int | None
    label: str
    may: frozenset[str] | None
    until: float

    def permits(self, question: str) -> bool:
        """
        Whether the master would answer *question*.
        """
        return self.may is None or question in self.may


class Sessions:
    """
    The holders of the moment.  *ask*: see `Ask`.  *own*: the FURL of the pages themselves, or None while there is none.
    *clock*: monotonic seconds.
    """

    _log = Logger()

    def __init__(self, ask: Ask, own: Callable[[], str | None], clock: Callable[[], float]) -> None:
        self._ask = ask
        self._own = own
        self._clock = clock
        # By the digest of the cookie or the FURL, so that neither is found by comparing it byte by byte.
        self._holders: OrderedDict[bytes, Holder] = OrderedDict()
        self._checks = 0

    async def open(self, furl: str) -> tuple[str, Holder]:
        """
        A session of the holder of *furl*, and the value of its cookie.  `RefusedError` if the master refuses the FURL.
        """
        holder = await self._checked(self._at_our_master(furl), LONGEST)
        value = secrets.token_urlsafe(32)
        self._keep(_digest(value), holder)
        return value, holder

    def close(self, asked: PageRequest) -> None:
        """
        End the session of the cookie in *asked*.
        """
        if (value := _cookie(asked)) is not None:
            self._holders.pop(_digest(value), None)

    async def holder(self, asked: PageRequest) -> Holder | None:
        """
        Who asks; None: somebody without a grant.  `RefusedError` for a bearer's FURL that is no FURL of this farm.
        """
        scheme, _, credentials = asked.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return await self._bearer(credentials.strip())
        value = _cookie(asked)
        return None if value is None else self._kept(_digest(value))

    def ask(self, holder: Holder, question: Document) -> Awaitable[Document]:
        """
        The master's answer to *holder*.
        """
        return self._ask(str(holder.furl), question)

    def changed(self, change: FarmChange) -> None:
        """
        Grants were revoked: their sessions end.  If it is not known which, every session is checked.
        """
        for key, holder in tuple(self._holders.items()):
            if change.revoked is None:
                background(self._check_again(key, holder), self._log, "checking a session")
            elif holder.grant in change.revoked:
                self._holders.pop(key, None)

    async def _bearer(self, credentials: str) -> Holder:
        key = _digest(credentials)
        if (known := self._kept(key)) is not None:
            return known
        furl = self._at_our_master(credentials)
        holder = await self._checked(furl, CHECKED_FOR)
        self._keep(key, holder)
        return holder

    def _at_our_master(self, text: str) -> Furl:
        """
        The FURL *text*, at the addresses of our own master: a caller must not choose whom this process connects to.
        """
        own = self._own()
        if own is None:
            raise NoAnswerError("The pages have no string of the master yet.  Try again when it has started.")
        ours = parse(own)
        try:
            furl = parse(text)
        except FurlError as error:
            raise RefusedError(str(error)) from None
        if furl.tub_id != ours.tub_id:
            raise RefusedError("This is a string of another farm.")
        return Furl(ours.tub_id, ours.hints, furl.swissnum)

    async def _checked(self, furl: Furl, seconds: float) -> Holder:
        if self._checks >= MOST_CHECKS:
            raise NoAnswerError("Too many strings are checked at this moment.  Try again in a second.")
        self._checks += 1
        try:
            answer = await self._ask(str(furl), {"ask": "me"})
        finally:
            self._checks -= 1
        may, grant = answer.get("may"), answer.get("grant")
        return Holder(
            furl,
            grant if isinstance(grant, int) else None,
            str(answer.get("label") or "")[:200],
            None if may is None else frozenset(map(str, may)),
            self._clock() + seconds,
        )

    async def _check_again(self, key: bytes, holder: Holder) -> None:
        try:
            await self._ask(str(holder.furl), {"ask": "me"})
        except NoAnswerError:
            pass  # the master is away: it is asked when it is back
        except BuildbotLiteError:
            self._holders.pop(key, None)

    def _kept(self, key: bytes) -> Holder | None:
        holder = self._holders.get(key)
        if holder is None:
            return None
        if self._clock() >= holder.until:
            del self._holders[key]
            return None
        self._holders.move_to_end(key)
        return holder

    def _keep(self, key: bytes, holder: Holder) -> None:
        self._holders[key] = holder
        if len(self._holders) > MOST:
            self._holders.popitem(last=False)


def cookie_header(value: str, *, secure: bool, seconds: float = LONGEST) -> str:
    """
    The ``Set-Cookie`` header of a session.  Without a path it is for the directory of the address that sets it: the
    farm's root, below whatever path a proxy has it (RFC 6265, section 5.1.4).
    """
    return f"{COOKIE}={value}; Max-Age={seconds:.0f}; HttpOnly; SameSite=Strict{'; Secure' if secure else ''}"


def is_foreign(asked: PageRequest) -> bool:
    """
    Whether a page of another site made the browser send this: it would carry the cookie of the session otherwise.
    SameSite=Strict keeps it back already, in all browsers that know of it.
    """
    site = asked.headers.get("sec-fetch-site")
    if site is not None:
        return site not in {"same-origin", "none"}
    origin = asked.headers.get("origin")
    return origin is not None and host_name(origin.partition("://")[2]) != asked.visitor.host


def _cookie(asked: PageRequest) -> str | None:
    try:
        found = SimpleCookie(asked.headers.get("cookie", "")[:4096]).get(COOKIE)
    except CookieError:
        return None
    return found.value if found is not None and len(found.value) in _CODE_LENGTHS else None


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()
