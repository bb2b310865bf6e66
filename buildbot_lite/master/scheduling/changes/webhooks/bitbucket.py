"""
The payloads of Bitbucket Cloud: https://support.atlassian.com/bitbucket-cloud/docs/event-payloads/

They name no files, at most five commits of each branch, and shorten the commit of a pull request.
"""

from collections.abc import Iterable, Iterator

from .....errors import WebhookError
from .....model.change import LONGEST_COMMENTS
from .....model.git_refs import HEADS, TAGS
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
    in_change,
    message,
    of_pull_request,
    of_push,
    part,
    text,
    time,
    whitelisted,
)

MOST_REFS = 50
"""References of one push."""
_NEWS = {"pullrequest:created", "pullrequest:updated"}


def read(delivery: Delivery, payload: JsonReader, dialect: HookDialect) -> HookReport:
    """
    The report in *payload*; `BuildbotLiteError` if it is not one of Bitbucket's.
    """
    event = delivery.event
    if event == "repo:push":
        reports = _reports(_pushes(payload), dialect)
        return HookReport(
            [change for report in reports for change in report.changes],
            "  ".join(dict.fromkeys(report.remark for report in reports if report.remark))[:1000],
            _repository(part(payload, "repository")).addresses,
        )
    if event in _NEWS:
        return _pull_request(event, payload, dialect)
    return HookReport(remark=f"The event {event!r:.50} is no change.")


def _reports(pushes: Iterable[Push], dialect: HookDialect) -> list[HookReport]:
    """
    The report of each of *pushes*.  An unusable one does not affect the others; `WebhookError` if all are unusable.
    """
    reports: list[HookReport] = []
    unusable: list[WebhookError] = []
    for push in pushes:
        try:
            reports.append(of_push(push, dialect))
        except WebhookError as error:
            unusable.append(error)
    if unusable and not reports:
        raise unusable[0]
    return [*reports, *(HookReport(remark=str(error)) for error in unusable)]


def _repository(reader: JsonReader) -> HookedRepository:
    address = _link(reader)
    return HookedRepository(
        address=address,
        project=text(reader, "full_name", 200),
        addresses=[address, f"{address}.git"] if address else [],
    )


def _link(reader: JsonReader) -> str:
    return text(part(part(reader, "links"), "html"), "href")


def _pushes(payload: JsonReader) -> Iterator[Push]:
    repository = _repository(part(payload, "repository"))
    pusher = text(part(payload, "actor"), "display_name")
    for each in part(payload, "push").objects("changes", lambda reader: reader, most=MOST_REFS):
        new, old = part(each, "new"), part(each, "old")
        named = new if new.document else old
        head = _commit(part(new, "target"))
        if new.document and not head.id:
            raise WebhookError(400, "A pushed branch has no target.hash.")
        commits = [*reversed(each.objects("commits", _commit)), head] if new.document else []
        yield Push(
            repository=repository,
            ref=(TAGS if text(named, "type") == "tag" else HEADS) + text(named, "name"),
            revision=head.id,
            commits=commits,
            unnamed=None if each.flag("truncated", False) else 0,
            pusher=pusher,
            category="push",
            # Nothing in the payload says when: the time of the target is that of the commit.
            before=text(part(old, "target"), "hash"),
        )


def _commit(reader: JsonReader) -> HookedCommit:
    return HookedCommit(
        id=text(reader, "hash"),
        author=text(part(reader, "author"), "raw"),
        message=message(reader),
        happened=time(reader, "date"),
        link=_link(reader),
    )


def _pull_request(event: str, payload: JsonReader, dialect: HookDialect) -> HookReport:
    request = part(payload, "pullrequest")
    number = request.integer("id", least=1)
    source, destination = part(request, "source"), part(request, "destination")
    origin = text(part(source, "repository"), "full_name")
    fork = not origin or origin != text(part(destination, "repository"), "full_name")
    branch = checked_branch(text(part(source, "branch"), "name"))
    target = checked_branch(text(part(destination, "branch"), "name"))
    pull = PullRequest(
        repository=_repository(part(payload, "repository")),
        # Bitbucket Cloud has no reference for what is in a fork.
        ref=f"refs/pull-requests/{number}/from" if fork else HEADS + branch,
        revision=text(part(source, "commit"), "hash"),
        fork=fork,
        author=text(part(request, "author"), "display_name"),
        comments=cut(
            f"Bitbucket Pull Request #{number}: {text(request, 'title')}\n"
            f"{text(request, 'description', LONGEST_COMMENTS)}",
            LONGEST_COMMENTS,
        ),
        link=_link(request),
        happened=time(request, "updated_on"),
        event=event,
        category=event.replace("pullrequest:", "pull-"),
        stamp=text(request, "updated_on") if event == "pullrequest:updated" else "",
        properties={
            **in_change({"basename": target}),
            **whitelisted(request.document, "bitbucket", dialect.property_whitelist),
        },
    )
    return of_pull_request(pull, dialect)
