"""
The pages: which address shows what, and how an answer is sent.

::

    Site ──► klein ──► Route.render(view, asked, names) ──► Reply ──► kept ──► gzip, ETag ──► the browser
                                                        └─► Streamed ────────────────────────►
"""

import gzip
import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from attrs import evolve, frozen
from klein import Klein
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.web.resource import IResource
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from ..errors import (
    BuildbotLiteError,
    LinkLostError,
    NeedsHolderError,
    NoAnswerError,
    NotFoundError,
    RefusedError,
    StorageError,
)
from .api.problems import problem
from .policy import PAGE_HEADERS
from .rendering import from_segment, static_file
from .sessions import is_foreign
from .view import FarmView, PageRequest, Reply, Route, Streamed

MOST_FIELDS = 50
LONGEST_ADDRESS = 8192
LARGEST_KEPT = 8 << 20
"""Bytes of answers that are kept, to be given again."""
_SMALLEST_COMPRESSED = 1000
_COMPRESSIBLE = ("text/", "application/json", "image/svg", "application/atom")
_KINDS = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}

_STATUSES: Mapping[type[BuildbotLiteError], int] = {
    NeedsHolderError: 401,
    NotFoundError: 404,
    RefusedError: 403,
    StorageError: 503,
    NoAnswerError: 503,
    LinkLostError: 503,
}


@frozen
class _KeptReply:
    version: object
    until: float
    reply: Reply


class KeptReplies:
    """
    The answers of the last seconds, so that many who look at the same page cost as much as one; at most `LARGEST_KEPT`
    bytes.
    """

    def __init__(self) -> None:
        self._replies: OrderedDict[str, _KeptReply] = OrderedDict()
        self._size = 0

    def get(self, address: str, version: object, now: float) -> Reply | None:
        """
        The answer that was kept for *address*, if it is of this *version* of the farm.
        """
        kept = self._replies.get(address)
        return kept.reply if kept is not None and kept.version == version and now < kept.until else None

    def keep(self, address: str, version: object, until: float, reply: Reply) -> None:
        """
        Keep *reply* until *until*, monotonic seconds.
        """
        if (old := self._replies.pop(address, None)) is not None:
            self._size -= len(old.reply.body)
        self._replies[address] = _KeptReply(version, until, reply)
        self._size += len(reply.body)
        while self._size > LARGEST_KEPT:
            self._size -= len(self._replies.popitem(last=False)[1].reply.body)


class Pages:
    """
    The application of *view*'s pages, which are at *routes*.
    """

    _log = Logger()

    def __init__(self, view: FarmView, routes: Sequence[Route]) -> None:
        self._view = view
        self._kept = KeptReplies()
        self._app = Klein()
        for route in (*routes, Route("/static/<name>", _static, kept=0, is_open=True)):
            self._add(route)
        self._app.handle_errors(HTTPException)(
            lambda request, failure: Deferred.fromCoroutine(self._refuse(request, failure.value))
        )

    def resource(self) -> IResource:
        """
        The resource at the root of a site.
        """
        resource: IResource = self._app.resource()
        return resource

    def _add(self, route: Route) -> None:
        def serve(request: Any, **names: str) -> Deferred[None]:
            # klein cancels it when the client hangs up.
            return Deferred.fromCoroutine(self._answer(route, _asked(request), names, request))

        self._app.route(route.rule, methods=list(route.methods), endpoint=route.rule, strict_slashes=False)(serve)

    async def _answer(self, route: Route, asked: PageRequest, names: Mapping[str, Any], request: Any) -> None:
        plain = {name: from_segment(each) if isinstance(each, str) else each for name, each in names.items()}
        with suppress(CancelledError):
            reply = await self._reply(route, asked, plain)
            if isinstance(reply, Streamed):
                _head(request, reply.status, {**PAGE_HEADERS, "content-type": reply.kind, **reply.headers})
                await reply.write(request)
            else:
                send(request, reply)

    async def _reply(self, route: Route, asked: PageRequest, names: Mapping[str, Any]) -> Reply | Streamed:
        try:
            asked = await self._admitted(route, asked)
            return await self._kept_or_new(route, asked, names)
        except CancelledError:
            raise
        except BuildbotLiteError as error:
            return await self._sentence(asked, _status_of(error), str(error))
        except Exception:  # noqa: BLE001 - a defect in a page is that page's alone
            self._log.failure("the page {address} failed", address=asked.address[:200])
            return await self._sentence(asked, 500, "This page cannot be made.  The log of the web process says why.")

    async def _admitted(self, route: Route, asked: PageRequest) -> PageRequest:
        """
        *asked*, with the holder who asks; a `RefusedError` if this page is not for them.
        """
        if asked.names_holder:
            asked = evolve(asked, holder=await self._view.sessions.holder(asked))
        if asked.method == "POST" and is_foreign(asked):
            raise RefusedError("A page of another site sent this.  Nothing was done.")
        # While nobody knows whether the farm is private, it is.
        if asked.holder is None and not route.is_open and (await self._view.live.answer("www")).get("private", True):
            raise NeedsHolderError
        return asked

    async def _kept_or_new(self, route: Route, asked: PageRequest, names: Mapping[str, Any]) -> Reply | Streamed:
        live, now = self._view.live, self._view.live.clock()
        version = (live.version, live.away_since)
        keeps = route.kept and asked.method != "POST" and not asked.names_holder
        if keeps and (kept := self._kept.get(asked.address, version, now)) is not None:
            return kept
        reply = await route.render(self._view, asked, **names)
        if keeps and isinstance(reply, Reply) and reply.status == 200:
            self._kept.keep(asked.address, version, now + route.kept, reply)
        return reply

    async def _sentence(self, asked: PageRequest, status: int, sentence: str) -> Reply:
        if asked.path.startswith("/api/"):
            return problem(status, sentence)
        return await self._view.page(asked, "sentence.html", status, title=_phrase(status), sentence=sentence)

    async def _refuse(self, request: Any, error: HTTPException) -> bytes:
        """
        The body for a request that matches no route; klein finishes it.
        """
        status = error.code or 404
        sentence = "This address takes no such request." if status == 405 else "There is nothing at this address."
        reply = await self._sentence(_asked(request), status, sentence)
        if isinstance(error, MethodNotAllowed) and error.valid_methods:
            reply = evolve(reply, headers={"allow": ", ".join(sorted(error.valid_methods))})
        return _headed(request, reply)


