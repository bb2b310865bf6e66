"""
The lines in which a hook reports changes::

    OLD NEW REF                             as git gives it to a post-receive hook (githooks(5))
    {"who": "…", "revision": "…", …}        a change, with the arguments of ``buildbot-lite sendchange``

Both may stand in one input; empty lines are skipped.  All of it is untrusted.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from attrs import evolve, field, frozen

from ..errors import BuildbotLiteError, InputError
from ..model.change import LAST_TIME, LONGEST_COMMENTS, LONGEST_NAME, MOST_FILES, Change
from ..model.git_refs import branch_of, is_of_the_repository, is_ref, ref_of
from ..model.json_reader import JsonReader
from ..model.properties import checked_property_name, checked_value

MOST_CHANGES = 1000
"""Changes in one input."""
LARGEST_LINE = 1 << 20

_PUSHED = re.compile(r"([0-9a-f]{40}|[0-9a-f]{64}) ([0-9a-f]{40}|[0-9a-f]{64}) (.*)", re.DOTALL)
_NAMES = {
    "committer": LONGEST_NAME,
    "branch": LONGEST_NAME,
    "repository": LONGEST_NAME,
    "revlink": LONGEST_NAME,
    "revision": 200,
    "project": 200,
    "codebase": 200,
    "category": 200,
    "comments": LONGEST_COMMENTS,
}
_OTHERS = {"who", "author", "files", "when", "properties"}


@frozen
class Pushed:
    """
    A pushed reference: *ref* is now the commit *revision*; None: it was deleted.  *before*: the commit that it
    was.
    """

    ref: str
    revision: str | None
    before: str


@frozen
class Allowed:
    """
    The changes that the holder of a string may report: of *repository* and *project*, of *branches* (patterns as in
    fnmatch(3); "*" also stands for "/"), for *codebase*.  *category*: the category of all of them; None: each has its
    own.
    """

    repository: str
    project: str = ""
    branches: tuple[str, ...] = ("*",)
    codebase: str = ""
    category: str | None = None

    def has_branch(self, branch: str | None) -> bool:
        """
        Whether changes of *branch* are allowed; None, no branch, needs "*".
        """
        return any(fnmatchcase(branch or "", pattern) for pattern in self.branches)

    def example(self, branch: str) -> Change:
        """
        A change of *branch* with the fixed values.
        """
        return Change(
            author="",
            source="",
            branch=branch,
            repository=self.repository,
            project=self.project,
            codebase=self.codebase,
            category=self.category,
        )

    def bound(self, change: Change, number: int) -> Change:
        """
        *change* with the fixed values; `InputError` if it has others.  A change of a reference that is neither a branch
        nor a tag, like refs/pull/1/head, is untrusted: anybody may have made it.
        """
        fixed: dict[str, Any] = {"repository": self.repository, "project": self.project, "codebase": self.codebase}
        if self.category is not None:
            fixed["category"] = self.category
        for noun, value in fixed.items():
            said = getattr(change, noun)
            if said and said != value:
                raise InputError(f"Line {number}: this string is for the {noun} {value!r:.200}, not {said!r:.200}.")
        untrusted = change.branch is not None and not is_of_the_repository(ref_of(change.branch))
        return evolve(change, untrusted=untrusted, **fixed)


@frozen
class ReportedChanges:
    """
    The contents of an input: the *changes*, the *pushed* references, and *remarks* on lines that were left out.
    """

    changes: Sequence[Change] = ()
    pushed: Sequence[Pushed] = ()
    remarks: Sequence[str] = field(factory=list)


def read_lines(text: bytes, allowed: Allowed, source: str) -> ReportedChanges:
    """
    The changes in *text*; `InputError`, which names the line, if any of it cannot be used or is not *allowed*.

    Pushes to other branches, deletions, and references that are no branch or tag are left out with a remark: a hook
    reports everything that was pushed.
    """
    changes: list[Change] = []
    pushed: list[Pushed] = []
    remarks: list[str] = []
    for number, line in _numbered(text):
        if line.startswith("{"):
            change = allowed.bound(_change(line, number, source), number)
            if not allowed.has_branch(change.branch):
                which = "without a branch" if change.branch is None else f"of the branch {change.branch!r:.200}"
                raise InputError(f"Line {number}: this string does not permit changes {which}.")
            changes.append(change)
        else:
            push = _pushed(line, number)
            obstacle = _obstacle(push, allowed)
            if obstacle:
                remarks.append(obstacle)
            else:
                pushed.append(push)
        if len(changes) + len(pushed) > MOST_CHANGES:
            raise InputError(f"There are more than {MOST_CHANGES} changes.  Send them in several inputs.")
    return ReportedChanges(changes, pushed, remarks)


def change_of_push(push: Pushed, allowed: Allowed, source: str, now: float) -> Change:
    """
    The change for *push*, without author, comments and files.  *now*: seconds since 1970.
    """
    change = allowed.example(branch_of(push.ref))
    move = f"{push.before}..{push.revision} {now}"
    return evolve(change, author=source, source=source, revision=push.revision, move=move).checked()


def change_from(reader: JsonReader, source: str) -> Change:
    """
    The change in a JSON object; `BuildbotLiteError` says what is wrong with it.
    """
    document = reader.document
    if unknown := sorted(set(document) - set(_NAMES) - _OTHERS):
        raise InputError(f"A change has no {unknown[0]!r:.100}.")
    author = reader.text("who", reader.text("author", "", limit=LONGEST_NAME), limit=LONGEST_NAME)
    texts: dict[str, Any] = {
        name: reader.text(name, limit=limit)
        for name, limit in _NAMES.items()
        if reader.has(name) and document[name] is not None
    }
    happened = reader.optional("when", reader.number)
    if happened is not None and not 0 <= happened <= LAST_TIME:
        raise InputError("The field when is no time since 1970 in seconds.")
    return Change(
        author=author or source,
        source=source,
        happened=happened,
        files=tuple(reader.texts("files", [], most=MOST_FILES)),
        properties=change_properties(reader.mapping("properties", {})),
        **texts,
    ).checked()


def change_properties(properties: Mapping[str, Any]) -> dict[str, Any]:
    """
    Properties as a change has them.
    """
    return {checked_property_name(name): [checked_value(name, value), "Change"] for name, value in properties.items()}


def _numbered(text: bytes) -> Iterator[tuple[int, str]]:
    for number, raw in enumerate(text.split(b"\n"), 1):
        line = raw.decode("utf-8", "replace").strip()
        if line:
            yield number, line


def _change(line: str, number: int, source: str) -> Change:
    try:
        return change_from(JsonReader.decode(line.encode(), "the line", LARGEST_LINE), source)
    except BuildbotLiteError as error:
        raise InputError(f"Line {number}: {error}") from None


def _pushed(line: str, number: int) -> Pushed:
    match = _PUSHED.fullmatch(line)
    if match is None or not is_ref(match[3]):
        raise InputError(
            f"Line {number} is neither OLD NEW REF, as git gives it to a post-receive hook, nor a JSON object: "
            f"{line!r:.100}"
        )
    return Pushed(match[3], match[2] if match[2].strip("0") else None, match[1])


def _obstacle(push: Pushed, allowed: Allowed) -> str | None:
    branch = branch_of(push.ref)
    if not is_of_the_repository(push.ref):
        return f"{branch} is neither a branch nor a tag, and is left out"
    if not allowed.has_branch(branch):
        return f"this string is not for {branch}, which is left out"
    if push.revision is None:
        return f"{branch} was deleted, which is no change"
    return None
