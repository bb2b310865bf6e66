"""
Reading what git prints: references, commit objects, the files of commits.

The people who push choose all of these texts.  So only formats are read whose parts are delimited by lengths or NUL,
never by text that may stand in a message or a file name.
"""

import codecs
import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from attrs import frozen

from ....model.change import LAST_TIME, LONGEST_COMMENTS, LONGEST_NAME, MOST_FILES, fitting_files
from ....model.git_refs import is_commit, is_ref

LARGEST_COMMIT = 1 << 20
"""Bytes of the largest commit object that is read; of a larger one only the name is known."""

_PERSON = re.compile(rb"(.*) (-?[0-9]{1,20}) [+-][0-9]{1,8}", re.DOTALL)
_PEELED = "^{}"
_OF_PYTHON_ALONE = frozenset({"idna", "punycode", "raw-unicode-escape", "unicode-escape"})
"""
Codecs that are no encodings of git's.  A commit names its encoding, and punycode takes minutes for a mebibyte.
"""


@frozen
class RemoteRefs:
    """
    *commits*: reference → its object; for an annotated tag, the tagged object.  *head*: where HEAD points.  *unusable*:
    names that are no valid references, or cannot be printed.
    """

    commits: Mapping[str, str]
    head: str | None = None
    unusable: Collection[str] = frozenset()


@frozen(kw_only=True)
class Commit:
    """
    A commit.  *committed*: seconds since 1970; None: unknown.
    """

    id: str
    author: str = ""
    committer: str = ""
    committed: float | None = None
    message: str = ""
    files: tuple[str, ...] = ()


def remote_refs(output: bytes) -> RemoteRefs:
    """
    The output of ``git ls-remote --symref``.
    """
    commits: dict[str, str] = {}
    unusable: set[str] = set()
    head = detached = None
    for line in output.decode("utf-8", "surrogateescape").split("\n"):
        first, tab, name = line.partition("\t")
        if not tab:
            continue
        if name == "HEAD":
            if first.startswith("ref: "):
                head = first.removeprefix("ref: ")
            else:
                detached = first
            continue
        ref = name.removesuffix(_PEELED)
        if not (is_ref(ref) and ref.isprintable()):
            unusable.add(ref)
        elif is_commit(first):
            # The line of the tagged object follows that of the tag, and replaces it.
            commits[ref] = first
    if head is None and detached is not None:
        # An old server does not report where HEAD points.
        same = [ref for ref, commit in commits.items() if commit == detached]
        usual = [ref for ref in ("refs/heads/main", "refs/heads/master") if ref in same]
        head = next(iter([*usual, *sorted(same)]), None)
    return RemoteRefs(commits, head if head in commits else None, unusable)


def objects(output: bytes) -> Iterator[tuple[str, str, bytes]]:
    """
    The output of ``git cat-file --batch``: name, type and content of each object.
    """
    place = 0
    while place < len(output):
        end = output.index(b"\n", place)
        words = output[place:end].decode("utf-8", "replace").split(" ")
        place = end + 1
        if len(words) == 3 and words[2].isdecimal():
            size = int(words[2])
            yield words[0], words[1], output[place : place + size]
            place += size + 1


def commit_in(id: str, content: bytes, encoding: str) -> Commit:
    """
    The commit object *content*.  *encoding*: of its texts, unless it names another.
    """
    head, _, message = content.partition(b"\n\n")
    fields: dict[bytes, bytes] = {}
    for line in head.split(b"\n"):
        name, _, value = line.partition(b" ")
        if name:  # not the continuation of a signature
            fields.setdefault(name, value)
    encoding = fields.get(b"encoding", b"").decode("ascii", "replace") or encoding
    author, _ = _person(fields.get(b"author", b""), encoding)
    committer, committed = _person(fields.get(b"committer", b""), encoding)
    text = _decoded(message, encoding).rstrip("\n")
    return Commit(id=id, author=author, committer=committer, committed=committed, message=_cut(text, LONGEST_COMMENTS))


def files_of_commits(output: bytes, ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """
    The output of ``git diff-tree --stdin -r -z --raw`` for the commits *ids*: commit → its files, sorted, and at most
    as many as a change may have.
    """
    wanted_ids = set(ids)
    found: dict[str, dict[str, None]] = {}
    files: dict[str, None] = {}
    tokens = iter(output.split(b"\0"))
    for token in tokens:
        if token.startswith(b":"):
            name = next(tokens, b"").decode("utf-8", "replace")
            if len(files) < MOST_FILES:
                files[name] = None
        elif (id := token.decode("ascii", "replace").strip()) in wanted_ids:
            files = found.setdefault(id, {})
    return {id: fitting_files(each) for id, each in found.items()}


def _person(line: bytes, encoding: str) -> tuple[str, float | None]:
    """
    "Name <address>", and the time.
    """
    # Before it is decoded: in UTF-7 the zone would be a character.
    match = _PERSON.fullmatch(line)
    if match is None:
        return _cut(_decoded(line, encoding), LONGEST_NAME), None
    return _cut(_decoded(match[1], encoding), LONGEST_NAME), float(min(max(0, int(match[2])), int(LAST_TIME)))


def _decoded(data: bytes, encoding: str) -> str:
    try:
        known = codecs.lookup(encoding).name.replace("_", "-") not in _OF_PYTHON_ALONE
        text = data.decode(encoding if known else "utf-8", "replace")
    except (LookupError, ValueError):
        text = data.decode("utf-8", "replace")
    # UTF-7 can encode lone surrogates, which no record can hold.
    return text.replace("\0", "?").encode("utf-8", "replace").decode()


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