def _status_of(error: BuildbotLiteError) -> int:
    return next((status for kind, status in _STATUSES.items() if isinstance(error, kind)), 400)


def send(request: Any, reply: Reply) -> None:
    """
    Send *reply*: compressed if the client takes that, and without its body if the client has it.
    """
    request.write(_headed(request, reply))
    request.finish()


def _headed(request: Any, reply: Reply) -> bytes:
    """
    Set the head of the answer; return its body.
    """
    body, headers = (
        reply.body,
        {**PAGE_HEADERS, "content-type": reply.kind, "cache-control": "no-cache", **reply.headers},
    )
    if reply.status == 200:
        tag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
        headers["etag"] = tag
        headers["vary"] = "accept-encoding, cookie"
        if tag in (request.getHeader(b"if-none-match") or b"").decode("latin-1"):
            _head(request, 304, headers)
            return b""
    if len(body) > _SMALLEST_COMPRESSED and _takes_gzip(request) and reply.kind.startswith(_COMPRESSIBLE):
        body = gzip.compress(body, 1, mtime=0)
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
    return b"gzip" in (request.getHeader(b"accept-encoding") or b"")


def _asked(request: Any) -> PageRequest:
    address = request.uri[:LONGEST_ADDRESS].decode("latin-1")
    fields = address.partition("?")[2].split("&", MOST_FIELDS)[:MOST_FIELDS]
    query: dict[str, str] = {}
    for name, value in parse_qsl("&".join(fields), keep_blank_values=True, errors="replace"):
        query.setdefault(name, value)
    headers = {
        name.decode("latin-1").lower(): values[-1].decode("latin-1")
        for name, values in request.requestHeaders.getAllRawHeaders()
    }
    return PageRequest(
        method=request.method.decode("latin-1"),
        path=request.path.decode("utf-8", "replace"),
        address=address,
        query=query,
        headers=headers,
        http=request,
    )


async def _static(view: FarmView, asked: PageRequest, name: str) -> Reply:
    if not name.replace("-", "").replace(".", "").isalnum() or name.startswith("."):
        raise NotFoundError("There is nothing at this address.")
    try:
        content, _ = static_file(name)
    except FileNotFoundError:
        raise NotFoundError("There is nothing at this address.") from None
    kind = _KINDS.get(name.rpartition(".")[2], "application/octet-stream")
    # Its address has a digest of the content.
    return Reply(200, content, kind, {"cache-control": "public, max-age=31536000, immutable"})
