"""
HTTP: signed JSON documents, and the commit statuses of forges.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlsplit

from twisted.internet.defer import CancelledError

from ...http_client import basic
from ...master.config.renderable_objects import Interpolate, Secret
from ...model.display import printable
from ...model.rendering import is_renderable, render
from ...model.results import Result
from ...storage.records.outbox import OutboxMessage
from .details import BuildDetails
from .formatting import Message, MessageFormatterFunction
from .generators import Generator, described
from .reporter import NotSentError, Outside, RefusedForGoodError, Reporter

SIGNATURE = "X-Buildbot-Lite-Signature"
"""The header with ``sha256=`` and the HMAC-SHA-256 of the body in hexadecimal (RFC 2104)."""
LONGEST_DESCRIPTION = 140
"""Characters of a description that GitHub takes."""
_FOR_GOOD = frozenset({400, 404, 405, 410, 413, 422})
_HIDDEN = 404
_REVISION = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
# After the host of a URL, or after the colon of "user@host:path".
_PATH = re.compile(r"(?:[a-z+]+://[^/?#\s]+/|[^/:\s]+:)(?P<path>[^?#\s]+)\Z")
_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


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


class CommitStatus(HttpReporter):
    """
    The base of reporters that set the status of a commit at a forge.

    *token*: a `Secret`.  *context*: the status's name, one for each builder by default.  *startDescription*,
    *endDescription*: renderables; None: the farm's own, which name the step that failed.
    """

    default_url = ""
    states: Mapping[Result | None, str] = MappingProxyType({})

    def __init__(
        self,
        token: Any,
        startDescription: Any = None,
        endDescription: Any = None,
        context: Any = None,
        baseURL: Any = None,
        verbose: Any = False,
        generators: Any = None,
        debug: Any = None,
        verify: Any = None,
        name: Any = None,
        *,
        builders: Any = None,
    ) -> None:
        super().__init__(generators, name, builders=builders, start=startDescription, end=endDescription)
        self.token = self.arguments.secret("token", token)
        self.url = self.checked_url("baseURL", baseURL or self.default_url, safe=True).rstrip("/")
        self.context = Interpolate("buildbot/%(prop:buildername)s") if context is None else context
        if not isinstance(self.context, str) and not is_renderable(self.context):
            self.arguments.wrong("context", context, "a text or a renderable")
        self._has_own_words = any(each is not None for each in (startDescription, endDescription, generators))
        if verify is False:
            self.arguments.note("verify=False would send the token to anybody; leave it out.")

    async def compose(self, builds: Sequence[BuildDetails], message: Message) -> Any:
        (build, *_) = builds
        repository = build.view.getProperty("repository") or build.buildset.source.get("repository") or ""
        project = project_of(repository if isinstance(repository, str) else "")
        if project is None or build.revision is None or not _REVISION.fullmatch(build.revision):
            return None  # not of a commit of a forge
        words = message.body if self._has_own_words else build.summary
        return {
            "project": project,
            "revision": build.revision,
            "state": self.states[build.build.result],
            "context": printable(str(await render(self.context, build.view)), longest=200),
            "description": printable(str(words).strip(), longest=LONGEST_DESCRIPTION),
            "url": build.url,
            "branch": build.view.getProperty("branch") or build.buildset.source.get("branch"),
        }

    def subject_of(self, body: Any, about: str) -> str:
        # Also of two builds of the same commit the later one counts.
        name = json.dumps([body["project"], body["revision"], body["context"]])
        return hashlib.sha256(name.encode()).hexdigest()

    async def send(self, message: OutboxMessage, outside: Outside) -> None:
        url, document = self.request_for(message.body)
        headers = self.authorization(await self.value(outside, self.token))
        await self.post(outside, message, self.url + url, document, headers)

    def refusal(self, status: int, answer: str) -> NotSentError | RefusedForGoodError:
        if status == _HIDDEN:
            # A forge hides a repository in this way from a token that may not write to it, which can be mended.
            return NotSentError(f"{answer}; is the token allowed to set the status of commits of this repository?")
        return super().refusal(status, answer)

    def request_for(self, status: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """
        The path below the forge's address, and the document, for *status*.
        """
        raise NotImplementedError

    def authorization(self, token: str) -> dict[str, str]:
        """
        The header with the *token*.
        """
        return {"Authorization": f"token {token}"}


_GITHUB: Mapping[Result | None, str] = {
    None: "pending",
    Result.SUCCESS: "success",
    Result.WARNINGS: "success",
    Result.SKIPPED: "success",
    Result.FAILURE: "failure",
    Result.EXCEPTION: "error",
    Result.CANCELLED: "error",
    Result.RETRY: "pending",
}


class GitHubStatusPush(CommitStatus):
    """
    Sets the status of commits at GitHub (https://docs.github.com/en/rest/commits/statuses).
    """

    default_url = "https://api.github.com"
    states = _GITHUB

    def request_for(self, status: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        path = f"/repos/{_last_two(status['project'])}/statuses/{status['revision']}"
        return path, _without_nothing(
            state=status["state"],
            context=status["context"],
            description=status["description"],
            target_url=status["url"],
        )


class GiteaStatusPush(GitHubStatusPush):
    """
    Sets the status of commits at Gitea or Forgejo, at *baseURL*.
    """

    default_url = ""

    def __init__(self, baseURL: Any, token: Any, startDescription: Any = None, **named: Any) -> None:
        super().__init__(token, startDescription, baseURL=baseURL, **named)

    def request_for(self, status: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        path, document = super().request_for(status)
        return f"/api/v1{path}", document


_GITLAB: Mapping[Result | None, str] = {
    None: "running",
    Result.SUCCESS: "success",
    Result.WARNINGS: "success",
    Result.SKIPPED: "success",
    Result.FAILURE: "failed",
    Result.EXCEPTION: "failed",
    Result.CANCELLED: "canceled",
    Result.RETRY: "pending",
}


class GitLabStatusPush(CommitStatus):
    """
    Sets the status of commits at GitLab (https://docs.gitlab.com/api/commits/#set-commit-pipeline-status).
    """

    default_url = "https://gitlab.com"
    states = _GITLAB

    def request_for(self, status: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        path = f"/api/v4/projects/{quote(status['project'], safe='')}/statuses/{status['revision']}"
        return path, _without_nothing(
            state=status["state"],
            name=status["context"],
            description=status["description"],
            target_url=status["url"],
            ref=status["branch"],
        )

    def authorization(self, token: str) -> dict[str, str]:
        return {"Private-Token": token}


def project_of(repository: str) -> str | None:
    """
    The path of a project at a forge, "owner/name", from the address of its repository; None when that has none.
    """
    match = _PATH.match(repository)
    if match is None:
        return None
    segments = match["path"].strip("/").removesuffix(".git").split("/")
    return "/".join(segments) if len(segments) > 1 and all(map(_SEGMENT.fullmatch, segments)) else None


def _of_build(function: Any) -> Any:
    """
    The function of a formatter for a *function* of the build alone.
    """
    return (lambda context: function(context["build"])) if callable(function) else function


def _last_two(path: str) -> str:
    return "/".join(path.split("/")[-2:])


def _without_nothing(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
