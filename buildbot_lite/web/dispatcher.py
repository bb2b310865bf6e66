"""
The pages: which address shows what, and how an answer is sent.

::

    RequestsInTurn ──► klein ──► Route.render(view, asked, names) ──► Reply ──► kept ──► gzip, ETag ──► the browser
                                                                  └─► Streamed ────────────────────────►

Of what takes long to send, the rest is an `AnswerRest`.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from attrs import evolve
from klein import Klein
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import IResource
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.routing import IntegerConverter, RequestRedirect

from ..errors import BuildbotLiteError, NeedsHolderError, NoAnswerError, NotFoundError, RefusedError, WrongValuesError
from ..wire.limits.limited_log import LimitedLog
from .api.definitions import BASE
from .api.problems import problem
from .farm.live import is_private
from .holders.sessions import FURL, is_foreign, password_of
from .html.rendering import from_segment, static_file
from .page_request import LONGEST_ADDRESS, MOST_FIELDS, PageRequest, takes_gzip
from .pages.force import FORCE
from .refusals import seconds_until_asked_again, status_of
from .replies.answer_rest import AnswerRest
from .replies.kept_replies import KeptReplies, PreparedReply
from .replies.large_replies import LARGEST_WHOLE, LargeReplies
from .replies.redirection import without_slashes
from .serving.fair_turns import FairTurns
from .serving.held_turn import HeldTurn
from .serving.policy import PAGE_HEADERS, host_name, split_url
from .serving.requests_in_turn import RequestsInTurn
from .serving.site import MOST_CONNECTIONS
from .view import FarmView, Reply, Route, Streamed

_KINDS = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}

# Some clients send a password only when they are asked for it (RFC 7617).
_CHALLENGE = 'Basic realm="the string as the password", charset="UTF-8"'
_TITLES = {401: "Sign in first", 403: "Not permitted", 404: "Not found", 503: "Not at this moment"}
"""The titles of pages with an error, where people need not know the words of HTTP."""
_LATER = "5"
"""Seconds after which a page that cannot be shown now is asked for again, by the browser itself."""
_NOTHING = "There is nothing at this address."
_NOT_TOLD = (
    "The master answers, but does not tell who may read these pages.  It is of an older version than the web process, "
    "or its string for the pages was revoked."
)

_LARGE_FORMS = re.compile(rb"/builders/[^/?]+/force(\?.*)?")

MOST_AT_ONCE = 16
"""Pages that are made at a time, each of which holds what it has read so far; others wait for their turn."""
MOST_ADMITTED = 64
"""Requests that klein knows, and that wait for such a turn or have it; not those that wait for something else."""
# As many a second as there is time for.
_NO_RATE = 1_000_000
_TOO_MANY = "Too many pages are asked for at this moment.  Try again in a second."


class _NumberInAddress(IntegerConverter):
    """
    A number in an address: SQLite has none beyond 64 bits.
    """

    regex = "[0-9]{1,15}"


class Pages:
    """
    The application of *view*'s pages, which are at *routes*.
    """

    def __init__(self, view: FarmView, routes: Sequence[Route]) -> None:
        # A stranger who has found a defect must not fill the disk with tracebacks.
        self._log = LimitedLog(__name__)
        self._view = view
        self._large = LargeReplies(view.logs.clock, view.rooms.answers)
        clock = view.logs.clock
        self._clock = clock
        self._kept = KeptReplies(view.live.clock, _turns(clock, MOST_AT_ONCE))
        self._app = Klein()
        self._app.url_map.converters["int"] = _NumberInAddress
        self._routes = (*routes, Route("/static/<name>", _static, kept=0, is_open=True, in_turn=False))
        for route in self._routes:
            self._add(route)
        self._app.handle_errors(HTTPException)(
            lambda request, failure: Deferred.fromCoroutine(self._refuse(request, failure.value))
        )

    def resource(self) -> IResource:
        """
        The resource at the root of a site.
        """
        at_once = tuple(each.rule.partition("<")[0].encode() for each in self._routes if not each.in_turn)
        return RequestsInTurn(self._app.resource(), _turns(self._clock, MOST_ADMITTED), self._clock, at_once)

    def takes_large_form(self, request: Any, path: bytes) -> bool:
        """
        Whether *request*, whose body has not come yet, is a form at *path* that forces a build, from the session of
        somebody who may do that.
        """
        if _LARGE_FORMS.fullmatch(path) is None:
            return False
        asked = PageRequest("POST", path.decode("latin-1"), path.decode("latin-1"), {}, _headers(request), request)
        holder = self._view.sessions.holder_of_session(asked)
        return holder is not None and holder.permits(FORCE) and asked.visitor.secure

    def _add(self, route: Route) -> None:
        def serve(request: Any, **names: str) -> Deferred[AnswerRest | None]:
            # klein cancels it when the client hangs up.
            return Deferred.fromCoroutine(self._answer(route, _asked(request), names, request))

        self._app.route(route.rule, methods=list(route.methods), endpoint=route.rule, strict_slashes=False)(serve)

    async def _answer(
        self, route: Route, asked: PageRequest, names: Mapping[str, Any], request: Any
    ) -> AnswerRest | None:
        """
        The rest of the answer to *request*; None if it has been given, or the client has gone.
        """
        plain = {name: from_segment(each) if isinstance(each, str) else each for name, each in names.items()}
        try:
            reply = await self._reply(route, asked, plain)
        except CancelledError:
            return None
        if isinstance(reply, Streamed):
            try:
                _head(request, reply.status, {**PAGE_HEADERS, "content-type": reply.kind, **reply.headers})
            except BaseException:
                reply.close()
                raise
            return AnswerRest(reply.write, reply.close)
        return self._sent(request, reply)

    def _sent(self, request: Any, prepared: PreparedReply) -> AnswerRest | None:
        """
        Send an answer: compressed if the client takes that, and without its body if the client has it.  Of a large one,
        it is what remains to be done.
        """
        body = _headed(request, prepared)
        if len(body) > LARGEST_WHOLE:
            return AnswerRest(lambda request: self._large.send(request, body))
        request.write(body)
        request.finish()
        return None

    async def _reply(self, route: Route, asked: PageRequest, names: Mapping[str, Any]) -> PreparedReply | Streamed:
        try:
            asked = await self._admitted(route, asked)
            return await self._kept_or_new(route, asked, names)
        except CancelledError:
            raise
        except BuildbotLiteError as error:
            values = error.problems if isinstance(error, WrongValuesError) else ()
            reply = await self._sentence(asked, status_of(error), str(error), values)
            if (again := seconds_until_asked_again(error)) is not None:
                by_browser = asked.method == "GET" and not asked.is_of_program
                refresh = {"refresh": str(again)} if by_browser else {}
                reply = evolve(reply, headers={**reply.headers, "retry-after": str(again), **refresh})
            if route.takes_password and reply.status == 401:
                reply = evolve(reply, headers={**reply.headers, "www-authenticate": _CHALLENGE})
            return PreparedReply(reply)
        except Exception:  # noqa: BLE001 - a defect in a page is that page's alone
            self._log.failure("the answer to {address} failed", address=asked.address[:200])
            sentence = "This cannot be answered.  The log of the web process says why."
            return PreparedReply(await self._sentence(asked, 500, sentence))

    async def _admitted(self, route: Route, asked: PageRequest) -> PageRequest:
        """
        *asked*, with the holder who asks; a `RefusedError` if this page is not for them.
        """
        if asked.names_holder:
            # What everybody may see costs no question about a string.
            asked = evolve(asked, takes_password=route.takes_password and await self._is_for_us(asked))
            holder = await asked.waiting(self._view.sessions.holder(asked, by_string=not route.is_open))
            asked = evolve(asked, holder=holder)
            asked.http.belongs_to(asked.occupant)
        if asked.method not in {"GET", "HEAD"} and is_foreign(asked):
            raise RefusedError("A page of another site sent this.  Nothing was done.")
        # While nobody knows whether the farm is private, it is.
        if asked.holder is None and not route.is_open:
            www = await self._view.told(asked, "www")
            if not www and self._view.live.away_since is None:
                raise NoAnswerError(_NOT_TOLD)
            if is_private(www):
                raise NeedsHolderError
        return asked

    async def _is_for_us(self, asked: PageRequest) -> bool:
        """
        Whether the password of HTTP Basic in *asked* is to be a string.  Of a farm for everybody it may be that of a
        proxy before the pages, which hands on what it was sent.
        """
        password = password_of(asked)
        if password is None or password.startswith(FURL):
            return password is not None
        www = await self._view.told(asked, "www")
        return bool(www) and is_private(www)

    async def _kept_or_new(
        self, route: Route, asked: PageRequest, names: Mapping[str, Any]
    ) -> PreparedReply | Streamed:
        live = self._view.live

        async def make(turn: HeldTurn | None) -> Reply | Streamed:
            if _is_of_directory(route, asked):
                return _to_page(asked)
            in_turn = evolve(asked, turn=turn)
            if turn is not None and (asked.method in {"GET", "HEAD"} or not asked.is_of_program):
                # Now, when it has read nothing yet.
                await self._view.prepare_frame(in_turn)
            return await route.render(self._view, in_turn, **names)

        if not route.in_turn:
            return await self._kept.make_at_once(make(None))
        # Any cookie of another site's, or of nobody's, must not make a page anew.
        if route.kept and asked.method in {"GET", "HEAD"}:
            version = (live.version, live.away_since)
            return await self._kept.get_or_make(_kept_as(asked), version, route.kept, asked.occupant, make)
        return await self._kept.make_anew(asked.occupant, make)

    async def _sentence(
        self, asked: PageRequest, status: int, sentence: str, values: Sequence[tuple[str, str]] = ()
    ) -> Reply:
        if asked.is_of_program:
            return problem(status, sentence, values=values)
        title = _TITLES.get(status, _phrase(status))
        page = await self._view.page(asked, "sentence.html", status, title=title, sentence=sentence, back=_back(asked))
        return page if status != 503 else evolve(page, headers={**page.headers, "retry-after": _LATER})

    async def _refuse(self, request: Any, error: HTTPException) -> bytes:
        """
        The body for a request that matches no route; klein finishes it.
        """
        asked = _asked(request)
        if isinstance(error, RequestRedirect):
            # werkzeug's own address would begin with a slash, and leave the path of a proxy.
            with suppress(NotFoundError):
                return _headed(request, PreparedReply(_to_page(asked)))
            error = NotFound()
        status = error.code or 404
        sentence = "This address takes no such request." if status == 405 else _NOTHING
        if status == 404 and asked.is_of_program:
            sentence = f"{_NOTHING}  {BASE}/ lists what there is."
        reply = await self._sentence(asked, status, sentence)
        if isinstance(error, MethodNotAllowed) and error.valid_methods:
            reply = evolve(reply, headers={"allow": ", ".join(sorted(error.valid_methods))})
        return _headed(request, PreparedReply(reply))


def _turns(clock: IReactorTime, at_once: int) -> FairTurns:
    return FairTurns(clock.seconds, clock, at_once, _NO_RATE, _NO_RATE, MOST_CONNECTIONS, _TOO_MANY)


def _is_of_directory(route: Route, asked: PageRequest) -> bool:
    """
    Whether *asked* ends in a slash that the addresses of *route* do not have: links of its page are relative to one
    without, and forms have sent nothing to it.
    """
    is_shown = asked.method in {"GET", "HEAD"} and not route.ends_in_slash and not route.rule.endswith("/")
    return is_shown and asked.path.endswith("/")


def _to_page(asked: PageRequest) -> Reply:
    """
    The answer that leads to the address without the slashes that are too many.  `NotFoundError` if it has none: one
    that is written ``%2F`` is part of a name.
    """
    reply = without_slashes(asked)
    if reply.headers["location"] == f"{asked.root}{asked.address.removeprefix('/')}":
        raise NotFoundError(_NOTHING)
    return reply


def _kept_as(asked: PageRequest) -> str:
    """
    Under what the answer to *asked* is kept: with its address, all of the holder that a page shows.  (Answers that the
    master gives to a holder are of routes that keep nothing.)
    """
    holder = asked.holder
    if holder is None:
        return asked.address
    may = None if holder.may is None else sorted(holder.may)
    return f"{asked.address}\n{holder.label!r} {may!r}"


def _back(asked: PageRequest) -> str:
    """
    The page of ours from which somebody came; "" if it is none of ours.
    """
    came_from = split_url(asked.headers.get("referer", ""))
    ours = came_from.scheme in {"http", "https"} and host_name(came_from.netloc) == asked.visitor.host
    # Two slashes at the beginning would name a host.
    return f"/{came_from.path.lstrip('/')}" if ours and came_from.path != asked.path else ""


def _headed(request: Any, prepared: PreparedReply) -> bytes:
    """
    Set the head of the answer; return its body.
    """
    reply = prepared.reply
    headers = {**PAGE_HEADERS, "content-type": reply.kind, "cache-control": "no-cache", **reply.headers}
    if reply.status == 200:
        headers["etag"] = prepared.tag
        headers["vary"] = "accept-encoding, cookie"
        if prepared.tag in (request.getHeader(b"if-none-match") or b"").decode("latin-1"):
            _head(request, 304, headers)
            return b""
    body = reply.body
    if _takes_gzip(request) and prepared.compressed is not None:
        body = prepared.compressed
        headers["content-encoding"] = "gzip"
    headers["content-length"] = str(len(body))
    _head(request, reply.status, headers)
    return b"" if request.method == b"HEAD" else body


def _head(request: Any, status: int, headers: Mapping[str, str]) -> None:
    request.setResponseCode(status, _phrase(status).encode())
    for name, value in headers.items():
        request.setHeader(name.encode(), value.encode("utf-8"))


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase


def _takes_gzip(request: Any) -> bool:
    return takes_gzip((request.getHeader(b"accept-encoding") or b"").decode("latin-1"))


def _asked(request: Any) -> PageRequest:
    address = request.uri[:LONGEST_ADDRESS].decode("latin-1")
    fields = address.partition("?")[2].split("&", MOST_FIELDS)[:MOST_FIELDS]
    query: dict[str, str] = {}
    for name, value in parse_qsl("&".join(fields), keep_blank_values=True, errors="replace"):
        query.setdefault(name, value)
    return PageRequest(
        method=request.method.decode("latin-1"),
        path=request.path.decode("utf-8", "replace"),
        address=address,
        query=query,
        headers=_headers(request),
        http=request,
    )


def _headers(request: Any) -> dict[str, str]:
    return {
        name.decode("latin-1").lower(): values[-1].decode("latin-1")
        for name, values in request.requestHeaders.getAllRawHeaders()
    }


async def _static(view: FarmView, asked: PageRequest, name: str) -> Reply:
    if not name.replace("-", "").replace(".", "").isalnum() or name.startswith("."):
        raise NotFoundError(_NOTHING)
    try:
        content, _ = static_file(name)
    except OSError:  # also a name that is too long for one
        raise NotFoundError(_NOTHING) from None
    kind = _KINDS.get(name.rpartition(".")[2], "application/octet-stream")
    # Its address has a digest of the content.
    return Reply(200, content, kind, {"cache-control": "public, max-age=31536000, immutable"})
