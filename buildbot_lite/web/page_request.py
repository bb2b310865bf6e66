"""
A request as the pages see it: what is asked for, and who asks.
"""

import re
from collections.abc import Awaitable, Mapping
from typing import Any, TypeVar

from attrs import frozen
from twisted.internet.defer import Deferred

from ..errors import NeedsHolderError, RefusedError
from ..model.whole_numbers import whole_number
from ..wire.furl import Furl
from .html.rendering import root_of
from .serving.fair_places import Occupant
from .serving.held_turn import HeldTurn
from .serving.policy import WebVisitor
from .serving.refusal_body import is_of_api

T = TypeVar("T")

MOST_FIELDS = 50
LONGEST_ADDRESS = 8192
MOST_ENCODINGS = 20
"""Of those that a client takes; it is not asked about more."""
OF_ADMINS = frozenset({"grants"})
"""Questions that no code permits, because it becomes a string to control the farm."""
_OF_ADMIN = "This needs the string of an admin: sign in with it in place of a code."
_OF_BROWSER = (
    "This needs a string to control the farm.  Get a code for this browser with: buildbot-lite grant control --web DIR"
)
_OF_PROGRAM = "This needs a string to control the farm, as Authorization: Bearer pb://…"
_NO_WEIGHT = re.compile(r"q=0(\.0*)?")
LONGEST_FIELD = 200
"""Characters of a name in an address; of longer ones, the rest is cut off."""


@frozen
class Holder:
    """
    The holder of a grant.  *grant*: its number.  *may*: the questions that it permits; None: all.  *until*: when it is
    forgotten or checked again; *ends*: when the grant expires, or at the latest `sessions.LONGEST` after it was
    checked: both in monotonic seconds.
    """

    furl: Furl
    grant: int | None
    label: str
    may: frozenset[str] | None
    until: float
    ends: float

    def permits(self, question: str) -> bool:
        """
        Whether the master would answer *question*.
        """
        return self.may is None or question in self.may


@frozen
class PageRequest:
    """
    A request.  *path*: decoded, as it began with a slash.  *query*: the first value of each field of its query, at most
    `MOST_FIELDS`.  *headers*: by name in lower case.  *http*: Twisted's own request, for answers that are streamed.
    *holder*: of the grant with which it comes; None: of none.  *takes_password*: whether a string may come as the
    password of HTTP Basic.  *turn*: in which the answer is made; None: in none.
    """

    method: str
    path: str
    address: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    http: Any
    holder: Holder | None = None
    takes_password: bool = False
    turn: HeldTurn | None = None

    @property
    def names_holder(self) -> bool:
        """
        Whether it comes with a cookie or a string.
        """
        return "cookie" in self.headers or "authorization" in self.headers

    def field(self, name: str) -> str:
        """
        The field *name* of the query, at most `LONGEST_FIELD` characters of it; "" if it is not there.
        """
        return self.query.get(name, "")[:LONGEST_FIELD]

    @property
    def before(self) -> int | None:
        """
        The place in a long list after which the page begins, in the field ``before``; None: at its beginning.
        """
        return whole_number(self.query.get("before", ""))

    @property
    def is_of_program(self) -> bool:
        """
        Whether a program asks, and not a browser.
        """
        return is_of_api(self.path.encode("utf-8", "replace"))

    async def outside_turn(self, awaited: Awaitable[T]) -> T:
        """
        What *awaited* becomes, which may take long: others have their turns meanwhile.  So it needs a bound of its own
        on how much of it there is at a time.
        """
        waiting = self.waiting(awaited)
        return await (waiting if self.turn is None else self.turn.outside(waiting))

    async def waiting(self, awaited: Awaitable[T]) -> T:
        """
        What *awaited* becomes; if it is not there at once, others are admitted in place of this request.
        """

        async def of() -> T:
            return await awaited

        work = Deferred.fromCoroutine(of())
        if not work.called or work.paused:
            self.http.leave()
        return await work

    def permitted(self, question: str) -> Holder:
        """
        The holder who asks; `NeedsHolderError` if there is none, `RefusedError` if others could read the string on its
        way, or if the grant does not permit *question*.
        """
        of_admin = question in OF_ADMINS
        if self.holder is None:
            raise NeedsHolderError(_OF_PROGRAM if self.is_of_program else _OF_ADMIN if of_admin else _OF_BROWSER)
        if not self.visitor.secure:
            raise RefusedError("Over plain HTTP anybody between could read your string.  Use https://.")
        if not self.holder.permits(question):
            needed = _OF_ADMIN if of_admin else "It needs a string to control the farm."
            raise RefusedError(f"Your string does not permit this.  {needed}")
        return self.holder

    @property
    def visitor(self) -> WebVisitor:
        """
        The visitor that sent it, and from where.
        """
        visitor = getattr(self.http, "visitor", None)
        return visitor if isinstance(visitor, WebVisitor) else WebVisitor("", "", secure=False)

    @property
    def occupant(self) -> Occupant:
        """
        The occupant for whom the connection of this request counts.
        """
        if self.holder is not None and self.holder.grant is not None:
            return Occupant.holding(self.holder.grant)
        return self.visitor.occupant

    @property
    def root(self) -> str:
        """
        The relative address of the first page.
        """
        return root_of(self.address.partition("?")[0])


def takes_gzip(header: str) -> bool:
    """
    Whether the client that sends *header* as ``Accept-Encoding`` takes gzip (RFC 9110, 12.5.3).
    """
    weights: dict[str, str] = {}
    for each in header.lower().split(",", MOST_ENCODINGS)[:MOST_ENCODINGS]:
        name, _, weight = each.partition(";")
        weights.setdefault(name.strip(), weight.replace(" ", ""))
    return _NO_WEIGHT.fullmatch(weights.get("gzip", weights.get("*", "q=0"))) is None
