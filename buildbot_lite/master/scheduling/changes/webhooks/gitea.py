"""
Gitea's and Forgejo's payloads: https://docs.gitea.com/usage/repository/webhooks
"""

from .....model.change import LONGEST_COMMENTS
from .....model.json_reader import JsonReader
from ....config.webhooks import HookDialect
from .github import commit, repository
from .payload import (
    HookReport,
    PullRequest,
    Push,
    checked_branch,
    cut,
    in_change,
    is_none,
    of_pull_request,
    of_push,
    part,
    person,
    text,
    time,
)

_NEWS = {"opened", "reopened", "synchronized"}


def read(event: str, payload: JsonReader, dialect: HookDialect, codebase: str) -> HookReport:
    """
    What *payload* says; `BuildbotLiteError` if it is not one of Gitea's.
    """
    if event == "push":
        return _push(payload, dialect, codebase)
    if event in ("pull_request", "pull_request_sync"):
        return _pull_request(payload, dialect, codebase)
    return HookReport(remark=f"The event {event!r:.50} is no change.")


def _push(payload: JsonReader, dialect: HookDialect, codebase: str) -> HookReport:
    after = text(payload, "after")
    commits = payload.objects("commits", commit)
    if commits and commits[0].id == after:
        commits.reverse()  # the newest comes first
    push = Push(
        repository=repository(part(payload, "repository"), "clone_url"),
        ref=text(payload, "ref"),
        revision="" if is_none(after) else text(part(payload, "head_commit"), "id") or after,
        commits=commits,
        pusher=_user(part(payload, "pusher")),
    )
    return of_push(push, dialect, codebase)


def _pull_request(payload: JsonReader, dialect: HookDialect, codebase: str) -> HookReport:
    action = text(payload, "action", 50)
    if action not in _NEWS:
        return HookReport(remark=f"A pull request that was {action!r} is no change.")
    number = payload.integer("number", least=1)
    request = part(payload, "pull_request")
    head, base = part(request, "head"), part(request, "base")
    source = text(part(head, "repo"), "full_name")
    return of_pull_request(
        PullRequest(
            repository=repository(part(payload, "repository"), "clone_url"),
            ref=f"refs/pull/{number}/head",
            revision=text(head, "sha"),
            fork=not source or source != text(part(base, "repo"), "full_name"),
            author=_user(part(payload, "sender")),
            comments=cut(
                f"Pull Request #{number}: {text(request, 'title')}\n{text(request, 'body', LONGEST_COMMENTS)}",
                LONGEST_COMMENTS,
            ),
            link=text(request, "html_url"),
            happened=time(request, "updated_at"),
            properties=in_change({"basename": checked_branch(text(base, "ref")), "pullrequest_number": number}),
        ),
        dialect,
        codebase,
    )


def _user(reader: JsonReader) -> str:
    return person(reader) or text(reader, "full_name") or text(reader, "username") or text(reader, "login")
