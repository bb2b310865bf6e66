"""
GitLab's payloads: https://docs.gitlab.com/user/project/integrations/webhook_events/
"""

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
)

_NEWS = {"open", "reopen", "update"}


def read(delivery: Delivery, payload: JsonReader, dialect: HookDialect) -> HookReport:
    """
    The report in *payload*; `BuildbotLiteError` if it is not one of GitLab's.  A system hook has its event in the
    payload.
    """
    kind = text(payload, "object_kind", 50) or text(payload, "event_name", 50)
    if kind in ("push", "tag_push"):
        return _push(kind, payload, dialect, delivery.number)
    if kind == "merge_request":
        return _merge_request(payload, dialect)
    return HookReport(remark=f"The event {kind or delivery.event!r:.50} is no change.")


def _repository(payload: JsonReader) -> HookedRepository:
    project = part(payload, "project")
    # As in Buildbot, whose documentation says that it is the address of ssh.
    spellings = filter(None, (text(project, name) for name in ("git_ssh_url", "git_http_url", "web_url")))
    addresses = list(spellings)
    return HookedRepository(
        address=addresses[0] if addresses else "",
        project=text(project, "path_with_namespace", 200),
        addresses=addresses,
    )


def _push(kind: str, payload: JsonReader, dialect: HookDialect, number: str) -> HookReport:
    after = text(payload, "after")
    commits = payload.objects("commits", _commit)
    push = Push(
        repository=_repository(payload),
        ref=text(payload, "ref"),
        # Of an annotated tag, "after" is the tag's object.
        revision="" if is_none(after) else text(payload, "checkout_sha") or after,
        commits=commits,
        unnamed=max(0, payload.integer("total_commits_count", 0) - len(commits)),
        pusher=text(payload, "user_name"),
        event=kind,
        before=text(payload, "before"),
        stamp=number,
    )
    return of_push(push, dialect)


def _commit(reader: JsonReader) -> HookedCommit:
    return HookedCommit(
        id=text(reader, "id"),
        author=person(part(reader, "author")),
        message=message(reader),
        happened=time(reader, "timestamp"),
        files=files(reader),
        link=text(reader, "url"),
    )


def _merge_request(payload: JsonReader, dialect: HookDialect) -> HookReport:
    request = part(payload, "object_attributes")
    action = text(request, "action", 50)
    # An update without oldrev is one of the title, of labels and the like.
    if action not in _NEWS or (action == "update" and not text(request, "oldrev")):
        return HookReport(remark=f"The action {action!r} of a merge request brings no new commit.")
    number = request.integer("iid", least=1)
    last = part(request, "last_commit")
    # The source is null when the fork was deleted.
    source, target = (request.optional(f"{name}_project_id", request.integer) for name in ("source", "target"))
    return of_pull_request(
        PullRequest(
            repository=_repository(payload),
            ref=f"refs/merge-requests/{number}/head",
            revision=text(last, "id"),
            fork=source is None or source != target,
            author=person(part(last, "author")) or text(part(payload, "user"), "name"),
            comments=cut(
                f"MR#{number}: {text(request, 'title')}\n\n{text(request, 'description', LONGEST_COMMENTS)}",
                LONGEST_COMMENTS,
            ),
            link=text(request, "url"),
            happened=time(last, "timestamp"),
            event="merge_request",
            before=text(request, "oldrev") if action == "update" else "",
            stamp=text(request, "updated_at") if action == "update" else "",
            properties=in_change(
                {
                    "source_branch": checked_branch(text(request, "source_branch")),
                    "target_branch": checked_branch(text(request, "target_branch")),
                    "source_project_id": source,
                    "target_project_id": target,
                }
            ),
        ),
        dialect,
    )
