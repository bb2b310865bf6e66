"""
The common parts of the payloads of all forges: pushes with commits, pull requests, and texts of any length.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from attrs import field, frozen

from .....errors import BuildbotLiteError, WebhookError
from .....model.change import LAST_TIME, LONGEST_COMMENTS, LONGEST_FILE, LONGEST_NAME, Change, fitting_files
from .....model.git_refs import TAGS, branch_of, is_of_the_repository, is_ref, ref_of
from .....model.json_reader import JsonReader
from .....model.properties import checked_property_name, checked_value
from ....config.webhooks import HookDialect

MOST_COMMITS = 200
"""Changes of one push; of more commits, the newest ones."""
MOST_PROPERTIES = 100
"""Properties that a whitelist may give one change."""
_DEEPEST = 10

_REVISION = re.compile(r"[0-9a-f]{7,64}")


@frozen
class HookReport:
    """
    The report of a payload: *changes*, oldest first; *remark*: why there are none, or which ones were left out.
    *addresses*: of the repository, in all spellings, for a poller of it; empty when a poller cannot see the changes.
    """

    changes: Sequence[Change] = ()
    remark: str = ""
    addresses: Sequence[str] = ()


@frozen(kw_only=True)
class HookedRepository:
    """
    The repository to which a payload belongs: its address in changes, its project, and all its *addresses*.
    """

    address: str
    project: str
    addresses: Sequence[str] = ()


@frozen(kw_only=True)
class HookedCommit:
    """
    A commit of a push.
    """

    id: str
    author: str = ""
    committer: str = ""
    message: str = ""
    happened: float | None = None
    files: tuple[str, ...] = ()
    link: str = ""
    properties: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class Push:
    """
    A push: *ref* is now the commit *revision*; "": it was deleted.  *commits*: the new ones, oldest first, as far as
    the forge names them.  *unnamed*: how many older ones it does not name; None: an unknown number.  *pusher*: for a
    push without commits.  *before*: the commit at which *ref* was; "": none.  *stamp*: a text that no other push from
    there to *revision* has, such as its time; "": the forge has none that can be trusted.
    *category*: of the changes; None: the usual one.
    """

    repository: HookedRepository
    ref: str
    revision: str
    before: str
    stamp: str = ""
    commits: Sequence[HookedCommit] = ()
    unnamed: int | None = 0
    pusher: str = ""
    event: str = "push"
    category: str | None = None


@frozen(kw_only=True)
class PullRequest:
    """
    A pull or merge request: *ref* leads to it in the *repository* into which it is to be merged.  *fork*: it comes from
    another repository, so its code is untrusted.  *before*, *stamp*: as of a `Push`; both "" for an event that is no
    push.
    """

    repository: HookedRepository
    ref: str
    revision: str
    fork: bool
    author: str
    comments: str
    link: str = ""
    happened: float | None = None
    properties: Mapping[str, Any] = field(factory=dict)
    event: str = "pull_request"
    category: str = "pull"
    before: str = ""
    stamp: str = ""


def of_push(push: Push, dialect: HookDialect) -> HookReport:
    """
    A change for each commit of *push*; one for its reference where the forge names no new commit.
    """
    ref = checked_ref(push.ref)
    branch = branch_of(ref)
    if not is_of_the_repository(ref):
        return HookReport(remark=f"{branch} is neither a branch nor a tag.")
    if not push.revision:
        return HookReport(remark=f"{branch} was deleted, which is no change.")
    revision = checked_revision(push.revision)
    commits = [each for each in push.commits if each.id != revision]
    # A tag is one change: its commits are those of a branch.
    head = next((each for each in push.commits if each.id == revision), HookedCommit(id=revision))
    alone = ref.startswith(TAGS) or dialect.only_push_commit
    commits = [head] if alone else [*commits, head]
    changes = [
        Change(
            author=each.author or push.pusher or dialect.name,
            committer=each.committer,
            source=dialect.name,
            happened=each.happened,
            comments=each.message,
            files=each.files,
            revision=checked_revision(each.id),
            branch=branch,
            repository=push.repository.address,
            project=push.repository.project,
            category=push.category or ("tag" if ref.startswith(TAGS) else None),
            revlink=each.link,
            properties={**in_change({"event": push.event}), **each.properties},
            **(_move(push) if each is head else {}),
        ).checked()
        for each in commits[-MOST_COMMITS:]
    ]
    return HookReport(changes, "" if alone else _left_out(push, len(commits)), push.repository.addresses)


def _left_out(push: Push, named: int) -> str:
    if push.unnamed is None:
        return "Older commits of this push were left out: the forge does not name them."
    number = max(0, named - MOST_COMMITS) + push.unnamed
    subject = "commit of this push was" if number == 1 else "commits of this push were"
    return f"{number} older {subject} left out." if number else ""


def of_pull_request(request: PullRequest, dialect: HookDialect) -> HookReport:
    """
    The change for the pull request *request*.
    """
    change = Change(
        author=request.author or dialect.name,
        source=dialect.name,
        happened=request.happened,
        comments=request.comments,
        revision=checked_revision(request.revision),
        branch=branch_of(checked_ref(request.ref)),
        repository=request.repository.address,
        project=request.repository.project,
        category=request.category,
        revlink=request.link,
        properties={**in_change({"event": request.event, "pullrequesturl": request.link}), **request.properties},
        untrusted=request.fork,
        **_move(request),
    )
    return HookReport([change.checked()])


def part(reader: JsonReader, name: str) -> JsonReader:
    """
    The object in the field *name*; an empty one if it is missing or null.
    """
    return JsonReader(reader.mapping(name, {}), f"the field {name}")


def text(reader: JsonReader, name: str, longest: int = LONGEST_NAME) -> str:
    """
    The text in the field *name*, cut to *longest* characters, as far as records can hold it; "" if it is missing.
    """
    return cut(reader.text(name, ""), longest)


def cut(given: str, longest: int) -> str:
    """
    *given* with at most *longest* characters, without NUL and lone surrogates.
    """
    usable = given[: longest + 1].replace("\0", "?").encode("utf-8", "replace").decode()
    return usable if len(usable) <= longest else f"{usable[: longest - 1]}…"


def message(reader: JsonReader, name: str = "message") -> str:
    """
    A commit's message.
    """
    return text(reader, name, LONGEST_COMMENTS)


def person(reader: JsonReader) -> str:
    """
    "Name <address>" of an object with name and email.
    """
    name, address = text(reader, "name", 400), text(reader, "email", 400)
    return f"{name} <{address}>".strip() if address else name


def time(reader: JsonReader, name: str) -> float | None:
    """
    The time in the field *name* (ISO 8601), in seconds since 1970; None if there is none that is usable.
    """
    given = reader.document.get(name)
    if not isinstance(given, str):
        return None
    try:
        found = datetime.fromisoformat(given[:50])
        seconds = found.timestamp()
    except (ValueError, OverflowError, OSError):
        return None
    return seconds if 0 <= seconds <= LAST_TIME and found.tzinfo is not None else None


def files(reader: JsonReader) -> tuple[str, ...]:
    """
    The files of a commit: added, modified and removed ones, sorted, at most as many as a change may have.
    """
    named = (path for name in ("added", "modified", "removed") for path in reader.texts(name, [], most=1 << 20))
    return fitting_files(sorted({cut(path, LONGEST_FILE) for path in named if path}))


def checked_ref(ref: str) -> str:
    """
    *ref*, if it is the full name of a reference; otherwise `WebhookError`.
    """
    if is_ref(ref) and ref.isprintable():
        return ref
    raise WebhookError(400, f"{ref!r:.100} is not the name of a git reference.")


def checked_branch(name: str) -> str:
    """
    *name*, if it is the name of a branch; otherwise `WebhookError`.
    """
    checked_ref(ref_of(name))
    return name


def checked_revision(name: str) -> str:
    """
    *name*, if it is that of a commit, which Bitbucket shortens; otherwise `WebhookError`.
    """
    if _REVISION.fullmatch(name):
        return name
    raise WebhookError(400, f"{name!r:.100} is not the name of a commit.")


def is_none(revision: str) -> bool:
    """
    Whether *revision* is what forges send for a reference that is not there (any more): nothing, or zeros.
    """
    return not revision.strip("0")


def _move(pushed: Push | PullRequest) -> dict[str, Any]:
    """
    The fields of a change that tell another push to the same commit from a replay.
    """
    before = "" if is_none(pushed.before) else cut(pushed.before, 64)
    if not (pushed.stamp or before or isinstance(pushed, Push)):
        return {}
    move = f"{before}..{pushed.revision:.64} {pushed.stamp:.60}".rstrip()
    return {"move": cut(move, 200), "before": before, "repeats": not pushed.stamp}


def in_change(values: Mapping[str, Any]) -> dict[str, Any]:
    """
    *values* as the properties of a change.
    """
    return {name: [value, "Change"] for name, value in values.items()}


def whitelisted(document: Mapping[str, Any], prefix: str, patterns: Iterable[str]) -> dict[str, Any]:
    """
    The properties of a change that are the plain values in *document* whose names, as in "github.head.ref", match one
    of *patterns* (fnmatch(3)).
    """
    patterns = tuple(patterns)
    found: dict[str, Any] = {}
    for name, value in _plain(document, prefix, 0) if patterns else ():
        if len(found) < MOST_PROPERTIES and any(fnmatchcase(name, pattern) for pattern in patterns):
            try:
                found[checked_property_name(name)] = [checked_value(name, value), "Change"]
            except BuildbotLiteError:
                continue  # it cannot be a property
    return found


def _plain(document: Mapping[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    for name, value in document.items():
        place = f"{prefix}.{name}"
        if isinstance(value, Mapping):
            if depth < _DEEPEST:
                yield from _plain(value, place, depth + 1)
        elif isinstance(value, str):
            yield place, cut(value, LONGEST_COMMENTS)
        elif value is None or isinstance(value, bool | int | float):
            yield place, value
