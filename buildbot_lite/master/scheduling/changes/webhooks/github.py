"""
GitHub's payloads: https://docs.github.com/en/webhooks/webhook-events-and-payloads
"""

import re

from .....model.change import LONGEST_COMMENTS
from .....model.json_reader import JsonReader
from .....model.webhook import Delivery
from ....config.webhooks import HookDialect
from .payload import (
    HookedCommit,
    HookedRepository,
    HookReport,
    PullRequest,
    Push,
    checked_branch,
    cut,
    files,
    in_change,
    is_none,
    message,
    of_pull_request,
    of_push,
    part,
    person,
    text,
    time,
    whitelisted,
)

_NEWS = {"opened", "reopened", "synchronize"}


def read(delivery: Delivery, payload: JsonReader, dialect: HookDialect) -> HookReport:
    """
    The report in *payload*; `BuildbotLiteError` if it is not one of GitHub's.
    """
    event = delivery.event
    if event == "push":
        return _push(payload, dialect)
    if event == "pull_request":
        return _pull_request(payload, dialect)
    return HookReport(remark="The webhook works." if event == "ping" else f"The event {event!r:.50} is no change.")


def commit(reader: JsonReader) -> HookedCommit:
    """
    A commit as GitHub and Gitea describe it.
    """
    return HookedCommit(
        id=text(reader, "id"),
        author=person(part(reader, "author")),
        committer=person(part(reader, "committer")),
        message=message(reader),
        happened=time(reader, "timestamp"),
        files=files(reader),
        link=text(reader, "url"),
        properties=in_change({"github_distinct": reader.flag("distinct")}) if reader.has("distinct") else {},
    )


def repository(reader: JsonReader, address: str) -> HookedRepository:
    """
    A repository as GitHub and Gitea describe it; *address*: the field that becomes the repository of changes.
    """
    spellings = [text(reader, name) for name in ("html_url", "clone_url", "ssh_url", "git_url")]
    return HookedRepository(
        address=text(reader, address),
        project=text(reader, "full_name", 200),
        addresses=[each for each in spellings if each],
    )


def _push(payload: JsonReader, dialect: HookDialect) -> HookReport:
    head = part(payload, "head_commit")
    if any(re.search(pattern, message(head), re.IGNORECASE) for pattern in dialect.skips):
        return HookReport(remark="The message of the newest commit says that this push is not to be built.")
    after = text(payload, "after")
    commits = payload.objects("commits", commit)
    if head.document and all(each.id != text(head, "id") for each in commits):
        commits.append(commit(head))
    push = Push(
        repository=repository(part(payload, "repository"), "html_url"),
        ref=text(payload, "ref"),
        # Of an annotated tag, "after" is the tag's object.
        revision="" if is_none(after) else text(head, "id") or after,
        commits=commits,
        pusher=person(part(payload, "pusher")),
        before=text(payload, "before"),
        stamp=str(part(payload, "repository").document.get("pushed_at", "")),
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
    target = repository(part(payload, "repository"), "html_url")
    return of_pull_request(
        PullRequest(
            repository=target,
            ref=f"refs/pull/{number}/{dialect.pull_request_ref}",
            revision=text(head, "sha"),
            # The repository of the head is null when the fork was deleted.
            fork=not source or source != text(part(base, "repo"), "full_name"),
            author=text(part(payload, "sender"), "login"),
            comments=cut(
                f"GitHub Pull Request #{number} ({_commits(request)})\n{text(request, 'title')}\n"
                f"{text(request, 'body', LONGEST_COMMENTS)}",
                LONGEST_COMMENTS,
            ),
            link=text(request, "html_url"),
            happened=time(request, "updated_at") or time(request, "created_at"),
            before=text(payload, "before") if action == "synchronize" else "",
            stamp=text(request, "updated_at") if action == "synchronize" else "",
            properties={
                **in_change({"basename": checked_branch(text(base, "ref"))}),
                **whitelisted(request.document, "github", dialect.property_whitelist),
            },
        ),
        dialect,
    )


def _commits(request: JsonReader) -> str:
    number = request.integer("commits", 1)
    return f"{number} commit{'' if number == 1 else 's'}"
