"""
HTTP: the base of reporters that POST JSON, and `HttpStatusPush`, which signs it.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from twisted.internet.defer import CancelledError

from ...http_client import basic
from ...master.config.renderable_objects import Secret
from ...model.display import printable
from ...storage.records.outbox import OutboxMessage
from .details import BuildDetails
from .formatting import Message, MessageFormatterFunction
from .generators import Generator, described
from .reporter import NotSentError, Outside, RefusedForGoodError, Reporter

SIGNATURE = "X-Buildbot-Lite-Signature"
"""The header with ``sha256=`` and the HMAC-SHA-256 of the body in hexadecimal (RFC 2104)."""
_FOR_GOOD = frozenset({400, 404, 405, 410, 413, 422})


class HttpReporter(Reporter):
    """
    The base of reporters that send JSON to *url*.

    Without *generators*, they report the start and the end of the builds of *builders*, with the descriptions *start*
    and *end*.
    """

    def __init__(self, generators: Any, name: Any, *, builders: Any, start: Any = None, end: Any = None) -> None:
        self._default = [described(start, end, builders)]
        super().__init__(generators, name, builders=builders, startDescription=start, endDescription=end)

    def default_generators(self) -> Sequence[Generator]:
        return self._default

    async def post(
        self, outside: Outside, message: OutboxMessage, url: str, document: Any, headers: Mapping[str, str]
    ) -> None:
        """
        POST *document*; `NotSentError`, `RefusedForGoodError`.
        """
        body = json.dumps(document, sort_keys=True).encode()
        sent = {
            "Content-Type": "application/json",
            "User-Agent": "buildbot-lite",
            "Idempotency-Key": f"{message.reporter}-{message.key}-{outside.origin}",
            **headers,
        }
        host = urlsplit(url).netloc
        try:
            status, answer = await outside.request("POST", url, sent, body)
        except CancelledError:
            raise
        except Exception as error:
            raise NotSentError(f"{host}: {type(error).__name__}: {error!s:.200}") from error
        if 200 <= status < 300:
            return
        answer_text = f"{host} answered {status}: {printable(answer[:200].decode(errors='replace'))}"
        raise self.refusal(status, answer_text)

    def refusal(self, status: int, answer: str) -> NotSentError | RefusedForGoodError:
        """
        The error for an answer with *status*.  *answer*: it, in words.
        """
        return RefusedForGoodError(answer) if status in _FOR_GOOD else NotSentError(answer)

    async def value(self, outside: Outside, secret: Any) -> str:
        """
        The text of *secret*, which is a `Secret` or a text.
        """
        if isinstance(secret, Secret):
            return str(await outside.in_thread(partial(outside.secret, secret.name)))
        return str(secret)

    def checked_url(self, name: str, value: Any, *, safe: bool = False) -> str:
        """
        *value*, an address; with *safe* over TLS, or on this machine, because a token is sent there.
        """
        parts = urlsplit(value) if isinstance(value, str) else urlsplit("")
        local = parts.hostname in {"localhost", "127.0.0.1", "::1"}
        if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname and (local or not safe)):
            return str(value)
        self.arguments.wrong(name, value, 'an address like "https://example.org/"')
        return "https://localhost/"


class HttpStatusPush(HttpReporter):
    """
    POSTs a JSON document about each build to *serverUrl*.

    *format_fn*: a function of the build's document that returns another one, as Buildbot 1 had it.  *headers*: more of
    them.  *auth*: (user, password), basic authentication (RFC 7617); the password may be a `Secret`.
    *secret*: a `Secret`; the body is signed with it in the header `SIGNATURE`.
    """

    def __init__(
        self,
        serverUrl: Any,
        auth: Any = None,
        headers: Any = None,
        generators: Any = None,
        debug: Any = None,
        verify: Any = None,
        secret: Any = None,
        name: Any = None,
        *,
        builders: Any = None,
        format_fn: Any = None,
        wantProperties: Any = None,
        wantSteps: Any = None,
        wantPreviousBuild: Any = None,
        wantLogs: Any = None,
    ) -> None:
        super().__init__(generators, name, builders=builders)
        if format_fn is not None:
            if generators is not None:
                self.arguments.note("format_fn has no effect beside generators; give each a MessageFormatterFunction.")
            (ends,) = self._default
            ends.start_formatter = ends.formatter = MessageFormatterFunction(_of_build(format_fn), "json")
        if wantLogs:
            self.arguments.note(
                "the document has no logs; a receiver reads them with `buildbot-lite log` and a string."
            )
        self.url = self.checked_url("serverUrl", serverUrl)
        self.headers = self.arguments.properties("headers", {} if headers is None else headers)
        self.secret = None if secret is None else self.arguments.secret("secret", secret)
        self.auth = auth
        if auth is not None and not (isinstance(auth, (tuple, list)) and len(auth) == 2 and isinstance(auth[0], str)):
            self.arguments.wrong("auth", auth, "(user, password)")
            self.auth = None
        if verify is False:
            self.arguments.note("verify=False would send what the farm builds to anybody; leave it out.")

    async def compose(self, builds: Sequence[BuildDetails], message: Message) -> Any:
        if message.type == "json":
            return message.body
        return {"subject": message.subject, "builds": [each.document() for each in builds]}

    async def send(self, message: OutboxMessage, outside: Outside) -> None:
        headers = {name: str(value) for name, value in self.headers.items()}
        if self.auth is not None:
            headers["Authorization"] = basic([self.auth[0], await self.value(outside, self.auth[1])])
        if self.secret is not None:
            key = await self.value(outside, self.secret)
            body = json.dumps(message.body, sort_keys=True).encode()
            headers[SIGNATURE] = "sha256=" + hmac.new(key.encode(), body, hashlib.sha256).hexdigest()
        await self.post(outside, message, self.url, message.body, headers)


def _of_build(function: Any) -> Any:
    """
    The function of a formatter for a *function* of the build alone.
    """
    return (lambda context: function(context["build"])) if callable(function) else function
