"""
A change in the form that functions in master.cfg get: with Buildbot's names for its attributes.
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
    A change with Buildbot's names.  Each name is an attribute, and also a key as in a dictionary.

    ``who`` and ``author`` are the same, and so are ``when`` and ``when_timestamp``.  ``properties`` are `Properties`.
    *id*: the number of the change.  *received*: when the master received it, in seconds since 1970.
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
        A dictionary of all attributes, as JSON values.
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
        The value of the attribute *name*, or *default* if there is no such attribute.
        """
        return getattr(self, name) if name in _NAMES else default

    def __repr__(self) -> str:
        return f"ChangeView({self.number}, revision={self.revision!r})"
