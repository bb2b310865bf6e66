"""
Commit statuses: the result of a build, at the forge that has the commit.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from ...master.config.renderable_objects import Interpolate
from ...model.display import printable
from ...model.rendering import is_renderable, render
from ...model.results import Result
from ...storage.records.outbox import OutboxMessage
from .details import BuildDetails
from .formatting import Message
from .http import HttpReporter
from .reporter import NotSentError, Outside, RefusedForGoodError

LONGEST_DESCRIPTION = 140
"""Characters of a description that GitHub takes."""
_HIDDEN = 404
_REVISION = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
# After the host of a URL, or after the colon of "user@host:path".
_PATH = re.compile(r"(?:[a-z+]+://[^/?#\s]+/|[^/:\s]+:)(?P<path>[^?#\s]+)\Z")
_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


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


def _last_two(path: str) -> str:
    return "/".join(path.split("/")[-2:])


def _without_nothing(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
