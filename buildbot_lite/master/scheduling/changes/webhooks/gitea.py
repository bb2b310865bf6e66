"""
Gitea's and Forgejo's payloads: https://docs.gitea.com/usage/repository/webhooks
"""

from .....model.change import LONGEST_COMMENTS
from .....model.json_reader import JsonReader
from .....model.webhook import Delivery
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
    text,
    time,
)

_NEWS = {"opened", "reopened", "synchronized"}


def read(delivery: Delivery, payload: JsonReader, dialect: HookDialect) -> HookReport:
    """
    The report in *payload*; `BuildbotLiteError` if it is not one of Gitea's.
    """
    event = delivery.event
    if event == "push":
        return _push(payload, dialect)
    if event in ("pull_request", "pull_request_sync"):
        return _pull_request(payload, dialect)
    return HookReport(remark=f"The event {event!r:.50} is no change.")


def _push(payload: JsonReader, dialect: HookDialect) -> HookReport:
    after = text(payload, "after")
    commits = payload.objects("commits", commit)
    if commits and commits[0].id == after:
        commits.reverse()  # the newest comes first
    push = Push(
        repository=repository(part(payload, "repository"), "clone_url"),
        ref=text(payload, "ref"),
        revision="" if is_none(after) else text(part(payload, "head_commit"), "id") or after,
        commits=commits,
        unnamed=max(0, payload.integer("total_commits", 0) - len(commits)),
        pusher=_user(part(payload, "pusher")),
        before=text(payload, "before"),
        # The time of the push before this one, because Gitea sends its webhooks first.
        stamp=text(part(payload, "repository"), "updated_at"),
    )
    return of_push(push, dialect)


def _pull_request(payload: JsonReader, dialect: HookDialect) -> HookReport:
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
            fork=not _is_branch(head) or not source or source != text(part(base, "repo"), "full_name"),
            author=_user(part(payload, "sender")),
            comments=cut(
                f"Pull Request #{number}: {text(request, 'title')}\n{text(request, 'body', LONGEST_COMMENTS)}",
                LONGEST_COMMENTS,
            ),
            link=text(request, "html_url"),
            happened=time(request, "updated_at"),
            # It does not say from which commit.
            stamp=text(request, "updated_at") if action == "synchronized" else "",
            properties=in_change({"basename": checked_branch(text(base, "ref")), "pullrequest_number": number}),
        ),
        dialect,
    )


def _is_branch(head: JsonReader) -> bool:
    """
    Whether the *head* of a pull request is a branch.

    Everybody who may read a repository can make a pull request by a push to refs/for/BRANCH ("AGit").  Its head is then
    in the repository itself, but only as refs/pull/N/head; its label is empty.
    """
    return bool(text(head, "label")) and not text(head, "ref").startswith("refs/")


def _user(reader: JsonReader) -> str:
    name = next(filter(None, (text(reader, field, 400) for field in ("full_name", "username", "login"))), "")
    address = text(reader, "email", 400)
    return f"{name} <{address}>".strip() if address else name
