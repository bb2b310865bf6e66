"""
A change to source code, as a change source reports it: a commit, a new branch or tag, or a moved ref.  All its texts
come from a push, a webhook, or a mail address in a commit, so they are untrusted wherever they are shown or used.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import field, frozen

from ..errors import InputError

LONGEST_NAME = 1000
"""Characters of a branch, a repository, a person or an address; other names have at most 200."""
LONGEST_COMMENTS = 65536
MOST_FILES = 5000
LONGEST_FILE = 4096
LONGEST_FILES = 1 << 19
"""Characters of all files together."""
LAST_TIME = 253402300799.0
"""The end of the year 9999, in seconds since 1970: later times have no date."""


@frozen(kw_only=True)
class Change:
    """
    One change.

    *author*, *committer*: people, as "Name <address>".  *happened*: when, in seconds since 1970, according to the
    source; None: now.  *files*: paths in the repository.  *revision*, *branch*: None if the source has none.
    *repository*: an address that identifies the repository; nothing is fetched from it unless master.cfg names it.
    *codebase*: the name of the repository in builds of several; "" in other builds.  *revlink*: the address of a page
    about it.  *properties*: name → [value, source], for the builds.  *source*: the name of the change source.
    *untrusted*: whether it comes from a fork, so that its author may have no right to push.  *move*: a text that is
    different for each move of a reference, so that a reference that moves back to a revision is another change; None:
    unknown.  *before*: the revision at which the reference was.  *repeats*: whether the source does not know when the
    reference moved, so that another move between the same two revisions has the same text.  The last two are not
    recorded.
    """

    author: str
    source: str
    committer: str = ""
    happened: float | None = None
    comments: str = ""
    files: tuple[str, ...] = ()
    revision: str | None = None
    branch: str | None = None
    repository: str = ""
    project: str = ""
    codebase: str = ""
    category: str | None = None
    revlink: str = ""
    properties: Mapping[str, Any] = field(factory=dict)
    untrusted: bool = False
    move: str | None = None
    before: str = ""
    repeats: bool = False

    @property
    def digest(self) -> str:
        """
        The identity of the change: a SHA-256, in hexadecimal, of repository, branch, revision, project, codebase,
        category and *untrusted*; without a revision, also of author, comments, files and *happened*.  Two changes with
        the same digest are different only if they are different moves.
        """
        identity: list[Any] = [self.repository, self.branch, self.revision, self.project, self.codebase, self.category]
        identity.append(self.untrusted)
        if self.revision is None:
            identity += [self.author, self.comments, self.files, self.happened]
        return hashlib.sha256(json.dumps(identity).encode()).hexdigest()

    def checked(self) -> "Change":
        """
        Return this change; `InputError` if a text is too long, contains a NUL or cannot be encoded as UTF-8, or if its
        time is not before the year 10000.
        """
        names = {"revision": self.revision, "project": self.project, "codebase": self.codebase, "source": self.source}
        for noun, text in (names | {"category": self.category, "move": self.move}).items():
            _check(noun, text, 200)
        long = {"branch": self.branch, "repository": self.repository, "author": self.author}
        for noun, text in (long | {"committer": self.committer, "revlink": self.revlink}).items():
            _check(noun, text, LONGEST_NAME)
        _check("comments", self.comments, LONGEST_COMMENTS)
        if len(self.files) > MOST_FILES:
            raise InputError(f"A change may have at most {MOST_FILES} files; this one has {len(self.files)}.")
        if sum(map(len, self.files)) > LONGEST_FILES:
            raise InputError(f"The files of a change may have at most {LONGEST_FILES} characters together.")
        for path in self.files:
            _check("file", path, LONGEST_FILE)
        if self.happened is not None and not 0 <= self.happened <= LAST_TIME:
            raise InputError(f"The time of a change is {self.happened:g}; it must be in seconds since 1970.")
        return self


def fitting_files(files: Iterable[str]) -> tuple[str, ...]:
    """
    The beginning of *files* that fits into a change, with each name cut to `LONGEST_FILE` characters.
    """
    fitting: list[str] = []
    room = LONGEST_FILES
    for file in files:
        room -= min(len(file), LONGEST_FILE)
        if room < 0 or len(fitting) == MOST_FILES:
            break
        fitting.append(file[:LONGEST_FILE])
    return tuple(fitting)


def _check(noun: str, text: str | None, longest: int) -> None:
    if text is None:
        return
    if len(text) > longest:
        raise InputError(f"The {noun} of a change may have at most {longest} characters; this one has {len(text)}.")
    if "\0" in text:
        raise InputError(f"The {noun} of a change contains a NUL character.")
    try:
        text.encode()
    except UnicodeEncodeError:
        # JSON can escape one half of a surrogate pair; SQLite cannot store it.
        raise InputError(f"The {noun} of a change contains a character that UTF-8 cannot encode.") from None
