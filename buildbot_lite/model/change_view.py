"""
A change as functions in master.cfg see it: with Buildbot's names of its attributes.
"""

from typing import Any

from .change import Change
from .properties import Json, Properties

_NAMES = (
    "number", "changeid", "when", "when_timestamp", "who", "author", "committer", "comments", "files", "revision",
    "branch", "repository", "project", "codebase", "category", "revlink", "properties", "source", "untrusted",
)  # fmt: skip


class ChangeView:
    """
    *change*, whose number is *id*, and which was received at *received*, in seconds since 1970.

    ``who`` and ``author`` are the same, ``when`` and ``when_timestamp`` too.  ``properties`` are `Properties`.  A name
    is an attribute, and a key as in a dictionary.
    """

    def __init__(self, change: Change, id: int, received: float) -> None:
        self.number = self.changeid = id
        self.when = self.when_timestamp = received if change.happened is None else change.happened
        self.who = self.author = change.author
        self.committer = change.committer
        self.comments = change.comments
        self.files = list(change.files)
        self.revision = change.revision
        self.branch = change.branch
        self.repository = change.repository
        self.project = change.project
        self.codebase = change.codebase
        self.category = change.category
        self.revlink = change.revlink
        self.properties = Properties.from_document(change.properties)
        self.source = change.source
        self.untrusted = change.untrusted

    def asDict(self) -> dict[str, Json]:
        """
        All of it as plain values.
        """
        values = {name: getattr(self, name) for name in _NAMES}
        return {**values, "properties": self.properties.to_document()}

    def __getitem__(self, name: str) -> Any:
        if name not in _NAMES:
            raise KeyError(name)
        return getattr(self, name)

    def __contains__(self, name: object) -> bool:
        return name in _NAMES

    def get(self, name: str, default: Any = None) -> Any:
        """
        The value of the attribute *name*, or *default* when there is no such attribute.
        """
        return getattr(self, name) if name in _NAMES else default

    def __repr__(self) -> str:
        return f"ChangeView({self.number}, revision={self.revision!r})"
